"""Ints and floats as ``printf`` writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from secret_sync.templates.numbers import (
    non_finite,
    positional,
    scientific,
    shortest,
)
from secret_sync.templates.quoting import MAX_RUNE, text_of

if TYPE_CHECKING:
    from secret_sync.templates.format_directives import Directive

_BASES: Final = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "x": "0x", "X": "0X"}
_UINT_END: Final = 1 << 64
#: Digits that %g writes if a precision is not given but zeros are kept (%#g).
_SHARP_DIGITS: Final = 6
_BELOW: Final = -4
_MANTISSA_BITS: Final = 52
_LOWEST_EXPONENT: Final = -1074


def padded(text: bytes, directive: Directive, *, zeros: bool = True) -> bytes:
    """Fill up with spaces or zeros; the width counts characters."""
    missing = (directive.width or 0) - len(text)
    if missing <= 0 and text.isascii():
        return text
    missing = (directive.width or 0) - len(text_of(text))
    if missing <= 0:
        return text
    if directive.minus:
        return text + b" " * missing
    return (b"0" if directive.zero and zeros else b" ") * missing + text


def _sign(directive: Directive, *, negative: bool) -> str:
    if negative:
        return "-"
    if "+" in directive.flags:
        return "+"
    return " " if " " in directive.flags else ""


def format_integer(value: int, directive: Directive, *, as_hex: bool) -> bytes:
    """Write an int in the base of the verb; ``as_hex``: as ``%#v`` writes a byte."""
    verb, flags = directive.verb, directive.flags
    if verb == "U":
        return _unicode(value, directive)
    if as_hex:
        verb, flags = "x", flags | {"#"}
    if directive.precision == 0 and value == 0:
        return b" " * (directive.width or 0)
    sign = _sign(directive, negative=value < 0)
    digits = format(abs(value), _BASES[verb])
    least = directive.precision or 0
    if directive.precision is None and directive.zero and directive.width is not None:
        least = directive.width - len(sign)
    digits = digits.rjust(least, "0")
    if "#" in flags:
        digits = _PREFIXES.get(verb, "") + digits
        if verb in "oO" and not digits.startswith("0"):
            digits = f"0{digits}"
    if verb == "O":
        digits = f"0o{digits}"
    return padded((sign + digits).encode(), directive, zeros=False)


def _unicode(value: int, directive: Directive) -> bytes:
    number = value % _UINT_END
    text = f"U+{number:0{max(4, directive.precision or 0)}X}"
    if "#" in directive.flags and number <= MAX_RUNE and chr(number).isprintable():
        text += f" '{chr(number)}'"
    return padded(text.encode(), directive, zeros=False)


def format_float(value: float, directive: Directive) -> bytes:
    """Write a float as the verb says."""
    if not math.isfinite(value):
        return _non_finite(value, directive)
    sign = _sign(directive, negative=math.copysign(1, value) < 0)
    number = _digits(abs(value), directive)
    if directive.zero and directive.width is not None and sign:
        number = number.rjust(directive.width - len(sign), "0")
    return padded((sign + number).encode(), directive)


def _non_finite(value: float, directive: Directive) -> bytes:
    text = non_finite(value).decode()
    signs = {"+", " "} & directive.flags
    if text == "NaN":
        text = ("+" if "+" in signs else " " if signs else "") + text
    elif text == "+Inf" and "+" not in signs:
        text = f" {text[1:]}" if signs else text
    return padded(text.encode(), directive, zeros=False)


def _digits(value: float, directive: Directive) -> str:
    verb, precision = directive.verb, directive.precision
    if verb == "b":
        return _binary(value)
    if verb in "xX":
        text = _hexadecimal(value, precision)
        text = text.upper() if verb == "X" else text
        return _sharpened(text, "p", 0, directive) if "#" in directive.flags else text
    if verb in "eE":
        text = f"{value:.{6 if precision is None else precision}{verb}}"
    elif verb in "fF":
        text = f"{value:.{6 if precision is None else precision}f}"
    else:
        text = _general(value, precision, "E" if verb == "G" else "e")
    if "#" not in directive.flags:
        return text
    digits = 0
    if verb in "gGv":
        digits = _SHARP_DIGITS if precision is None else precision
    return _sharpened(text, "E" if verb in "EG" else "e", digits, directive)


def _general(value: float, precision: int | None, letter: str) -> str:
    if precision is None:
        return shortest(value).decode().replace("e", letter)
    precision = precision or 1
    mantissa, _, exponent_text = f"{value:.{precision - 1}e}".partition("e")
    exponent = int(exponent_text)
    digits = mantissa.replace(".", "").rstrip("0") or "0"
    # As strconv: the whole digits of a number are never cut off.
    limit = precision
    if limit > len(digits) and len(digits) >= exponent + 1:
        limit = len(digits)
    if exponent < _BELOW or exponent >= limit:
        return scientific(digits, exponent, letter)
    return positional(digits, exponent)


def _binary(value: float) -> str:
    """Return the mantissa as an int, and the power of two."""
    mantissa, exponent = math.frexp(value)
    power = max(exponent - _MANTISSA_BITS - 1, _LOWEST_EXPONENT)
    if not value:
        power = _LOWEST_EXPONENT
    return f"{int(math.ldexp(mantissa, exponent - power))}p{power:+d}"


def _hexadecimal(value: float, precision: int | None) -> str:
    """Return ``0x1.8p+01``."""
    mantissa, exponent = math.frexp(value)
    if not value:
        digits = "0" * (precision or 0)
        return f"0x0{'.' if digits else ''}{digits}p+00"
    bits = int(math.ldexp(mantissa, _MANTISSA_BITS + 1))
    power = exponent - 1
    places = _MANTISSA_BITS // 4
    if precision is not None and precision < places:
        shift = 4 * (places - precision)
        rest, bits = bits & ((1 << shift) - 1), bits >> shift
        half = 1 << (shift - 1)
        if rest > half or (rest == half and bits & 1):
            bits += 1
        places = precision
        if bits >> (4 * places) > 1:
            bits, power = bits >> 1, power + 1
    fraction = f"{bits & ((1 << 4 * places) - 1):0{places}x}" if places else ""
    fraction = fraction.rstrip("0") if precision is None else fraction.ljust(precision, "0")
    point = "." if fraction else ""
    return f"0x1{point}{fraction}p{power:+03d}"


def _sharpened(text: str, letter: str, digits: int, directive: Directive) -> str:
    """Add the decimal point and the zeros that ``#`` keeps."""
    if directive.verb == "x" and directive.precision is not None:
        digits = directive.precision
    elif directive.verb == "x":
        digits = _SHARP_DIGITS
    number, mark, exponent = text.partition(letter.upper() if directive.verb == "X" else letter)
    digits -= len(number.replace(".", "").lstrip("0"))
    if "." not in number:
        if number == "0":
            digits -= 1
        number += "."
    return number + "0" * max(digits, 0) + mark + exponent
