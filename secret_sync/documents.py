"""JSON documents: read with numbers as written and without duplicate keys."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NoReturn

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Neither JSON nor YAML, or a document without keys.
NOT_A_DOCUMENT: Final = "NotADocument"
#: A duplicate key in a mapping of the document, or a duplicate alias in `jmesPath`.
DUPLICATE_KEY: Final = "DuplicateKey"
#: Levels, nodes, aliases or steps beyond a limit.
TOO_COSTLY: Final = "TooCostly"

#: Nested mappings and lists.
MAX_LEVELS: Final = 100
#: Values of a document: a number of two characters takes a hundred bytes of memory, and every
#: object lengthens the garbage collector's pauses of the event loop.
MAX_VALUES: Final = 50_000

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
#: Characters of a key that are shown in a message.
_SHOWN: Final = 80


class NotJSONError(Exception):
    """The text is not JSON; the message gives position and cause, and nothing of the text.

    Attributes:
        in_string: Whether the error is within a string.
    """

    def __init__(self, message: str, *, in_string: bool) -> None:
        super().__init__(message)
        self.in_string = in_string


def read_json(text: str, number: Callable[[str], Any]) -> Any:
    """Parse a document.

    Args:
        text: The document.
        number: Makes a value of the digits of a number; called once for all equal ones.

    Raises:
        NotJSONError: The text is not JSON.
        DefiniteError: It is JSON that must not be used: too costly, a duplicate key, `NaN`.
    """
    _check_size(text)
    numbers: dict[str, Any] = {}

    def known_number(digits: str) -> Any:
        known = numbers.get(digits)
        if known is None:
            known = numbers[digits] = number(digits)
        return known

    try:
        return json.loads(
            text,
            parse_int=known_number,
            parse_float=known_number,
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


def shown(key: str) -> str:
    """Return the key for a message: quoted, on one line, at most 80 characters of it."""
    return repr(key if is_shown_whole(key) else key[:_SHOWN] + "...")


def is_shown_whole(key: str) -> bool:
    """Return whether `shown` shows the whole key."""
    return len(key) <= _SHOWN


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
