"""`replaceRule`: regular expressions on keys, with Go's meaning of a replacement."""

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
#: Characters of a key before and between the rules; a Secret allows 253 in the end.
MAX_WORKING_LENGTH: Final = 4096
#: Rules times keys, each key weighed by its length; 2 us each.
MAX_WORK: Final = 100_000
#: Characters of a key that cost as much as a call.
_CHARACTERS_PER_WORK: Final = 64
#: Bytes of RE2 for one expression and its automata: takes 40 ms at most to be compiled, and still
#: reads `[a-z]{1000}`.
REGEX_MEMORY: Final = 256 * 1024
#: Instructions of a program times characters of a key that are a step. Where its automaton does
#: not fit into the memory, RE2 runs the program itself, and that takes 2.5 us; most often it is a
#: hundredth.
_INSTRUCTIONS_PER_STEP: Final = 50
#: Characters that an automaton passes in a microsecond.
_CHARACTERS_PER_STEP: Final = 256
#: Steps of one search: a quarter of a second at worst, during which nothing can interrupt it.
MAX_SEARCH_STEPS: Final = 100_000

#: What may follow a `$`: the longest name, bare or in braces.
_REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})?")
#: A group is meant by its number only in this form.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def check_rule(source: str, target: str) -> None:
    """Checks the lengths of one rule.

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
    """Refuses more keys than as many rules may work on.

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
    """Return what the rules make of each key, in the order of the keys.

    Args:
        keys: Distinct keys.
        rules: Pairs of a compiled source and a target, each applied to what the former made.
        step: Told the steps that are taken.

    Raises:
        DefiniteError: With code ``KeyCollision`` if two keys become one, ``InvalidKey`` for a key
            that no rule can work on, ``TooCostly``.
    """
    origins: dict[str, str] = {}
    for key in keys:
        encoded_key_check(key)
        name = key
        for regex, target in rules:
            name = yield from _replace_all(regex, target, name, step)
            _check_length(name, key)
            yield
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


def compile_regex(source: str) -> Any:
    """Compile the source of a rule.

    Raises:
        DefiniteError: With code ``InvalidRegex``.
    """
    # Two MiB that only those pay who have a rule.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    options.max_mem = REGEX_MEMORY
    try:
        return re2.compile(source, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise DefiniteError(
            f"the `source` {shown(source)} of `replaceRule` is no regular expression that RE2 "
            f"reads{_reason(error)}",
            code=INVALID_REGEX,
        ) from None
    finally:
        # The package keeps the last 128, whosesoever they are; who needs this one keeps it.
        re2.purge()


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


def _replace_all(regex: Any, target: str, text: str, step: Callable[[int], None]) -> Steps[str]:
    pieces: list[str] = []
    end = 0
    size = regex.programsize
    _pay_search(size, len(text), step)
    for match in regex.finditer(text):
        pieces.append(text[end : match.start()])
        # Go leaves an empty match right after another match alone.
        if match.end() > end or match.start() == 0:
            pieces.append(_expanded(target, match))
        end = match.end()
        # Beyond a match it looks as far as its program is long, and farther where it repeats.
        left = len(text) - end
        step(1 + size * min(size, left) // _INSTRUCTIONS_PER_STEP + left // _CHARACTERS_PER_STEP)
        yield
    pieces.append(text[end:])
    return "".join(pieces)


def _pay_search(size: int, length: int, step: Callable[[int], None]) -> None:
    """Takes the steps of running a program of this size over a key of this length."""
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
