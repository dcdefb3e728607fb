"""What a Secret can hold: the API server's rules, checked before it has to refuse."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import (
    INVALID_KEY,
    MAX_BYTES,
    TOO_LARGE,
    copyable,
    is_shown_whole,
    shown,
)
from secret_sync.parse.rules import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping

MAX_KEY_LENGTH: Final = 253
#: Characters of a message for keys and their corrections. A condition holds 4,096.
_NAMED: Final = 2_500

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_ILLEGAL: Final = re.compile(r"[^-._a-zA-Z0-9]+")


def check_data(data: Mapping[str, bytes]) -> None:
    """Check the keys and the size of the data of a Secret.

    Raises:
        DefiniteError: With code ``InvalidKey`` or ``TooLarge``; names all illegal keys, never a
            value.
    """
    check_names(data, "choose another one in the entry's `name`")
    total = sum(len(value) for value in data.values())
    if total > MAX_BYTES:
        largest = max(data, key=lambda key: len(data[key]))
        raise DefiniteError(
            f"the values have {total} bytes together, a Secret holds {MAX_BYTES}; "
            f"the largest is {shown(largest)} with {len(data[largest])} bytes",
            code=TOO_LARGE,
        )


def check_names(names: Collection[str], advice: str) -> None:
    """Check the keys that an ExternalSecret names.

    Args:
        names: The keys of one Secret.
        advice: Where to choose another one.

    Raises:
        DefiniteError: With code ``InvalidKey``, like `check_document_keys`.
    """
    _check(names, advice, ", such as ", lambda _, legal: copyable(legal))


def check_document_keys(keys: Collection[str]) -> None:
    """Check the keys of a document, after the rules of ``replaceRule``.

    Raises:
        DefiniteError: With code ``InvalidKey``; names the illegal keys and a correction for each,
            as far as they fit into a message.
    """
    _check(keys, "rename with `replaceRule`", ": ", _rule)


def _check(keys: Collection[str], advice: str, lead: str, fix: Callable[[str, str], str]) -> None:
    problems = {key: problem for key in keys if (problem := key_problem(key))}
    if not problems:
        return
    taken = set(keys)
    numbers: dict[str, int] = {}
    named: list[str] = []
    reasons: list[str] = []
    fixes: list[str] = []
    room = _NAMED
    for key, problem in problems.items():
        legal = legal_key(key, taken, numbers)
        taken.add(legal)
        fixed = fix(key, legal) if is_shown_whole(key) else ""
        room -= len(shown(key)) + len(fixed)
        if room < 0:
            break
        named.append(shown(key))
        reasons.append(problem)
        fixes += [fixed] if fixed else []
    more = len(problems) - len(named)
    others = f" and {more} more" if more else ""
    single = len(problems) == 1
    cannot = " cannot be a key of a Secret: " if single else " cannot be keys of a Secret: "
    examples = lead + ", ".join(fixes) if fixes else ""
    rest = "; likewise for the others" if 0 < len(fixes) < len(problems) else ""
    raise DefiniteError(
        f"{', '.join(named)}{others}{cannot}"
        f"{' and '.join(dict.fromkeys(reasons))}; {advice}{examples}{rest}",
        code=INVALID_KEY,
    )


def key_problem(key: str) -> str:
    """Return why the API server would reject the key; ``""`` if it would not."""
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


def legal_key(key: str, taken: Container[str], numbers: dict[str, int]) -> str:
    """Return an unused legal key that resembles the illegal one.

    Args:
        key: The illegal key.
        taken: The keys in use.
        numbers: The last number tried for each name, so that none is tried twice.
    """
    legal = _ILLEGAL.sub("-", key).strip("-")[:MAX_KEY_LENGTH]
    if legal == "." or legal.startswith(".."):
        legal = legal.lstrip(".")
    legal = legal or "key"
    candidate, number = legal, numbers.get(legal, 1)
    while candidate in taken:
        number += 1
        candidate = f"{legal[: MAX_KEY_LENGTH - 8]}-{number}"
    numbers[legal] = number
    return candidate


def _rule(key: str, legal: str) -> str:
    """Return the rule that renames exactly this key."""
    return f"{{source: {copyable(f'^{escaped(key)}$')}, target: {copyable(legal)}}}"
