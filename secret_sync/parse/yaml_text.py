"""Block YAML, byte for byte as Go's yaml.v3 writes it, except where that would lose data.

The last line break is omitted, unless it belongs to a string in block style.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.parse.json_document import check_level, literal
from secret_sync.parse.values import KeyText
from secret_sync.parse.yaml_order import in_order
from secret_sync.parse.yaml_scalars import may_be_plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.values import Value

#: yaml.v3 aligns everything but the items of a list to multiples of this.
_INDENT: Final = 4
#: Bytes of a key that is written on one line with its colon.
_SIMPLE_KEY: Final = 128

#: Characters that need an escape, and so double quotes.
_SPECIAL: Final = re.compile("[^\n\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")
_ESCAPED: Final = re.compile(
    r'["\\]|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]'
)
_ESCAPES: Final = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f",
    "\r": "\\r", "\x1b": "\\e", '"': '\\"', "\\": "\\\\", "\x85": "\\N", "\u2028": "\\L",
    "\u2029": "\\P",
}  # fmt: skip
_BREAK: Final = re.compile("[\n\r\x85\u2028\u2029]")
#: What gives an unquoted string another meaning at its beginning, or anywhere.
_NOT_FIRST: Final = re.compile(r"[#,\[\]{}&*!|>'\"%@` ]|[-?:](?:[ \t]|\Z)|---|\.\.\.")
_NOT_WITHIN: Final = re.compile(r":(?:[ \t]|\Z)|[ \t]#|[\t\n]| \Z")
_SPACE_AT_END_OF_LINE: Final = re.compile(r" (?:\n|\Z)")


def write_yaml(value: Value, take: Callable[[int], None]) -> str:
    """Return the value as block YAML.

    Args:
        value: The value to write.
        take: Charged the characters of each piece before it is kept; raises beyond its limit.

    Raises:
        DefiniteError: With code ``TooCostly`` or ``InvalidJMESPath``: a path built a value that
            is too deep, or that YAML does not have.
    """
    writer = _Writer(take)
    writer.root(value)
    return "".join(writer.pieces)


class _Writer:
    """Writes one value.

    Attributes:
        pieces: The text so far.
    """

    def __init__(self, take: Callable[[int], None]) -> None:
        self.pieces: list[str] = []
        self._take = take
        #: Whether the last piece ended its line, as a string in block style may.
        self._line_ended = True

    def root(self, value: Value) -> None:
        if isinstance(value, (dict, list)) and value:
            self._collection(value, 0, 0)
        else:
            self._put(self._scalar(value, 0, _INDENT))

    def _put(self, text: str) -> None:
        self._take(len(text))
        self.pieces.append(text)
        self._line_ended = text.endswith("\n")

    def _new_line(self, indent: int) -> None:
        self._put(("" if self._line_ended else "\n") + " " * indent)
        self._line_ended = False

    def _collection(self, value: dict[str, Value] | list[Value], indent: int, level: int) -> None:
        """Write a mapping or list whose first line has been started."""
        check_level(level)
        first = True
        if isinstance(value, list):
            for item in value:
                if not first:
                    self._new_line(indent)
                first = False
                self._put("-")
                self._child(item, indent, indent + 2, level)
            return
        aligned = _INDENT * ((indent + _INDENT) // _INDENT)
        for key in in_order(value):
            if not first:
                self._new_line(indent)
            first = False
            self._entry(key, value[key], indent, aligned, level)

    def _entry(self, key: str, value: Value, indent: int, aligned: int, level: int) -> None:
        if not _BREAK.search(key) and len(key.encode(errors="replace")) <= _SIMPLE_KEY:
            self._put(self._key(key) + ":")
            if isinstance(value, (dict, list)) and value:
                self._new_line(aligned)
                self._collection(value, aligned, level + 1)
            else:
                self._put(" " + self._scalar(value, indent, aligned))
            return
        self._put("? " + self._scalar(key, indent, aligned))
        self._new_line(indent)
        self._put(":")
        self._child(value, indent, aligned, level)

    def _child(self, value: Value, indent: int, own: int, level: int) -> None:
        """Write a value on the line of its indicator, which is one column wide."""
        if isinstance(value, (dict, list)) and value:
            self._put(" " * (own - indent - 1))
            self._collection(value, own, level + 1)
        else:
            self._put(" " + self._scalar(value, indent, own))

    @staticmethod
    def _key(key: str) -> str:
        return _text(key) if not isinstance(key, KeyText) else key or "null"

    def _scalar(self, value: Value, indent: int, own: int) -> str:
        if isinstance(value, KeyText):
            return self._key(value)
        if isinstance(value, str):
            return _text(value) if "\n" not in value else _lines(value, indent, own)
        if isinstance(value, (dict, list)):
            return "{}" if isinstance(value, dict) else "[]"
        return literal(value)


def _text(text: str) -> str:
    """Return a string of one line: plain, or in single quotes, or in double quotes."""
    if not may_be_plain(text):
        return _double_quoted(text)
    if _SPECIAL.search(text) or "\t" in text or "\n" in text:
        return _double_quoted(text)
    if _NOT_FIRST.match(text) or _NOT_WITHIN.search(text):
        return "'" + text.replace("'", "''") + "'"
    return text


def _lines(text: str, indent: int, own: int) -> str:
    """Return a string of several lines: in block style if it needs no escape."""
    if _SPECIAL.search(text) or _SPACE_AT_END_OF_LINE.search(text):
        return _double_quoted(text)
    # Parsers take the indentation from the first line, unless a hint gives it.
    hint = str(own - indent) if text[0] in " \t\n" else ""
    chomp = "" if text.endswith("\n") else "-"
    if text == "\n" or text.endswith("\n\n"):
        chomp = "+"
    prefix = " " * own
    lines = (prefix + line if line else "" for line in text.split("\n"))
    return f"|{hint}{chomp}\n" + "\n".join(lines)


def _double_quoted(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    code = ord(char)
    if char in _ESCAPES:
        return _ESCAPES[char]
    if code <= 0xFF:  # noqa: PLR2004
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004
