"""Names of the kinds of values: Go's for templates, ours for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.values import DocumentNumber, Int64, Missing, Uint8

if TYPE_CHECKING:
    from secret_sync.templates.values import Value

#: Class -> Go's type (``%T``), Go's kind (``kindOf``), and words for a message. A class of
#: another module has its own three as the attribute ``names``.
_NAMES: Final[dict[type, tuple[str, str, str]]] = {
    bytes: ("string", "string", "a string"),
    bool: ("bool", "bool", "a bool"),
    int: ("int", "int", "an int"),
    Int64: ("int64", "int64", "an int64"),
    Uint8: ("uint8", "uint8", "a byte"),
    float: ("float64", "float64", "a float64"),
    DocumentNumber: ("float64", "float64", "a float64"),
    complex: ("complex128", "complex128", "a complex number"),
    list: ("[]interface {}", "slice", "a list"),
    dict: ("map[string]interface {}", "map", "a map"),
    type(None): ("<nil>", "invalid", "nil"),
    Missing: ("<nil>", "invalid", "missing"),
}


def names_of(value: Value) -> tuple[str, str, str]:
    """Return Go's type, Go's kind, and words for a message (``a string``)."""
    names = _NAMES.get(value.__class__)
    return value.names if names is None else names


def type_of(value: Value) -> str:
    """Return Go's type: ``[]interface {}``."""
    return names_of(value)[0]


def kind_of(value: Value) -> str:
    """Return Go's kind: ``slice``, ``invalid`` for a missing value."""
    return names_of(value)[1]


def described(value: Value) -> str:
    """Return the kind in words for a message: ``a list``."""
    return names_of(value)[2]
