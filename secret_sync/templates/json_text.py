"""Values as JSON, as Go's ``encoding/json`` writes them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import BadValueError
from secret_sync.templates.kinds import described
from secret_sync.templates.numbers import decimal_digits, positional
from secret_sync.templates.quoting import REPLACEMENT, text_of
from secret_sync.templates.sameness import check_level
from secret_sync.templates.values import DocumentNumber, is_missing

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget

#: Where floats begin to have an exponent.
_EXPONENT_FROM: Final = 21
_EXPONENT_BELOW: Final = -6

_PLAIN: Final = re.compile(rb"[ !#-%'-;=?-\[\]-\x7f]*")
_ALWAYS: Final = '"\\\\\x00-\x1f\u2028\u2029\udc80-\udcff'
_SPECIAL: Final = re.compile(f"[{_ALWAYS}<>&]")
_RAW_SPECIAL: Final = re.compile(f"[{_ALWAYS}]")
_SHORT: Final = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"
}  # fmt: skip
#: The longest escape, of one byte.
_LONGEST: Final = 6


def write_json(
    value: Any, budget: TemplateBudget, *, escape_html: bool = True, pretty: bool = False
) -> bytes:
    """Return the value as JSON with sorted keys.

    Raises:
        FunctionError: JSON has no such value, or it is nested too deeply.
        TemplateError: The text exceeds the budget.
    """
    writer = _JSONWriter(budget, _SPECIAL if escape_html else _RAW_SPECIAL, pretty=pretty)
    writer.write(value, 0)
    return b"".join(writer.pieces)


class _JSONWriter:
    def __init__(self, budget: TemplateBudget, special: re.Pattern[str], *, pretty: bool) -> None:
        self.pieces: list[bytes] = []
        self._budget = budget
        self._special = special
        self._pretty = pretty

    def write(self, value: Any, level: int) -> None:
        self._budget.step()
        if isinstance(value, dict):
            self._write_map(value, level)
        elif isinstance(value, list):
            self._write_list(value, level)
        elif isinstance(value, bytes):
            self._string(value)
        else:
            self._add(_scalar(value))

    def _write_map(self, value: dict[bytes, Any], level: int) -> None:
        check_level(level)
        colon = b": " if self._pretty else b":"
        separator = b"{"
        for key in sorted(value):
            self._add(separator + self._line(level + 1))
            self._string(key)
            self._add(colon)
            self.write(value[key], level + 1)
            separator = b","
        self._add(self._line(level) + b"}" if value else b"{}")

    def _write_list(self, value: list[Any], level: int) -> None:
        check_level(level)
        separator = b"["
        for item in value:
            self._add(separator + self._line(level + 1))
            self.write(item, level + 1)
            separator = b","
        self._add(self._line(level) + b"]" if value else b"[]")

    def _line(self, level: int) -> bytes:
        return b"\n" + b"  " * level if self._pretty else b""

    def _add(self, piece: bytes) -> None:
        self._budget.create(len(piece))
        self.pieces.append(piece)

    def _string(self, text: bytes) -> None:
        if _PLAIN.fullmatch(text):
            self._add(b'"%b"' % text)
            return
        characters = text_of(text)
        specials = len(self._special.findall(characters))
        self._budget.create(len(text) + specials * _LONGEST + 2)
        self._budget.step(specials)
        self.pieces.append(b'"%b"' % self._special.sub(_escaped, characters).encode())


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    short = _SHORT.get(character)
    if short is not None:
        return short
    if "\udc80" <= character <= "\udcff":
        character = REPLACEMENT
    return f"\\u{ord(character):04x}"


def _scalar(value: Any) -> bytes:
    if is_missing(value):
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, DocumentNumber):
        return value.text
    if isinstance(value, float):
        return _float(value)
    text = getattr(value, "json_text", None)
    if text is None:
        raise BadValueError(f"JSON has nothing for {described(value)}")
    return b'"%b"' % text()


def _float(value: float) -> bytes:
    if not math.isfinite(value):
        raise BadValueError("JSON has neither infinity nor NaN")
    sign, digits, exponent = decimal_digits(value)
    if _EXPONENT_BELOW <= exponent < _EXPONENT_FROM:
        return f"{sign}{positional(digits, exponent)}".encode()
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{exponent:+d}".encode()
