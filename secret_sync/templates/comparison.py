"""Equality and order of values, as Go's templates define them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.kinds import described
from secret_sync.templates.printing import missing
from secret_sync.templates.values import DocumentNumber, Uint8, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.values import Value

#: What is compared with one another. Ints of all kinds are, but no int with a float.
_FAMILIES: dict[type, str] = {
    bool: "bool",
    Uint8: "int",
    float: "float",
    DocumentNumber: "float",
    complex: "complex",
    bytes: "string",
}
_ORDERED = frozenset(("int", "float", "string"))


def basic_equal(first: Value, second: Value) -> bool:
    """Return whether two values are equal for ``eq``; a missing one equals only a missing one.

    Raises:
        BadValueError: They cannot be compared, such as an int with a string.
    """
    if is_missing(first) or is_missing(second):
        return is_missing(first) and is_missing(second)
    family = _family(first)
    if family != _family(second):
        raise _unlike(first, second)
    if family in {"list", "dict"}:
        raise BadValueError(f"{described(first)} cannot be compared; use deepEqual")
    return bool(first == second)


def less(first: Value, second: Value) -> bool:
    """Return whether the first value is less for ``lt``.

    Raises:
        BadValueError: They have no order, or one is missing.
    """
    for value in (first, second):
        if is_missing(value):
            raise missing(value)
        if _family(value) not in _ORDERED:
            raise BadValueError(f"{described(value)} has no order; compare numbers or strings")
    if _family(first) != _family(second):
        raise _unlike(first, second)
    return bool(first < second)


def _family(value: Value) -> str:
    kind = value.__class__
    family = _FAMILIES.get(kind)
    if family is not None:
        return family
    return "int" if isinstance(value, int) else kind.__name__


def _unlike(first: Value, second: Value) -> BadValueError:
    return BadValueError(
        f"{described(first)} and {described(second)} cannot be compared; "
        "convert one of them, for example with int, float64 or toString"
    )
