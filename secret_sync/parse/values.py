"""The values of a parsed document: plain Python values, and numbers as written."""

from __future__ import annotations

import math
import re
from typing import Final, TypeAlias, Union

#: A document or a part of it.
Value: TypeAlias = Union[bool, str, "Number", list["Value"], dict[str, "Value"], None]

#: JSON's grammar for a number.
JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_BASES: Final = {"0x": 16, "0o": 8}
#: Digits of an integer that is calculated with exactly; parsing one is quadratic.
_EXACT_DIGITS: Final = 1000
#: Floats from here on are written with an exponent, as Go's `%v` does.
_EXPONENT_FROM: Final = 1e21


class Number:
    """A number with its text in the document, so that no digit is ever lost.

    Compares by value, for JMESPath. Not a subclass of `int`: this takes a third of the memory,
    and `true` is not `1`.
    """

    __slots__ = ("_value", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._value: int | float | None = None

    @property
    def value(self) -> int | float:
        """Return the number; a float if the integer is too long to calculate with."""
        value = self._value
        if value is None:
            # Cached: a filter compares the same number again and again.
            value = self._value = _value_of(self.text)
        return value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            return self.text == other.text or self.value == other.value
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Number({self.text!r})"


class KeyText(str):
    """The text of a YAML key that is not a string there (``1: a``)."""

    __slots__ = ()


def number_of(value: float) -> Number | None:
    """Return a computed number as Go writes it; ``None`` if it cannot be written."""
    try:
        if isinstance(value, int):
            return Number(str(value))
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) < _EXPONENT_FROM:
            return Number(str(int(value)))
        return Number(repr(value))
    except ValueError:
        # More digits than the interpreter converts.
        return None


def _value_of(text: str) -> int | float:
    base = _BASES.get(text[:2])
    if base is not None:
        return int(text, base)
    if len(text) <= _EXACT_DIGITS:
        try:
            return int(text)
        except ValueError:
            pass
    text = text.lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))
