"""The results as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.cli.terminal import Cell, Colour, table
from secret_sync.controller.external_secret.dry_run import Outcome
from secret_sync.controller.sync import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secret_sync.cli.terminal import Screen
    from secret_sync.controller.cluster_external_secret.dry_run import ClusterPlan, PlannedChild
    from secret_sync.controller.external_secret.dry_run import DryRunResult

_WORDS: Final = {
    Outcome.SAME: "same",
    Outcome.CONFLICT: "conflict",
    Outcome.REFUSED: "not synced",
}
_NO_ANSWER: Final = "no answer"
_REMOVED: Final = "remove the finalizer of ack-secret-manager"
_COLOURS: Final = {"same": Colour.GOOD, "conflict": Colour.BAD, "not synced": Colour.BAD}


class DiffRow(NamedTuple):
    """An ExternalSecret, and what would become of its Secret.

    Attributes:
        result: ``None`` where it is not known.
        legacy: Whether it has the finalizer of ack-secret-manager.
    """

    namespace: str
    name: str
    result: DryRunResult | None
    legacy: bool = False

    @property
    def loses_finalizer(self) -> bool:
        """Return whether the finalizer would be removed, as it is once the Secret is in place."""
        return self.legacy and self.result is not None and self.result.problem is None

    @property
    def writes(self) -> bool:
        """Return whether anything would be written."""
        return self.loses_finalizer or (self.result is not None and self.result.writes)


class ChildRow(NamedTuple):
    """What would become of an ExternalSecret of a ClusterExternalSecret.

    Attributes:
        namespace: Where it is; ``""`` for a row about the ClusterExternalSecret itself.
        name: Its name.
        source: The ClusterExternalSecret.
        word: What would become of it.
        why: Why not.
        writes: Whether anything would be written.
    """

    namespace: str
    name: str
    source: str
    word: str
    why: str = ""
    writes: bool = False


def child_rows(
    plans: Mapping[str, ClusterPlan | None], namespace: str, name: str
) -> list[ChildRow]:
    """Return what ClusterExternalSecrets would do, in one namespace or in all.

    Args:
        plans: Theirs, by name; ``None`` where there is no answer.
        namespace: ``""`` for all.
        name: Of the only ExternalSecret that is looked at, or ``""``.
    """
    rows = []
    for source, plan in plans.items():
        if plan is None:
            rows.append(ChildRow("", "", source, _NO_ANSWER))
            continue
        if plan.problem is not None and not namespace:
            why = f"{plan.problem.reason}: {plan.problem.message}"
            rows.append(ChildRow("", "", source, "nothing", why))
        rows += [
            _child_row(source, child)
            for child in plan.children
            if namespace in ("", child.namespace) and name in ("", child.name)
        ]
    return sorted(rows)


def _child_row(source: str, child: PlannedChild) -> ChildRow:
    word = f"would {child.action}" if child.writes else child.action.value
    return ChildRow(child.namespace, child.name, source, word, child.why, child.writes)


def render_children(rows: Sequence[ChildRow], namespace: str, screen: Screen) -> list[str]:
    """Return the lines about ClusterExternalSecrets; none if nothing would be done."""
    if not rows:
        return []
    wide = not namespace
    head = [*(["NAMESPACE"] if wide else []), "EXTERNALSECRET", "RESULT"]
    found = [
        [
            *([Cell(row.namespace or "-")] if wide else []),
            Cell(row.name or "-"),
            Cell(row.word, Colour.BAD if row.why else Colour.UNSURE),
            Cell(row.source),
            Cell(row.why),
        ]
        for row in rows
    ]
    return ["", *table(screen, [*head, "CLUSTEREXTERNALSECRET", "WHY NOT"], found)]


def render(found: Sequence[DiffRow], namespace: str, screen: Screen) -> list[str]:
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
            Cell(word := _word(one.result), _COLOURS.get(word, Colour.UNSURE)),
            Cell(one.result.secret if one.result else "-"),
            Cell("; ".join(filter(None, (_details(one.result), _finalizer(one))))),
        ]
        for one in found
    ]
    sums = Counter(_word(one.result) for one in found)
    total = count(len(found), "ExternalSecret")
    parts = ", ".join(f"{number} {word}" for word, number in sorted(sums.items()))
    return [*table(screen, head, rows), "", f"{total}: {parts}"]


def _word(result: DryRunResult | None) -> str:
    if result is None:
        return _NO_ANSWER
    return _WORDS.get(result.outcome, f"would {result.outcome}")


def _finalizer(one: DiffRow) -> str:
    return _REMOVED if one.loses_finalizer else ""


def _details(result: DryRunResult | None) -> str:
    """Return which keys would change, or why nothing would."""
    if result is None:
        return ""
    if result.problem is not None:
        return f"{result.problem.reason}: {result.problem.message}"
    keys = result.keys
    parts = (("add", keys.added), ("change", keys.changed), ("remove", keys.removed))
    named = "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)
    if named or not result.writes or result.outcome is Outcome.DELETE:
        return named
    return "data stays as it is, metadata changes"
