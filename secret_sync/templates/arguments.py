"""Whether values and constants fit the parameters of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.constants import NumberConstant
from secret_sync.templates.errors import BadValueError
from secret_sync.templates.functions import Kind
from secret_sync.templates.kinds import described, kind_of, type_of
from secret_sync.templates.printing import missing
from secret_sync.templates.values import DocumentNumber, Int64, Uint8, is_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.templates.functions import Function
    from secret_sync.templates.values import Value

_CLASSES: Final[dict[Kind, frozenset[type]]] = {
    Kind.STRING: frozenset((bytes,)),
    Kind.INT: frozenset((int,)),
    Kind.INT64: frozenset((Int64,)),
    Kind.UINT8: frozenset((Uint8,)),
    Kind.FLOAT: frozenset((float, DocumentNumber)),
    Kind.BOOL: frozenset((bool,)),
    Kind.LIST: frozenset((list,)),
    Kind.MAP: frozenset((dict,)),
}
#: What a missing value is where a map is needed. Sprig's lists are of no type in Go, so a missing
#: one is an error there.
_EMPTY: Final[dict[Kind, Callable[[], Value]]] = {Kind.MAP: dict}
#: What to do, by what is needed and the kind (as `kindOf` names it) that is there.
_ADVICE: Final = {
    (Kind.INT, "string"): "convert it with int or atoi",
    (Kind.INT, "int64"): "convert it with int",
    (Kind.INT, "float64"): "convert it with int",
    (Kind.INT64, "int"): "convert it with int64",
    (Kind.FLOAT, "string"): "convert it with float64",
    (Kind.FLOAT, "int"): "convert it with float64",
    (Kind.FLOAT, "int64"): "convert it with float64",
    (Kind.MAP, "string"): "read it with fromJson",
    (Kind.LIST, "string"): "split it with splitList, or read it with fromJson",
    (Kind.TIME, "string"): "read it with toDate",
    (Kind.STRING, "slice"): "join it, or convert it with toString or toJson",
    (Kind.STRING, "map"): "take one of its fields, or convert it with toString or toJson",
}


def fit(kind: Kind) -> Callable[[Value], Value] | None:
    """Return what checks a value for a parameter; ``None`` if any value fits.

    A missing value fits a map, where it is an empty one, as in Go.
    """
    if kind is Kind.ANY:
        return None
    if kind is Kind.TIME:
        return _time
    classes = _CLASSES[kind]
    empty = _EMPTY.get(kind)

    def check(value: Value) -> Value:
        if value.__class__ in classes:
            return value
        if is_missing(value) and empty is not None:
            return empty()
        raise unfit(value, kind)

    return check


def _time(value: Value) -> Value:
    if type_of(value) != "time.Time":
        raise unfit(value, Kind.TIME)
    return value


def unfit(value: Value, kind: Kind) -> BadValueError:
    """Return the error of a value that is not of that kind."""
    if is_missing(value):
        return missing(value)
    advice = _ADVICE.get((kind, kind_of(value)), "")
    if not advice and kind is Kind.STRING:
        advice = "convert it with toString"
    return BadValueError(
        f"an argument is {described(value)} and has to be {kind.value}"
        + (f"; {advice}" if advice else "")
    )


def constant_for(kind: Kind, constant: Value) -> Value:
    """Return an untyped constant as the parameter needs it.

    Args:
        kind: What the parameter accepts.
        constant: A string, a boolean, a `NumberConstant`, or ``None`` for nil.

    Raises:
        BadValueError: It does not fit, such as ``3.5`` where an int is needed.
    """
    if constant is None:
        if kind is Kind.ANY:
            return None
        if kind in _EMPTY:
            return _EMPTY[kind]()
        raise BadValueError(f"nil is not {kind.value}")
    if isinstance(constant, NumberConstant):
        return _number_for(kind, constant)
    if kind is Kind.ANY or constant.__class__ in _CLASSES.get(kind, ()):
        return constant
    raise unfit(constant, kind)


def _number_for(kind: Kind, number: NumberConstant) -> Value:
    value: Value = None
    if kind is Kind.ANY:
        value = number.ideal
        if value is None:
            raise BadValueError("an int constant is too large; write it as a string")
    elif kind is Kind.INT:
        value = number.as_int
    elif kind is Kind.INT64 and number.as_int is not None:
        value = Int64(number.as_int)
    elif kind is Kind.UINT8 and number.as_byte is not None:
        value = Uint8(number.as_byte)
    elif kind is Kind.FLOAT:
        value = number.as_float
    if value is not None:
        return value
    if kind is Kind.STRING:
        raise BadValueError("a number has to be a string here; write it in quotes")
    raise BadValueError(f"a number constant has to be {kind.value} here")


def kind_at(function: Function, index: int) -> Kind:
    """Return what the argument with this index has to be; there is one."""
    if index < len(function.parameters):
        return function.parameters[index]
    return function.rest or Kind.ANY


def wrong_number(function: Function, number: int) -> str:
    """Return what is wrong with the number of arguments; ``""`` if nothing is."""
    needed = len(function.parameters)
    if number == needed or (function.rest is not None and number > needed):
        return ""
    least = "at least " if function.rest is not None else ""
    arguments = "argument" if needed == 1 else "arguments"
    return f"{function.name} needs {least}{needed} {arguments} and has {number}"
