"""What Go's ``reflect.DeepEqual`` considers equal, and what contains what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.values import DocumentNumber, is_missing

if TYPE_CHECKING:
    from collections.abc import Hashable

    from secret_sync.templates.limits import TemplateBudget

#: Levels of a value that functions look into.
MAX_LEVELS: Final = 200
#: Bytes that are hashed, or scalars that are passed over, in the time of a step.
_BYTES_PER_STEP: Final = 4096
_SCALARS_PER_STEP: Final = 16


def identity(value: Any, budget: TemplateBudget, level: int = 0) -> Hashable:
    """Return what is equal for equal values of the same kind only."""
    kind = value.__class__
    if kind is bytes:
        budget.step(1 + len(value) // _BYTES_PER_STEP)
        return value  # type: ignore[no-any-return]
    budget.step()
    if is_missing(value):
        return None
    if kind is list:
        check_level(level)
        return (list, *[identity(item, budget, level + 1) for item in value])
    if kind is dict:
        check_level(level)
        return frozenset([(key, identity(item, budget, level + 1)) for key, item in value.items()])
    if value != value:  # noqa: PLR0124 (NaN equals nothing)
        return object()
    return (float if kind is DocumentNumber else kind, value)


def check_level(level: int) -> None:
    """Refuse to look deeper into a value."""
    if level > MAX_LEVELS:
        raise FunctionError(f"a value is nested more than {MAX_LEVELS} levels deep")


def reaches(value: Any, target: dict[bytes, Any], budget: TemplateBudget) -> bool:
    """Return whether the value is or contains this very map."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        current = todo.pop()
        if current is target:
            return True
        if not isinstance(current, (list, dict)) or id(current) in seen:
            continue
        seen.add(id(current))
        budget.step(1 + len(current) // _SCALARS_PER_STEP)
        items = current.values() if isinstance(current, dict) else current
        todo += [item for item in items if isinstance(item, (list, dict))]
    return False
