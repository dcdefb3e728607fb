"""`replaceRule`: regular expressions on keys, with Go's replacement syntax."""

from __future__ import annotations

import re
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
    from collections.abc import Callable, Sequence

    from secret_sync.parse.stepwise import Steps

#: Characters of a `source` or `target`.
MAX_RULE_LENGTH: Final = 1024
MAX_RULES: Final = 64
#: Characters of a key before and between the rules; the final key may have 253.
MAX_WORKING_LENGTH: Final = 4096
#: Rules times keys, each key weighted by its length; 2 us each.
MAX_WORK: Final = 100_000
#: Characters of a key that cost as much as a call.
_CHARACTERS_PER_WORK: Final = 64
#: Bytes of RE2 for one expression and its automata: compiled in 40 ms at most, and still enough
#: for `[a-z]{1000}`.
REGEX_MEMORY: Final = 256 * 1024
#: Instructions of a program times characters of a key that cost a step. If the automaton does not
#: fit into memory, RE2 interprets the program, which takes 2.5 us; usually it takes a hundredth.
_INSTRUCTIONS_PER_STEP: Final = 50
#: Characters that an automaton reads in a microsecond.
_CHARACTERS_PER_STEP: Final = 256
#: Steps of one search: a quarter of a second at worst, during which nothing can interrupt it.
MAX_SEARCH_STEPS: Final = 100_000

#: A `$` and what may follow it: the longest name, bare or in braces.
_REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})?")
#: The only form of a group's number.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def check_rule(source: str, target: str) -> None:
    """Check the lengths of one rule.

    Raises:
        DefiniteError: With code ``TooCostly``.
    """
    for what, text in (("source", source), ("target", target)):
        if len(text) > MAX_RULE_LENGTH:
            raise DefiniteError(
                f"the `{what}` of a rule of `replaceRule` has {len(text)} characters, "
                f"{MAX_RULE_LENGTH} are allowed",
                code=TOO_COSTLY,
            )


def check_work(keys: Sequence[str], rules: int) -> None:
    """Refuse more keys than that many rules may rename.

    Raises:
        DefiniteError: With code ``TooCostly``.
    """
    work = rules * sum(1 + len(key) // _CHARACTERS_PER_WORK for key in keys)
    if work > MAX_WORK:
        raise DefiniteError(
            f"{rules} rules of `replaceRule` on {len(keys)} keys are too many; "
            "select what is needed with `jmesPath`",
            code=TOO_COSTLY,
        )


def rename_steps(
    keys: Sequence[str], rules: Sequence[tuple[Any, str]], step: Callable[[int], None]
) -> Steps[list[str]]:
    """Return the renamed keys, in the order of the keys.

    Args:
        keys: Distinct keys.
        rules: Pairs of a compiled source and a target, each applied to the result of the previous.
        step: Charged the steps.

    Raises:
        DefiniteError: With code ``KeyCollision`` if two keys become one, ``InvalidKey`` for a key
            that is too long, ``TooCostly``.
    """
    origins: dict[str, str] = {}
    for key in keys:
        _check_key(key)
        name = key
        for regex, target in rules:
            name = yield from _replace_all(regex, target, name, step)
            _check_length(name, key)
            yield
        if name in origins:
            raise DefiniteError(
                f"`replaceRule` renames both {shown(origins[name])} and {shown(key)} to "
                f"{shown(name)}; change the rules so that they differ",
                code=KEY_COLLISION,
            )
        origins[name] = key
    return list(origins)


def escaped(text: str) -> str:
    """Return a regular expression that matches exactly the text."""
    return _META.sub(r"\\\g<0>", text)


def compile_regex(source: str) -> Any:
    """Compile the source of a rule.

    Raises:
        DefiniteError: With code ``InvalidRegex``.
    """
    # 2 MiB, only if there is a rule.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    options.max_mem = REGEX_MEMORY
    try:
        return re2.compile(source, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise DefiniteError(
            f"the `source` {shown(source)} of `replaceRule` is not a valid RE2 regular expression"
            f"{_reason(error)}",
            code=INVALID_REGEX,
        ) from None
    finally:
        # The package caches the last 128 of all objects; `Expressions` keeps what is needed.
        re2.purge()


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    if isinstance(reason, bytes):
        reason = reason.decode(errors="replace")
    return f": {reason}" if isinstance(reason, str) and reason else ""


def _check_length(name: str, key: str) -> None:
    if len(name) > MAX_WORKING_LENGTH:
        raise DefiniteError(
            f"`replaceRule` renames {shown(key)} to a key of over {MAX_WORKING_LENGTH} characters",
            code=INVALID_KEY,
        )


def _check_key(key: str) -> None:
    """Refuse a key that cannot be searched: too long, or without an encoding."""
    if len(key) > MAX_WORKING_LENGTH:
        raise DefiniteError(
            f"the key {shown(key)} has {len(key)} characters, {MAX_WORKING_LENGTH} are allowed",
            code=INVALID_KEY,
        )
    encoded(key)


def _replace_all(regex: Any, target: str, text: str, step: Callable[[int], None]) -> Steps[str]:
    pieces: list[str] = []
    end = 0
    size = regex.programsize
    _pay_search(size, len(text), step)
    for match in regex.finditer(text):
        pieces.append(text[end : match.start()])
        # Go does not replace an empty match right after another match.
        if match.end() > end or match.start() == 0:
            pieces.append(_expanded(target, match))
        end = match.end()
        # RE2 reads ahead of a match by the length of its program, and further if it repeats.
        left = len(text) - end
        step(1 + size * min(size, left) // _INSTRUCTIONS_PER_STEP + left // _CHARACTERS_PER_STEP)
        yield
    pieces.append(text[end:])
    return "".join(pieces)


def _pay_search(size: int, length: int, step: Callable[[int], None]) -> None:
    """Charge the steps of running a program of this size over a key of this length."""
    needed = 1 + size * length // _INSTRUCTIONS_PER_STEP
    if needed > MAX_SEARCH_STEPS:
        raise DefiniteError(
            f"a `source` of `replaceRule` needs {needed} steps on a key of {length} characters, "
            f"{MAX_SEARCH_STEPS} are allowed; write a shorter repetition, or select what is "
            "needed with `jmesPath`",
            code=TOO_COSTLY,
        )
    step(needed)


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
