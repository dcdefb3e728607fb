"""Floats as text, as Go's ``strconv.FormatFloat`` writes them."""

from __future__ import annotations

import math
from typing import Final

#: Where ``%g`` begins to write an exponent if it prints as few digits as possible.
_EXPONENT_FROM: Final = 6
_EXPONENT_BELOW: Final = -4


def shortest(value: float) -> bytes:
    """Return the shortest text that reads back as the same float: ``1e+06``, ``0.25``."""
    if not math.isfinite(value):
        return non_finite(value)
    sign, digits, exponent = decimal_digits(value)
    if not _EXPONENT_BELOW <= exponent < _EXPONENT_FROM:
        return (sign + scientific(digits, exponent)).encode()
    return (sign + positional(digits, exponent)).encode()


def non_finite(value: float) -> bytes:
    """Return ``NaN``, ``+Inf`` or ``-Inf``."""
    if math.isnan(value):
        return b"NaN"
    return b"+Inf" if value > 0 else b"-Inf"


def decimal_digits(value: float) -> tuple[str, str, int]:
    """Return the sign, the fewest digits that are enough, and the exponent of the first one."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    text = whole + fraction
    digits = text.lstrip("0")
    if not digits:
        return sign, "0", 0
    first = len(whole) - 1 - (len(text) - len(digits)) + int(exponent or "0")
    return sign, digits.rstrip("0"), first


def scientific(digits: str, exponent: int, letter: str = "e") -> str:
    """Return ``d.ddde±dd``."""
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{letter}{exponent:+03d}"


def positional(digits: str, exponent: int) -> str:
    """Return the digits around a point, without an exponent."""
    if exponent < 0:
        return f"0.{'0' * (-exponent - 1)}{digits}"
    if len(digits) <= exponent + 1:
        return digits.ljust(exponent + 1, "0")
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
