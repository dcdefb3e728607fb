"""Functions of Sprig on what is empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.printing import truth
from secret_sync.templates.values import Missing

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

DEFAULTS: Final = FunctionTable()


@DEFAULTS.function("default", Kind.ANY, rest=Kind.ANY)
def _default(_: Rendering, fallback: Any, *given: Any) -> Any:
    return given[0] if given and truth(given[0]) else fallback


@DEFAULTS.function("empty", Kind.ANY)
def _empty(_: Rendering, value: Any) -> bool:
    return not truth(value)


@DEFAULTS.function("coalesce", rest=Kind.ANY)
def _coalesce(_: Rendering, *values: Any) -> Any:
    for value in values:
        if truth(value):
            return value
    return Missing("coalesce found no value that is not empty; add a last one that is a constant")


@DEFAULTS.function("all", rest=Kind.ANY)
def _all(_: Rendering, *values: Any) -> bool:
    return all(map(truth, values))


@DEFAULTS.function("any", rest=Kind.ANY)
def _any(_: Rendering, *values: Any) -> bool:
    return any(map(truth, values))


@DEFAULTS.function("ternary", Kind.ANY, Kind.ANY, Kind.BOOL)
def _ternary(_: Rendering, if_true: Any, if_false: Any, condition: bool) -> Any:  # noqa: FBT001 (a template passes it)
    return if_true if condition else if_false
