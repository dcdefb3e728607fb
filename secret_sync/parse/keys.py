"""What a Secret can hold: the API server's rules, told before it has to refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import INVALID_KEY, MAX_BYTES, TOO_LARGE, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_KEY_LENGTH: Final = 253

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_ILLEGAL: Final = re.compile(r"[^-._a-zA-Z0-9]+")


def check_data(data: Mapping[str, bytes]) -> None:
    """Checks the keys and the size of what is to become a Secret.

    Raises:
        DefiniteError: With code ``InvalidKey`` or ``TooLarge``; names the key, never a value.
    """
    for key in data:
        problem = key_problem(key)
        if problem:
            raise DefiniteError(
                f"{shown(key)} cannot be a key of a Secret: {problem}; "
                "write another one in the entry's `name`",
                code=INVALID_KEY,
            )
    total = sum(len(value) for value in data.values())
    if total > MAX_BYTES:
        largest = max(data, key=lambda key: len(data[key]))
        raise DefiniteError(
            f"the values have {total} bytes together, a Secret holds {MAX_BYTES}; "
            f"the largest is {shown(largest)} with {len(data[largest])}",
            code=TOO_LARGE,
        )


def key_problem(key: str) -> str:
    """What the API server would say against the key; ``""`` if nothing."""
    if not key:
        return "it is empty"
    if len(key) > MAX_KEY_LENGTH:
        return f"it has {len(key)} characters, {MAX_KEY_LENGTH} are allowed"
    if not _KEY.fullmatch(key):
        return "only letters, digits, '-', '_' and '.' are allowed"
    # These would leave the directory in which a Secret is mounted.
    if key == "." or key.startswith(".."):
        return "it must not be '.' nor begin with '..'"
    return ""


def legal_key(key: str, taken: Mapping[str, object]) -> str:
    """A legal key that a person will recognise as this one, and that nobody else has."""
    legal = _ILLEGAL.sub("-", key).strip("-")[:MAX_KEY_LENGTH]
    if legal == "." or legal.startswith(".."):
        legal = legal.lstrip(".")
    legal = legal or "key"
    candidate, number = legal, 2
    while candidate in taken:
        candidate = f"{legal[: MAX_KEY_LENGTH - 8]}-{number}"
        number += 1
    return candidate
