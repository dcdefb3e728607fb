"""JSON: parsed with numbers as written, written compactly."""

from __future__ import annotations

import re
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Final

from secret_sync import documents
from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import INVALID_JMESPATH, TOO_COSTLY
from secret_sync.parse.values import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.values import Value

#: Levels of a value that is written: a path can build deeper values than its document has.
MAX_WRITTEN_LEVELS: Final = 200


def read_json(text: str) -> Value:
    """Parse a document; raises as `documents.read_json` does."""
    document: Value = documents.read_json(text, Number)
    return document


def write_json(value: Value, take: Callable[[int], None]) -> str:
    """Return the value as compact JSON, keys sorted and ``<``, ``>``, ``&`` escaped, as Go does.

    Args:
        value: The value to write.
        take: Charged the characters of each piece before it is kept; raises beyond its limit.

    Raises:
        DefiniteError: With code ``TooCostly`` or ``InvalidJMESPath``: a path built a value that
            is too deep, or that JSON does not have.
    """
    pieces: list[str] = []
    _write(value, 0, pieces, take)
    return "".join(pieces)


def _write(value: Value, level: int, pieces: list[str], take: Callable[[int], None]) -> None:
    if isinstance(value, dict):
        check_level(level)
        separator = "{"
        for key in sorted(value):
            name = f"{separator}{quoted_json(key)}:"
            take(len(name))
            pieces.append(name)
            _write(value[key], level + 1, pieces, take)
            separator = ","
        text = "}" if value else "{}"
    elif isinstance(value, list):
        check_level(level)
        separator = "["
        for item in value:
            take(1)
            pieces.append(separator)
            _write(item, level + 1, pieces, take)
            separator = ","
        text = "]" if value else "[]"
    else:
        text = quoted_json(value) if isinstance(value, str) else literal(value)
    take(len(text))
    pieces.append(text)


def check_level(level: int) -> None:
    """Refuse to write a value that an expression nested more deeply than any document.

    Raises:
        DefiniteError: With code ``TooCostly``.
    """
    if level > MAX_WRITTEN_LEVELS:
        raise DefiniteError(
            f"a path builds a value that is nested more than {MAX_WRITTEN_LEVELS} levels deep",
            code=TOO_COSTLY,
        )


def literal(value: Value) -> str:
    """Return a number, boolean or null as text, which JSON and YAML write alike.

    Raises:
        DefiniteError: With code ``InvalidJMESPath``: the value is an expression (``&name``).
    """
    if isinstance(value, Number):
        return value.text
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    raise DefiniteError(
        "a path returns an expression (`&...`) instead of a value; only functions take those",
        code=INVALID_JMESPATH,
    )


def quoted_json(text: str) -> str:
    """Return the text as a JSON string."""
    quoted = encode_basestring(text)
    return quoted.translate(_ESCAPED) if _ESCAPE.search(quoted) else quoted


_ESCAPE: Final = re.compile("[<>&\u2028\u2029\x7f]")
_ESCAPED: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
