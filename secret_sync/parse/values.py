"""What a document is made of once it is read: plain Python values, and numbers as written."""

from __future__ import annotations

import math
import re
from typing import Final, TypeAlias, Union

#: A document or a part of it.
Value: TypeAlias = Union[bool, str, "Number", list["Value"], dict[str, "Value"], None]

#: JSON's grammar of a number.
JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_BASES: Final = {"0x": 16, "0o": 8}
#: Characters of an integer that is calculated with exactly; reading one is quadratic.
_EXACT_DIGITS: Final = 1000
#: From this on a float of ours is written with an exponent, as Go's `%v` does.
_EXPONENT_FROM: Final = 1e21


class Number:
    """A number with the text it had in the document, so that no digit is ever lost.

    Compares by value, for JMESPath. A class of its own rather than a subclass of `int`: a third
    of the memory, and `true` is not `1`.
    """

    __slots__ = ("_value", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._value: int | float | None = None

    @property
    def value(self) -> int | float:
        """The number itself; a float where the integer is too long to calculate with."""
        value = self._value
        if value is None:
            # Kept: a filter asks for the same number again and again.
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
    """A key of a YAML mapping that is no string there (``1: a``); it is known by its text."""

    __slots__ = ()


def number_of(value: float) -> Number | None:
    """A computed number, written as Go writes it; ``None`` if it is none that can be written."""
    try:
        if isinstance(value, int):
            return Number(str(value))
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) < _EXPONENT_FROM:
            return Number(str(int(value)))
        return Number(repr(value))
    except ValueError:
        # Past the interpreter's limit of digits.
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
