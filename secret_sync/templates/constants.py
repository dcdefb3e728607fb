"""Numbers in templates: untyped, so one may fit several kinds of parameters."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

#: Underscores separate digits; one may follow the prefix of a base.
_INT: Final = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*"
    r"|[1-9](?:_?[0-9])*)"
)
_DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*(?:\.(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)"
    r"(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
_HEX: Final = re.compile(
    r"[+-]?0[xX](?:(?:_?[0-9a-fA-F])+(?:\.(?:[0-9a-fA-F](?:_?[0-9a-fA-F])*)?)?"
    r"|\.[0-9a-fA-F](?:_?[0-9a-fA-F])*)[pP][+-]?[0-9](?:_?[0-9])*"
)
_COMPLEX: Final = re.compile(r"(?P<real>.+?)(?P<imaginary>(?<![eEpP])[+-].*)i")
_LOWEST: Final = -(1 << 63)
_INT_END: Final = 1 << 63
_UINT_END: Final = 1 << 64
#: More characters than an int of 64 bits has, underscores included.
_LONGEST: Final = 200
_OCTAL: Final = re.compile(r"[+-]?0_?[0-7]")


class IllegalNumberError(ValueError):
    """A number that Go does not have; the message says why."""


class NumberConstant(NamedTuple):
    """A number constant, as each kind that can represent it.

    Attributes:
        as_int, as_byte, as_float: As that kind; ``None`` if it does not fit.
        ideal: Where any value is accepted; ``None`` if it is an int that is too large.
    """

    as_int: int | None
    as_byte: int | None
    as_float: float | None
    ideal: complex | None


def character_constant(number: int) -> NumberConstant:
    """Return the constant of a character."""
    return NumberConstant(number, number & 0xFF, float(number), number)


def number_constant(text: str) -> NumberConstant:
    """Read a number.

    Raises:
        IllegalNumberError: It is not a number of Go, or an int beyond 64 bits.
    """
    if text.endswith("i"):
        found = _COMPLEX.fullmatch(text)
        real = _float(found["real"]) if found else 0.0
        return _complex(complex(real, _float(found["imaginary"] if found else text[:-1])))
    if _INT.fullmatch(text):
        # The interpreter refuses to convert thousands of digits.
        number = _int(text) if len(text) <= _LONGEST else _UINT_END
        if _LOWEST <= number < _INT_END:
            byte = number & 0xFF if number >= 0 else None
            return NumberConstant(number, byte, float(number), number)
        if 0 <= number < _UINT_END and text[0] != "+":
            return NumberConstant(None, number & 0xFF, float(number), None)
        raise IllegalNumberError("an int has to fit into 64 bits; write it as a string")
    value = _float(text)
    if not any(char in text for char in ".eEpP"):
        raise IllegalNumberError("a number cannot begin with 0; write it as a string")
    whole = _whole(value)
    return NumberConstant(whole, _byte(whole), value, value)


def _complex(value: complex) -> NumberConstant:
    if value.imag:
        return NumberConstant(None, None, None, value)
    whole = _whole(value.real)
    return NumberConstant(whole, _byte(whole), value.real, value)


def _byte(whole: int | None) -> int | None:
    return None if whole is None or whole < 0 else whole & 0xFF


def _whole(value: float) -> int | None:
    return int(value) if value.is_integer() and _LOWEST <= value < _INT_END else None


def _int(text: str) -> int:
    if _OCTAL.match(text):
        return int(text.replace("_", ""), 8)
    return int(text, 0)


def _float(text: str) -> float:
    digits = text.replace("_", "")
    try:
        if _HEX.fullmatch(text):
            value = float.fromhex(digits)
        elif _DECIMAL.fullmatch(text):
            value = float(digits)
        else:
            raise IllegalNumberError("this is not a number")
    except OverflowError:
        value = math.inf
    if math.isinf(value):
        raise IllegalNumberError("a float has to be below 1.8e308")
    return value
