"""JSON: parsed with numbers as written and without duplicate keys, written compactly."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import accumulate
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import (
    DUPLICATE_KEY,
    INVALID_JMESPATH,
    MAX_LEVELS,
    NOT_A_DOCUMENT,
    TOO_COSTLY,
    shown,
)
from secret_sync.parse.values import Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.parse.values import Value

#: Values of a document: a number of two characters takes a hundred bytes of memory, and every
#: object lengthens the garbage collector's pauses of the event loop.
MAX_VALUES: Final = 50_000

#: Levels of a value that is written: a path can build deeper values than its document has.
MAX_WRITTEN_LEVELS: Final = 200

#: Errors within a string. These two distinguish invalid JSON from YAML.
RAW_CONTROL: Final = (
    "raw line break or other control character in a quoted string; escape it, as `\\n` or `\\t`"
)
BAD_ESCAPE: Final = "invalid escape in a quoted string; write a backslash as `\\\\`"
_IN_STRING: Final = {
    "Invalid control character": RAW_CONTROL,
    "Invalid \\escape": BAD_ESCAPE,
    "Invalid \\uXXXX escape": BAD_ESCAPE,
}

_BRACKET: Final = re.compile(r"[\[\]{}]")
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class NotJSONError(Exception):
    """The text is not JSON; the message gives position and cause, and nothing of the text.

    Attributes:
        in_string: Whether the error is within a string.
    """

    def __init__(self, message: str, *, in_string: bool) -> None:
        super().__init__(message)
        self.in_string = in_string


def read_json(text: str) -> Value:
    """Parse a document.

    Raises:
        NotJSONError: The text is not JSON.
        DefiniteError: It is JSON that must not be used: too costly, a duplicate key, `NaN`.
    """
    _check_size(text)
    numbers: dict[str, Number] = {}

    def number(digits: str) -> Number:
        known = numbers.get(digits)
        if known is None:
            known = numbers[digits] = Number(digits)
        return known

    try:
        document: Value = json.loads(
            text,
            parse_int=number,
            parse_float=number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_mapping,
        )
    except json.JSONDecodeError as error:
        # Some messages end with what was found.
        reason = error.msg.partition(": ")[0].removesuffix(" at")
        problem = _IN_STRING.get(reason, reason)
        raise NotJSONError(
            f"line {error.lineno}, column {error.colno}: {problem}",
            in_string=reason in _IN_STRING,
        ) from None
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


def _check_size(text: str) -> None:
    """Count values and levels before anything is built."""
    containers = text.count("[") + text.count("{")
    if containers <= MAX_LEVELS and containers + text.count(",") <= MAX_VALUES:
        return
    parts = _outside_strings(text)
    values = sum(part.count(",") + part.count("[") + part.count("{") for part in parts)
    if values > MAX_VALUES:
        raise DefiniteError(f"the document has over {MAX_VALUES} values; split it", code=TOO_COSTLY)
    brackets = (_STEP[bracket] for part in parts for bracket in _BRACKET.findall(part))
    if max(accumulate(brackets), default=0) > MAX_LEVELS:
        raise DefiniteError(
            f"the document is nested more than {MAX_LEVELS} levels deep", code=TOO_COSTLY
        )


def _outside_strings(text: str) -> list[str]:
    """Return the text outside strings, in short steps, because each holds the GIL."""
    if "\\" in text:
        # Pairs first, so that a backslash left before a quote escapes it.
        text = text.replace("\\\\", "").replace('\\"', "")
    return text.split('"')[::2]


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise DefiniteError(
            f"a mapping of the document has the key {shown(twice)} twice", code=DUPLICATE_KEY
        )
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise DefiniteError(
        f"the document has the number {name}, which JSON does not have; write it as a string",
        code=NOT_A_DOCUMENT,
    )


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
