"""Conversion between kinds, as the library ``cast`` does it for Sprig."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.printing import printed
from secret_sync.templates.values import Int64, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

CONVERSIONS: Final = FunctionTable()

_INT64: Final = 2**63
#: What an amd64 processor makes of a float that fits no int64.
_OVERFLOW: Final = -_INT64
#: More bytes than a number has that anyone writes.
_MAX_TEXT: Final = 512

_INTEGER: Final = re.compile(
    rb"([+-]?)(?:0[xX]_?([0-9a-fA-F]+(?:_[0-9a-fA-F]+)*)|0[bB]_?([01]+(?:_[01]+)*)"
    rb"|0[oO]?_?([0-7]+(?:_[0-7]+)*)|(0|[1-9][0-9]*(?:_[0-9]+)*))"
)
_BASES: Final = (16, 2, 8, 10)
_DECIMAL: Final = re.compile(rb"[+-]?[0-9]+")
_OCTAL: Final = re.compile(rb"[+-]?[0-7]+")
_FLOAT: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+(?:_[0-9]+)*\.?(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+(?:_[0-9]+)*)"
    rb"(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?|inf(?:inity)?)",
    re.IGNORECASE,
)
_HEX_FLOAT: Final = re.compile(
    rb"[+-]?0x_?(?:[0-9a-f_]+\.?[0-9a-f_]*|\.[0-9a-f_]+)p[+-]?[0-9]+", re.IGNORECASE
)
_NAN: Final = re.compile(rb"nan", re.IGNORECASE)
_ZERO_FRACTION: Final = re.compile(rb"\.0+\Z")


def wrapped(number: int) -> Int64:
    """Return the int64 that arithmetic without overflow checks gives."""
    return Int64((number + _INT64) % (2 * _INT64) - _INT64)


def int64_of(value: Any) -> Int64:
    """Return the value as an int64, 0 if it is none."""
    if isinstance(value, int):
        return Int64(value)
    if isinstance(value, float):
        return Int64(_truncated(value))
    if isinstance(value, bytes):
        return Int64(_parsed(value))
    return Int64(0)


def float_of(value: Any) -> float:
    """Return the value as a float64, 0 if it is none."""
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, bytes):
        return _parsed_float(value)
    return 0.0


def _truncated(value: float) -> int:
    if not -_INT64 <= value < _INT64:
        return _OVERFLOW
    return int(value)


def _parsed(text: bytes) -> int:
    if len(text) > _MAX_TEXT:
        return 0
    match = _INTEGER.fullmatch(_ZERO_FRACTION.sub(b"", text, count=1))
    if match is None:
        return 0
    sign, *parts = match.groups()
    number = next(
        int(digits, base) for digits, base in zip(parts, _BASES, strict=True) if digits is not None
    )
    if sign == b"-":
        number = -number
    return number if -_INT64 <= number < _INT64 else 0


def _parsed_float(text: bytes) -> float:
    if len(text) > _MAX_TEXT:
        return 0.0
    if _NAN.fullmatch(text):
        return math.nan
    if _FLOAT.fullmatch(text):
        number = float(text)
        return 0.0 if math.isinf(number) and b"n" not in text.lower() else number
    if _HEX_FLOAT.fullmatch(text):
        try:
            return float.fromhex(text.replace(b"_", b"").decode())
        except (OverflowError, ValueError):
            return 0.0
    return 0.0


@CONVERSIONS.function("int", Kind.ANY)
def _int(_: Rendering, value: Any) -> int:
    return int(int64_of(value))


@CONVERSIONS.function("int64", Kind.ANY)
def _int64(_: Rendering, value: Any) -> Int64:
    return int64_of(value)


@CONVERSIONS.function("float64", Kind.ANY)
def _float64(_: Rendering, value: Any) -> float:
    return float_of(value)


@CONVERSIONS.function("atoi", Kind.STRING)
def _atoi(_: Rendering, text: bytes) -> int:
    if len(text) > _MAX_TEXT or _DECIMAL.fullmatch(text) is None:
        return 0
    return max(-_INT64, min(int(text), _INT64 - 1))


@CONVERSIONS.function("toDecimal", Kind.ANY)
def _to_decimal(rendering: Rendering, value: Any) -> Int64:
    text = b"" if is_missing(value) else printed(value, rendering.budget)
    if len(text) > _MAX_TEXT or _OCTAL.fullmatch(text) is None:
        return Int64(0)
    number = int(text, 8)
    return Int64(number if -_INT64 <= number < _INT64 else 0)


@CONVERSIONS.function("toString", Kind.ANY)
def _to_string(rendering: Rendering, value: Any) -> bytes:
    return printed(value, rendering.budget)
