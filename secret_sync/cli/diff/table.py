"""The verdicts as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.cli.terminal import Cell, Colour, table
from secret_sync.controller.external_secret.verdict import Outcome
from secret_sync.controller.sync import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.cli.terminal import Screen
    from secret_sync.controller.external_secret.verdict import Verdict

_WORDS: Final = {
    Outcome.SAME: "same",
    Outcome.CONFLICT: "conflict",
    Outcome.REFUSED: "not synced",
}
_NO_ANSWER: Final = "no answer"
_COLOURS: Final = {"same": Colour.GOOD, "conflict": Colour.BAD, "not synced": Colour.BAD}


class Found(NamedTuple):
    """An ExternalSecret, and what would become of its Secret; ``None`` where that is not known."""

    namespace: str
    name: str
    verdict: Verdict | None


def render(found: Sequence[Found], namespace: str, screen: Screen) -> list[str]:
    """Return the lines: a row for each object, and a sum."""
    if not found:
        place = f"in namespace {namespace}" if namespace else "in this cluster"
        return [f"no ExternalSecrets {place}"]
    wide = not namespace
    head = [*(["NAMESPACE"] if wide else []), "NAME", "RESULT", "SECRET", "KEYS, OR WHY NOT"]
    rows = [
        [
            *([Cell(one.namespace)] if wide else []),
            Cell(one.name),
            Cell(word := _word(one.verdict), _COLOURS.get(word, Colour.UNSURE)),
            Cell(one.verdict.secret if one.verdict else "-"),
            Cell(_details(one.verdict)),
        ]
        for one in found
    ]
    sums = Counter(_word(one.verdict) for one in found)
    total = count(len(found), "ExternalSecret")
    parts = ", ".join(f"{number} {word}" for word, number in sorted(sums.items()))
    return [*table(screen, head, rows), "", f"{total}: {parts}"]


def _word(verdict: Verdict | None) -> str:
    if verdict is None:
        return _NO_ANSWER
    return _WORDS.get(verdict.outcome, f"would {verdict.outcome}")


def _details(verdict: Verdict | None) -> str:
    """Return which keys would change, or why nothing would."""
    if verdict is None:
        return ""
    if verdict.problem is not None:
        return f"{verdict.problem.reason}: {verdict.problem.message}"
    keys = verdict.keys
    parts = (("add", keys.added), ("change", keys.changed), ("remove", keys.removed))
    named = "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)
    if named or not verdict.writes or verdict.outcome is Outcome.DELETE:
        return named
    return "data stays as it is, metadata changes"
