"""What a Secret can hold: the API server's rules, told before it has to refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Codes of the errors raised here.
INVALID_KEY: Final = "InvalidKey"
TOO_LARGE: Final = "TooLarge"

#: All values of a Secret together, in bytes.
MAX_BYTES: Final = 1024 * 1024
MAX_KEY_LENGTH: Final = 253

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
#: Of a key that is shown to a person.
_SHOWN: Final = 80


def check_data(data: Mapping[str, bytes]) -> None:
    """Checks the keys and the size of what is to become a Secret.

    Raises:
        DefiniteError: With code ``InvalidKey`` or ``TooLarge``; names the key, never a value.
    """
    for key in data:
        problem = _key_problem(key)
        if problem:
            raise DefiniteError(
                f"{_shown(key)} cannot be a key of a Secret: {problem}; "
                "write another one in the entry's `name`",
                code=INVALID_KEY,
            )
    total = sum(len(value) for value in data.values())
    if total > MAX_BYTES:
        largest = max(data, key=lambda key: len(data[key]))
        raise DefiniteError(
            f"the values have {total} bytes together, a Secret holds {MAX_BYTES}; "
            f"the largest is {_shown(largest)} with {len(data[largest])}",
            code=TOO_LARGE,
        )


def _key_problem(key: str) -> str:
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


def _shown(key: str) -> str:
    return repr(key if len(key) <= _SHOWN else key[:_SHOWN] + "...")
