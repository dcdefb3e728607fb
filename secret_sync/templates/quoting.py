"""Quoted strings and characters of Go: written as ``strconv.Quote`` does, and read."""

from __future__ import annotations

import re
from typing import Final

#: Needs no escape.
_PLAIN: Final = re.compile(rb"[ !#-\[\]-~]*")
_SHORT: Final = {
    ord("\a"): "\\a",
    ord("\b"): "\\b",
    ord("\f"): "\\f",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\v"): "\\v",
    ord("\\"): "\\\\",
}
#: Where ``surrogateescape`` puts the bytes that are not UTF-8.
_BYTES_FROM: Final = 0xDC00
_DELETE: Final = 0x7F
_SPACE: Final = 0x20
_TWO_BYTES: Final = 0x10000
REPLACEMENT: Final = "\ufffd"
MAX_RUNE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def text_of(value: bytes) -> str:
    """Decode UTF-8; each other byte becomes a surrogate, as one rune of Go's would."""
    return value.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Encode what `text_of` decoded."""
    return text.encode("utf-8", "surrogateescape")


def rune(number: int) -> str:
    """Return the character of a number; U+FFFD if there is none."""
    if 0 <= number <= MAX_RUNE and number not in _SURROGATES:
        return chr(number)
    return REPLACEMENT


def quoted(value: bytes, *, ascii_only: bool = False) -> bytes:
    """Return the string in double quotes, with Go's escapes."""
    if _PLAIN.fullmatch(value):
        return b'"%b"' % value
    escapes = _Escapes('"', ascii_only=ascii_only)
    return f'"{text_of(value).translate(escapes)}"'.encode()


def quoted_rune(number: int, *, ascii_only: bool = False) -> bytes:
    """Return the character in single quotes, with Go's escapes."""
    escapes = _Escapes("'", ascii_only=ascii_only)
    return f"'{rune(number).translate(escapes)}'".encode()


class _Escapes(dict[int, str]):
    """Escapes by rune, for `str.translate`; each is made when it is first needed."""

    def __init__(self, quote: str, *, ascii_only: bool) -> None:
        super().__init__(_SHORT)
        self[ord(quote)] = f"\\{quote}"
        self._ascii_only = ascii_only

    def __missing__(self, number: int) -> str:
        self[number] = escape = self._escaped(number)
        return escape

    def _escaped(self, number: int) -> str:
        char = chr(number)
        if char.isprintable() and (number < _DELETE or not self._ascii_only):
            return char
        if number in _SURROGATES:
            return f"\\x{number - _BYTES_FROM:02x}"
        if number < _SPACE or number == _DELETE:
            return f"\\x{number:02x}"
        return f"\\u{number:04x}" if number < _TWO_BYTES else f"\\U{number:08x}"


class NotQuotedError(ValueError):
    """A constant is not a string or character as Go writes them; the message says why."""


_ESCAPE: Final = re.compile(
    r"""\\(?:(?P<short>[abfnrtv\\'"])|(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})"""
    r"""|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>[0-9a-fA-F]{8}))|\\|[^\\]+"""
)
_CHARACTERS: Final = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))
_OCTAL_LIMIT: Final = 256


def unquoted(text: str) -> bytes:
    """Read a string constant with its quotes.

    Raises:
        NotQuotedError: An escape is not one of Go's.
    """
    inner = text[1:-1]
    if text[0] == "`":
        return inner.replace("\r", "").encode()
    if "\\" not in inner:
        return inner.encode()
    return b"".join(_piece(found, '"') for found in _ESCAPE.finditer(inner))


def unquoted_rune(text: str) -> int:
    """Read a character constant with its quotes.

    Raises:
        NotQuotedError: It is not exactly one character.
    """
    inner = text[1:-1]
    if len(inner) == 1 and inner != "\\":
        return ord(inner)
    found = _ESCAPE.fullmatch(inner)
    if found is None or not inner.startswith("\\"):
        raise NotQuotedError("a constant in single quotes has to be one character")
    piece = _piece(found, "'")
    if found["octal"] or found["byte"]:
        return piece[0]
    return ord(piece.decode())


def _piece(found: re.Match[str], quote: str) -> bytes:
    text = found[0]
    if not text.startswith("\\"):
        return text.encode()
    if found["short"]:
        if found["short"] in "'\"" and found["short"] != quote:
            raise NotQuotedError(f"a string has the escape \\{found['short']}; leave out the \\")
        return _CHARACTERS[found["short"]].encode()
    if found["byte"]:
        return bytes.fromhex(found["byte"])
    if found["octal"]:
        number = int(found["octal"], 8)
        if number >= _OCTAL_LIMIT:
            raise NotQuotedError("a string has an octal escape above \\377")
        return bytes((number,))
    digits = found["four"] or found["eight"]
    if not digits:
        raise NotQuotedError("a string has an invalid escape; write a backslash as \\\\")
    number = int(digits, 16)
    if number > MAX_RUNE or number in _SURROGATES:
        raise NotQuotedError("a string has an escape of a character that does not exist")
    return chr(number).encode()
