"""Functions of Sprig on regular expressions, with RE2 only."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import TOO_COSTLY, FunctionError, TemplateError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.quoting import REPLACEMENT, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secret_sync.templates.rendering import Rendering

REGEXES: Final = FunctionTable()

#: Bytes of one expression.
MAX_PATTERN: Final = 1024
#: Bytes of RE2 for one expression and its automata: compiled in 40 ms at most.
_MEMORY: Final = 256 * 1024
#: Instructions of a program times bytes of a text that cost a step. If the automaton does not fit
#: into memory, RE2 interprets the program; usually it takes a hundredth of the time.
_WORK_PER_STEP: Final = 128
#: Bytes that an automaton reads in the time of a step.
_BYTES_PER_STEP: Final = 512
#: Compiled expressions that are kept; each takes kilobytes.
_MAX_KNOWN: Final = 64
#: Steps of compiling one, besides its instructions.
_STEPS_TO_COMPILE: Final = 20
#: Steps of a call, of each match, and of each group that a replacement refers to.
_STEPS_PER_CALL: Final = 5
_STEPS_PER_MATCH: Final = 4
_STEPS_PER_REFERENCE: Final = 3
#: What makes an expression read further than the length of its program.
_REPEATS: Final = re.compile(rb"[*+]|,\}")

#: A `$` and what may follow it: the longest name, bare or in braces.
_REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})?")
#: The only form of a group's number.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,7}", re.ASCII)
_META: Final = re.compile(rb"[\\.+*?()|\[\]{}^$]")


class _Text:
    """A text that RE2 searches: UTF-8, with U+FFFD for each byte that is not.

    Attributes:
        searched: What RE2 sees.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        #: Where U+FFFD, which has two bytes more, stands in what RE2 sees.
        self._replaced: list[int] = []
        try:
            text.decode()
            self.searched = text
        except UnicodeDecodeError:
            parts = [part.encode() for part in _SURROGATE.split(text_of(text))]
            self.searched = REPLACEMENT.encode().join(parts)
            lengths = (len(part) + len(REPLACEMENT.encode()) for part in parts[:-1])
            self._replaced = list(accumulate(lengths))

    def part(self, start: int, end: int) -> bytes:
        """Return what is between two offsets of what RE2 sees."""
        if self._replaced:
            start -= 2 * bisect_right(self._replaced, start)
            end -= 2 * bisect_right(self._replaced, end)
        return self._text[start:end]


_SURROGATE: Final = re.compile("[\udc80-\udcff]")


def _compiled(rendering: Rendering, name: str, pattern: bytes) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise TemplateError(
            f"{name}: the regular expression has over {MAX_PATTERN} bytes; write a shorter one",
            code=TOO_COSTLY,
        )
    known = rendering.regexes
    regex = known.get(pattern)
    if regex is None:
        if len(known) >= _MAX_KNOWN:
            known.clear()
        regex = known[pattern] = _compile(name, pattern)
        rendering.budget.step(_STEPS_TO_COMPILE + int(regex.programsize))
    return regex


def _compile(name: str, pattern: bytes) -> Any:
    # 2 MiB, only if there is a regular expression.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise FunctionError(f"{name} needs a regular expression of RE2{_reason(error)}") from None
    finally:
        # The package caches the last 128 of all objects.
        re2.purge()


def _reason(error: Exception) -> str:
    """Return RE2's reason without the part of the expression that it quotes."""
    reason = error.args[0] if error.args else b""
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    text = text.partition(":")[0]
    return f": {text}" if text else ""


def _matches(rendering: Rendering, regex: Any, pattern: bytes, text: bytes) -> Iterator[Any]:
    """Find matches from left to right, as Go does: none that is empty right after another."""
    step = rendering.budget.step
    size = int(regex.programsize)
    far = len(text) if _REPEATS.search(pattern) else size
    step(_STEPS_PER_CALL + size * len(text) // _WORK_PER_STEP)
    position, previous = 0, -1
    while position <= len(text):
        match = regex.search(text, position)
        if match is None:
            return
        start, end = match.span()
        left = len(text) - end
        step(
            _STEPS_PER_MATCH
            + size * min(size, left) // _WORK_PER_STEP
            + min(far, left) // _BYTES_PER_STEP
        )
        accepted = end > position or start != previous
        position = end if end > position else _after(text, position)
        previous = end
        if accepted:
            yield match


def _after(text: bytes, position: int) -> int:
    """Return where the next character begins."""
    position += 1
    while position < len(text) and 0x80 <= text[position] < 0xC0:  # noqa: PLR2004 (UTF-8)
        position += 1
    return position


def _spans(
    rendering: Rendering, regex: Any, pattern: bytes, text: _Text, count: int
) -> Iterator[tuple[int, int]]:
    """Return where the first ``count`` matches are; all if it is negative."""
    if count == 0:
        return
    for number, match in enumerate(_matches(rendering, regex, pattern, text.searched), 1):
        yield match.span()
        if number == count:
            return


def _first(rendering: Rendering, name: str, pattern: bytes, text: bytes) -> bytes | None:
    regex = _compiled(rendering, name, pattern)
    subject = _Text(text)
    span = next(_spans(rendering, regex, pattern, subject, 1), None)
    return None if span is None else subject.part(*span)


@REGEXES.function("regexMatch mustRegexMatch", Kind.STRING, Kind.STRING)
def _match(rendering: Rendering, pattern: bytes, text: bytes) -> bool:
    return _first(rendering, "regexMatch", pattern, text) is not None


@REGEXES.function("regexFind mustRegexFind", Kind.STRING, Kind.STRING)
def _find(rendering: Rendering, pattern: bytes, text: bytes) -> bytes:
    found = _first(rendering, "regexFind", pattern, text) or b""
    rendering.budget.create(len(found))
    return found


@REGEXES.function("regexFindAll mustRegexFindAll", Kind.STRING, Kind.STRING, Kind.INT)
def _find_all(rendering: Rendering, pattern: bytes, text: bytes, count: int) -> list[bytes]:
    regex = _compiled(rendering, "regexFindAll", pattern)
    subject = _Text(text)
    found = []
    for start, end in _spans(rendering, regex, pattern, subject, count):
        rendering.budget.add(1)
        rendering.budget.create(end - start)
        found.append(subject.part(start, end))
    return found


@REGEXES.function("regexSplit mustRegexSplit", Kind.STRING, Kind.STRING, Kind.INT)
def _split(rendering: Rendering, pattern: bytes, text: bytes, count: int) -> list[bytes]:
    regex = _compiled(rendering, "regexSplit", pattern)
    if count == 0:
        return []
    if pattern and not text:
        return [b""]
    subject = _Text(text)
    rendering.budget.create(len(text))
    parts: list[bytes] = []
    start = last = 0
    for found, end in _spans(rendering, regex, pattern, subject, count):
        if count > 0 and len(parts) == count - 1:
            break
        rendering.budget.add(1)
        if end:
            parts.append(subject.part(start, found))
        start, last = end, found
    if last != len(subject.searched):
        parts.append(subject.part(start, len(subject.searched)))
    return parts


@REGEXES.function("regexReplaceAll mustRegexReplaceAll", Kind.STRING, Kind.STRING, Kind.STRING)
def _replace_all(rendering: Rendering, pattern: bytes, text: bytes, replacement: bytes) -> bytes:
    subject = _Text(text)
    target = text_of(replacement)

    def expanded(match: Any) -> bytes:
        def referenced(reference: re.Match[str]) -> str:
            dollar, *names = reference.groups()
            name = names[0] or names[1]
            if dollar or not name:
                return "$"
            start, end = _group(match, name)
            rendering.budget.step(_STEPS_PER_REFERENCE)
            rendering.budget.create(end - start)
            return text_of(subject.part(start, end))

        return _REFERENCE.sub(referenced, target).encode("utf-8", "surrogateescape")

    return _replaced(rendering, "regexReplaceAll", pattern, subject, expanded)


@REGEXES.function(
    "regexReplaceAllLiteral mustRegexReplaceAllLiteral", Kind.STRING, Kind.STRING, Kind.STRING
)
def _replace_all_literal(
    rendering: Rendering, pattern: bytes, text: bytes, replacement: bytes
) -> bytes:
    return _replaced(
        rendering, "regexReplaceAllLiteral", pattern, _Text(text), lambda _match: replacement
    )


def _replaced(
    rendering: Rendering,
    name: str,
    pattern: bytes,
    subject: _Text,
    replacement: Callable[[Any], bytes],
) -> bytes:
    regex = _compiled(rendering, name, pattern)
    budget = rendering.budget
    budget.create(len(subject.searched))
    pieces = []
    end = 0
    for match in _matches(rendering, regex, pattern, subject.searched):
        start, after = match.span()
        pieces.append(subject.part(end, start))
        piece = replacement(match)
        budget.create(len(piece))
        pieces.append(piece)
        end = after
    pieces.append(subject.part(end, len(subject.searched)))
    return b"".join(pieces)


def _group(match: Any, name: str) -> tuple[int, int]:
    """Return where a group matched; an empty part if it is unknown or did not match."""
    number = match.re.groupindex.get(name.encode("utf-8", "surrogateescape"))
    if _NUMBER.fullmatch(name):
        number = int(name) if int(name) <= match.re.groups else None
    start, end = (-1, -1) if number is None else match.span(number)
    return (start, end) if start >= 0 else (0, 0)


@REGEXES.function("regexQuoteMeta", Kind.STRING)
def _quote_meta(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create(2 * len(text))
    return _META.sub(rb"\\\g<0>", text)
