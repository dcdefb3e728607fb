"""The directives of ``printf``'s layout: ``%-10.3[2]f``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.kinds import described
from secret_sync.templates.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.templates.values import Value

#: The largest width and precision.
_LARGEST: Final = 1_000_000
_FLAGS: Final = re.compile(rb"[#0+\- ]*")
_DIGITS: Final = re.compile(rb"[0-9]+")
_INDEX: Final = re.compile(rb"\[([0-9]+)\]")
_VERB: Final = re.compile(rb"[a-zA-Z%]")


@dataclass(slots=True)
class Directive:
    """What a directive says.

    Attributes:
        verb: A letter, or ``%``.
        flags: The characters of its flags.
        width, precision: ``None`` if there is none.
        minus, zero: Whether it pads to the right, and with zeros.
    """

    verb: str
    flags: frozenset[str]
    width: int | None
    precision: int | None
    minus: bool
    zero: bool


class DirectiveReader:
    """Reads the directives of a layout, and counts which value is next.

    Args:
        layout: The first argument of ``printf``.
        values: The others.

    Attributes:
        position: Where the next character of the layout is.
        next_value: Index of the value that the next verb prints.
        reordered: Whether a directive has named a value by its number.
    """

    def __init__(self, layout: bytes, values: Sequence[Value]) -> None:
        self.position = 0
        self.next_value = 0
        self.reordered = False
        self._layout = layout
        self._values = values

    def read(self) -> Directive:
        """Read the directive whose ``%`` was just passed.

        Raises:
            BadValueError: Go would write ``%!`` for it.
        """
        flags = self._flags()
        after_index = self._index()
        width, negative = self._width(after_index=after_index)
        after_index = after_index and width is None
        precision = None
        if self._layout[self.position : self.position + 1] == b".":
            self.position += 1
            if after_index:
                raise BadValueError("a number in [] has to be before * or the verb")
            precision, after_index = self._precision()
        if not after_index:
            self._index()
        found = _VERB.match(self._layout, self.position)
        if found is None:
            raise BadValueError("a % has no verb behind it; write %% for a percent sign")
        self.position = found.end()
        minus = negative or "-" in flags
        return Directive(
            found[0].decode(), flags, width, precision, minus, "0" in flags and not minus
        )

    def _flags(self) -> frozenset[str]:
        found = _FLAGS.match(self._layout, self.position)
        text = found[0] if found is not None else b""
        self.position += len(text)
        return frozenset(text.decode())

    def _index(self) -> bool:
        if self._layout[self.position : self.position + 1] != b"[":
            return False
        found = _INDEX.match(self._layout, self.position)
        number = _number(found[1]) if found is not None else 0
        if found is None or not 1 <= number <= len(self._values):
            raise BadValueError("a number in [] has to be that of a value; the first one is [1]")
        self.reordered = True
        self.next_value = number - 1
        self.position = found.end()
        return True

    def _width(self, *, after_index: bool) -> tuple[int | None, bool]:
        """Return the width, and whether it is negative."""
        if self._star():
            width = self._from_value("width")
            return abs(width), width < 0
        found = _DIGITS.match(self._layout, self.position)
        if found is None:
            return None, False
        if after_index:
            raise BadValueError("a number in [] has to be before * or the verb")
        self.position = found.end()
        return _number(found[0]), False

    def _precision(self) -> tuple[int | None, bool]:
        """Return the precision, and whether a number in [] was the last thing before the verb."""
        after_index = self._index()
        if self._star():
            precision = self._from_value("precision")
            if precision < 0:
                raise BadValueError("a precision is negative")
            return precision, False
        found = _DIGITS.match(self._layout, self.position)
        if found is None:
            return 0, after_index
        self.position = found.end()
        return _number(found[0]), after_index

    def _star(self) -> bool:
        if self._layout[self.position : self.position + 1] != b"*":
            return False
        self.position += 1
        return True

    def _from_value(self, what: str) -> int:
        if self.next_value >= len(self._values):
            raise BadValueError(f"there is no value for a {what} (*)")
        value = self._values[self.next_value]
        self.next_value += 1
        if is_missing(value) or not isinstance(value, int) or isinstance(value, bool):
            raise BadValueError(f"a {what} (*) has to be an int and is {described(value)}")
        if abs(value) > _LARGEST:
            raise BadValueError(f"a {what} is above {_LARGEST}")
        return int(value)


def _number(digits: bytes) -> int:
    # Few digits are enough to see that it is too large.
    number = int(digits.lstrip(b"0")[:8] or b"0")
    if number > _LARGEST:
        raise BadValueError(f"a width or precision is above {_LARGEST}")
    return number
