"""Checks for text that libyaml accepts, but reads differently from what its author meant.

Each check raises `NotYAMLError`, which gives the position and shows nothing of the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

from secret_sync.documents import BAD_ESCAPE, RAW_CONTROL


class NotYAMLError(Exception):
    """The text is not YAML; the message gives position and cause, and nothing of the text."""


#: Characters that JSON forbids within quotes, and line breaks of YAML 1.1 that libyaml folds.
_CONTROL: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029"
#: What quotes may contain. Legal escapes are matched whole, so that the second of two backslashes
#: does not begin one.
_FINE: Final = {
    "'": re.compile(f"[^{_CONTROL}]*+"),
    '"': re.compile(rf'(?:[^\\{_CONTROL}]++|\\["\\/bfnrtu])*+'),
}
_COMMENT: Final = re.compile(r"#[^\n]*")
#: A line break that was folded, beside the first or the last line of a PEM block.
_FOLDED_PEM: Final = re.compile(r"-----BEGIN [^-\n]{1,64}----- | -----END ")


def check_quoted(text: str, event: Any) -> None:
    """Refuse a quoted scalar that cannot be a JSON string, in what may be invalid JSON.

    YAML folds a raw line break into a space, and has escapes that JSON does not have.

    Args:
        text: The whole document.
        event: A scalar of it.

    Raises:
        NotYAMLError: It contains a raw control character or an illegal escape.
    """
    fine = _FINE.get(event.style)
    if fine is None:
        return
    end = event.end_mark.index
    # A tag or an anchor may come first.
    start = text.find(event.style, event.start_mark.index, end)
    found = fine.match(text, start, end)
    if found is not None and found.end() < end:
        problem = BAD_ESCAPE if text[found.end()] == "\\" else RAW_CONTROL
        raise NotYAMLError(f"{_place(text, found.end())}: {problem}")


def check_folded(event: Any) -> None:
    """Refuse a PEM block whose line breaks became spaces: no program could read that key.

    Raises:
        NotYAMLError: The scalar contains such a PEM block.
    """
    is_folded = event.style != "|" and event.end_mark.line > event.start_mark.line
    if is_folded and _FOLDED_PEM.search(event.value):
        raise NotYAMLError(
            f"line {event.start_mark.line + 1}: YAML would fold the line breaks of a "
            "PEM block (`-----BEGIN`) into spaces; write it after `|`"
        )


def check_key(text: str, event: Any) -> None:
    """Refuse an alias as a key, and an unquoted string in flow style that begins with ``?``.

    Messages show keys, and an alias stands for a value. libyaml removes the ``?``.

    Args:
        text: The whole document.
        event: The first event of a key.

    Raises:
        NotYAMLError: The key is one of these.
    """
    index = event.start_mark.index
    if type(event).__name__ == "AliasEvent":
        raise NotYAMLError(f"{_place(text, index)}: alias as a key; write the key itself")
    if text[index - 1 : index] == "?":
        raise NotYAMLError(
            f"{_place(text, index - 1)}: unquoted string that begins with `?`; quote it"
        )


def check_colon(text: str, key: Any, value: Any) -> None:
    """Refuse a key in flow style without a colon: it is a value, and messages show keys.

    ``{user:admin,password:1234}`` has two of them.

    Args:
        text: The whole document.
        key: The scalar or alias that is the key.
        value: The event that follows.

    Raises:
        NotYAMLError: There is no colon.
    """
    between = text[key.end_mark.index : value.start_mark.index]
    if ":" not in _COMMENT.sub("", between):
        raise NotYAMLError(
            f"{_place(text, key.start_mark.index)}: key without a value in braces; write "
            "`key: value`, with a space after the colon"
        )


def _place(text: str, index: int) -> str:
    line = text.count("\n", 0, index) + 1
    return f"line {line}, column {index - text.rfind(chr(10), 0, index)}"
