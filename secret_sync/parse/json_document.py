"""JSON: read with numbers as written and duplicate keys refused, written compact."""

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
    MAX_BYTES,
    MAX_LEVELS,
    NOT_A_DOCUMENT,
    TOO_COSTLY,
    TOO_LARGE,
    shown,
)
from secret_sync.parse.values import Number

if TYPE_CHECKING:
    from secret_sync.parse.values import Value

#: Mappings and lists of a document: an empty one is two characters and eighty bytes of memory.
MAX_CONTAINERS: Final = 100_000

#: All but brackets: whole strings (an unfinished one to the end) and the rest. Possessive, so
#: that no input makes it go back.
_NO_BRACKETS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[^\[\]{}"]++', re.DOTALL)
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class NotJSONError(Exception):
    """The text is no JSON; the message says where and why, and shows nothing of it."""


def read_json(text: str) -> Value:
    """Reads a document.

    Raises:
        NotJSONError: It is something else, or broken.
        DefiniteError: It is JSON that must not be used: too large, too costly, a key twice, `NaN`.
    """
    _check_levels(text)
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
        reason = error.msg.partition(":")[0]
        raise NotJSONError(f"line {error.lineno}, column {error.colno}: {reason}") from None
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise DefiniteError(
            f"the JSON document has over {MAX_BYTES} bytes; split it", code=TOO_LARGE
        )
    return document


def write_json(value: Value) -> str:
    """The value as compact JSON, keys sorted and ``<``, ``>``, ``&`` escaped, as Go does."""
    pieces: list[str] = []
    _write(value, pieces)
    return "".join(pieces)


def _check_levels(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_LEVELS:
        return
    brackets = _NO_BRACKETS.sub("", text).replace('"', "")
    containers = brackets.count("[") + brackets.count("{")
    if containers > MAX_CONTAINERS:
        raise DefiniteError(
            f"the document has {containers} mappings and lists, {MAX_CONTAINERS} are allowed",
            code=TOO_COSTLY,
        )
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_LEVELS:
        raise DefiniteError(
            f"the document is nested more than {MAX_LEVELS} levels deep", code=TOO_COSTLY
        )


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = counts.most_common(1)[0][0]
        raise DefiniteError(
            f"the key {shown(twice)} is twice in one mapping of the document", code=DUPLICATE_KEY
        )
    return mapping


def _refuse_constant(name: str) -> NoReturn:
    raise DefiniteError(
        f"the document has the number {name}, which JSON does not know; write it as a string",
        code=NOT_A_DOCUMENT,
    )


def _write(value: Value, pieces: list[str]) -> None:
    if isinstance(value, str):
        pieces.append(quoted_json(value))
    elif isinstance(value, dict):
        separator = "{"
        for key in sorted(value):
            pieces.append(separator)
            pieces.append(quoted_json(key))
            pieces.append(":")
            _write(value[key], pieces)
            separator = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for item in value:
            pieces.append(separator)
            _write(item, pieces)
            separator = ","
        pieces.append("]" if value else "[]")
    elif isinstance(value, Number):
        pieces.append(value.text)
    else:
        pieces.append("null" if value is None else "true" if value else "false")


def quoted_json(text: str) -> str:
    """The text as a JSON string."""
    quoted = encode_basestring(text)
    return quoted.translate(_ESCAPED) if _ESCAPE.search(quoted) else quoted


_ESCAPE: Final = re.compile("[<>&\u2028\u2029\x7f]")
_ESCAPED: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
