"""Escaped text: HTML, JavaScript, queries of URLs, as ``text/template`` writes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from secret_sync.templates.quoting import bytes_of, text_of

if TYPE_CHECKING:
    from secret_sync.templates.limits import TemplateBudget

_HTML: Final = {
    b"\0": "\ufffd".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"&": b"&amp;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_HTML_SPECIAL: Final = re.compile(rb"[\0\"'&<>]")
_JS_SPECIAL: Final = re.compile("[\\\\'\"<>&=\\x00-\\x1f]|[^\\x00-\\x7e\\x7f]")
_JS: Final = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
#: Bytes of the longest escape, by byte that is escaped.
_LONGEST_HTML: Final = 5
_LONGEST_JS: Final = 6
_LONGEST_URL: Final = 3
_ASCII: Final = 0x80
#: How `text_of` decodes a byte that is not UTF-8.
_RAW_BYTES: Final = range(0xDC80, 0xDD00)


def html_escaped(text: bytes, budget: TemplateBudget) -> bytes:
    """Escape ``<``, ``>``, ``&``, quotes and NUL."""
    special = len(_HTML_SPECIAL.findall(text))
    budget.create(len(text) + special * (_LONGEST_HTML - 1))
    return _HTML_SPECIAL.sub(lambda found: _HTML[found[0]], text) if special else text


def js_escaped(text: bytes, budget: TemplateBudget) -> bytes:
    """Escape what ends a string of JavaScript or a script, and what cannot be printed."""
    budget.create(len(text))
    decoded = text_of(text)
    special = len(_JS_SPECIAL.findall(decoded))
    budget.create(special * (_LONGEST_JS - 1))
    return bytes_of(_JS_SPECIAL.sub(_js_escape, decoded)) if special else text


def _js_escape(found: re.Match[str]) -> str:
    char = found[0]
    number = ord(char)
    # What is not UTF-8 is a printable replacement character for Go, which leaves the byte.
    if number in _RAW_BYTES or (number >= _ASCII and char.isprintable()):
        return char
    return _JS.get(char) or f"\\u{number:04X}"


def url_escaped(text: bytes, budget: TemplateBudget) -> bytes:
    """Escape all but letters, digits and ``-_.~``; a space is a plus."""
    budget.create(len(text) * _LONGEST_URL)
    return quote_plus(text).encode()
