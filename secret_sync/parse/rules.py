"""`replaceRule`: regular expressions on keys, with Go's meaning of a replacement."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secret_sync.errors import DefiniteError
from secret_sync.parse.codes import (
    INVALID_KEY,
    INVALID_REGEX,
    KEY_COLLISION,
    TOO_COSTLY,
    encoded,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of a `source` or `target`.
MAX_RULE_LENGTH: Final = 1024
MAX_RULES: Final = 64
#: Characters of a key before and between the rules; a Secret allows 253 in the end.
MAX_WORKING_LENGTH: Final = 4096
#: Rules times keys, each key weighed by its length; 2 us each.
MAX_WORK: Final = 100_000
#: Characters of a key that cost as much as a call.
_CHARACTERS_PER_WORK: Final = 64
#: Bytes of RE2 for one expression and its automata: takes 2 ms at most to be compiled, and still
#: reads `[a-z]{1000}`. And how many are remembered; the package keeps the last 128 itself.
_REGEX_MEMORY: Final = 256 * 1024
_CACHED: Final = 128

#: What may follow a `$`: the longest name, bare or in braces.
_REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})?")
#: A group is meant by its number only in this form.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def check_rule(source: str, target: str) -> None:
    """Checks one rule without a key.

    Raises:
        DefiniteError: With code ``InvalidRegex`` or ``TooCostly``.
    """
    for what, text in (("source", source), ("target", target)):
        if len(text) > MAX_RULE_LENGTH:
            raise DefiniteError(
                f"the `{what}` of a rule of `replaceRule` has {len(text)} characters, "
                f"{MAX_RULE_LENGTH} are allowed",
                code=TOO_COSTLY,
            )
    _compiled(source)


def rename(keys: Sequence[str], rules: Sequence[tuple[str, str]]) -> list[str]:
    """What the rules make of each key, in the order of the keys.

    Args:
        keys: Distinct keys.
        rules: Pairs of source and target, each applied to what the former made.

    Raises:
        DefiniteError: With code ``KeyCollision`` if two keys become one, ``InvalidKey`` for a key
            that no rule can work on, ``TooCostly``, ``InvalidRegex``.
    """
    work = len(rules) * sum(1 + len(key) // _CHARACTERS_PER_WORK for key in keys)
    if work > MAX_WORK:
        raise DefiniteError(
            f"{len(rules)} rules of `replaceRule` on {len(keys)} keys are too many; "
            "select what is needed with `jmesPath`",
            code=TOO_COSTLY,
        )
    compiled = [(_compiled(source), target) for source, target in rules]
    origins: dict[str, str] = {}
    for key in keys:
        encoded_key_check(key)
        name = key
        for regex, target in compiled:
            name = _replace_all(regex, target, name)
            _check_length(name, key)
        if name in origins:
            raise DefiniteError(
                f"`replaceRule` makes {shown(name)} of both {shown(origins[name])} and "
                f"{shown(key)}; let the rules keep them apart",
                code=KEY_COLLISION,
            )
        origins[name] = key
    return list(origins)


def escaped(text: str) -> str:
    """The text as a regular expression that matches just it."""
    return _META.sub(r"\\\g<0>", text)


@lru_cache(maxsize=_CACHED)
def _compiled(source: str) -> Any:
    # Two MiB that only those pay who have a rule.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY
    try:
        return re2.compile(source, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise DefiniteError(
            f"the `source` {shown(source)} of `replaceRule` is no regular expression that RE2 "
            f"reads{_reason(error)}",
            code=INVALID_REGEX,
        ) from None


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return f": {reason}" if isinstance(reason, str) and reason else ""


def _check_length(name: str, key: str) -> None:
    if len(name) > MAX_WORKING_LENGTH:
        raise DefiniteError(
            f"`replaceRule` makes a key of over {MAX_WORKING_LENGTH} characters of {shown(key)}",
            code=INVALID_KEY,
        )


def encoded_key_check(key: str) -> None:
    """Refuses a key on which no regular expression can be tried.

    Raises:
        DefiniteError: With code ``InvalidKey`` or ``NotADocument``.
    """
    if len(key) > MAX_WORKING_LENGTH:
        raise DefiniteError(
            f"the key {shown(key)} has {len(key)} characters, {MAX_WORKING_LENGTH} are read",
            code=INVALID_KEY,
        )
    encoded(key)


def _replace_all(regex: Any, target: str, text: str) -> str:
    pieces: list[str] = []
    end = 0
    for match in regex.finditer(text):
        pieces.append(text[end : match.start()])
        # Go leaves an empty match right after another match alone.
        if match.end() > end or match.start() == 0:
            pieces.append(_expanded(target, match))
        end = match.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _expanded(target: str, match: Any) -> str:
    def referenced(reference: re.Match[str]) -> str:
        dollar, *names = reference.groups()
        name = names[0] or names[1]
        if dollar or not name:
            return "$"
        return _group(match, name)

    return _REFERENCE.sub(referenced, target)


def _group(match: Any, name: str) -> str:
    if _NUMBER.fullmatch(name):
        number = int(name)
        return (match.group(number) or "") if number <= match.re.groups else ""
    return (match.group(name) or "") if name in match.re.groupindex else ""
