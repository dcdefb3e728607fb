"""The entries of an ExternalSecret: their paths, keys and expressions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secret_sync.controller.external_secret.expressions import extraction_spec_of
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import DefiniteError
from secret_sync.parse import ExtractionSpec, Rule, check_spec
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.controller.sync import Problem
    from secret_sync.resources import DataEntry
    from secret_sync.resources.meta import FieldPath

#: A rule that changes no key: with any rule an alias need not be a legal key yet.
_NO_CHANGE: Final = Rule("a", "a")
_FIELDS: Final = {
    Reason.INVALID_JMES_PATH: "path",
    Reason.INVALID_KEY: "objectAlias",
    Reason.INVALID_REGEX: "source",
}


def entry_path(obj: CheckedObject, index: int) -> FieldPath:
    """Return the path of an entry: those of ``data`` come first, then those of ``dataProcess``."""
    plain = len((obj.value.get("spec") or {}).get("data") or ())
    if index < plain:
        return ("spec", "data", index)
    return ("spec", "dataProcess", index - plain, "extract")


def extraction_problems(
    entry: DataEntry, path: FieldPath, *, rendered: bool
) -> Iterator[tuple[FieldPath, Problem]]:
    """Yield all errors of an entry's extraction; the controller reports only the first."""
    whole = extraction_spec_of(entry, rendered=rendered)
    problem = None if whole.is_plain else _problem(whole)
    if problem is None:
        return
    rules = (*path[:-1], "replaceRule")
    picks = (*path, "jmesPath")
    parts: list[tuple[FieldPath, ExtractionSpec]] = [
        (
            (*picks, n),
            ExtractionSpec(
                selections=(item,),
                rules=(_NO_CHANGE,) if whole.rules else (),
                any_keys=rendered,
            ),
        )
        for n, item in enumerate(whole.selections)
    ]
    parts += [
        ((*rules, n), ExtractionSpec(extract=True, rules=(r,))) for n, r in enumerate(whole.rules)
    ]
    found = False
    for place, spec in parts:
        wrong = _problem(spec)
        if wrong is not None:
            found = True
            field = _FIELDS.get(wrong.reason)
            yield (place if field is None else (*place, field)), _about(entry, wrong)
    if not found:
        yield (picks if whole.selections else rules), _about(entry, problem)


def static_keys(entry: DataEntry) -> tuple[str, ...]:
    """Return the keys that an entry writes, as far as they are known without its value."""
    if entry.plain:
        return (entry.name,)
    return () if entry.rules else tuple(alias for _, alias in entry.picks)


def _problem(spec: ExtractionSpec) -> Problem | None:
    try:
        check_spec(spec)
    except DefiniteError as error:
        return problem_of(error)
    return None


def _about(entry: DataEntry, problem: Problem) -> Problem:
    return replace(problem, message=f"entry {entry.key!r}: {problem.message}")
