"""Functions of Sprig on words: other cases, abbreviations, wrapping."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from unicodedata import category

from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.quoting import bytes_of, text_of
from secret_sync.templates.text import (
    SPACES,
    is_letter,
    is_upper,
    lower,
    pay_characters,
    upper_letter,
)

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

WORDS: Final = FunctionTable()

_CONNECTORS: Final = frozenset("-_" + SPACES)
#: Chinese characters, which end a word of letters.
_CHINESE: Final = re.compile("[\u3400-\u4d85\u4e00-\u9fcc\U00020000-\U0002b81d]")

# Kinds of characters, and of the parts that an identifier is divided into.
_UPPER: Final = "upper"
_LETTER: Final = "letter"
_DIGIT: Final = "digit"
_CONNECTOR: Final = "connector"
_PUNCTUATION: Final = "punctuation"
_OTHER: Final = "other"
_INVALID: Final = "invalid"
_END: Final = "end"


@WORDS.function("abbrev", Kind.INT, Kind.STRING)
def _abbrev(rendering: Rendering, width: int, text: bytes) -> bytes:
    return _abbrevboth(rendering, 0, width, text)


@WORDS.function("abbrevboth", Kind.INT, Kind.INT, Kind.STRING)
def _abbrevboth(rendering: Rendering, left: int, right: int, text: bytes) -> bytes:
    shortest, shortest_with_offset = 4, 7
    if right < shortest or (left > 0 and right < shortest_with_offset) or len(text) <= right:
        return text
    rendering.budget.create(right)
    kept = right - 3
    offset = min(left, len(text) - kept)
    if offset <= shortest:
        return text[:kept] + b"..."
    if offset + kept < len(text):
        return b"..." + text[offset : offset + kept - 3] + b"..."
    return b"..." + text[-kept:]


@WORDS.function("wrap", Kind.INT, Kind.STRING)
def _wrap(rendering: Rendering, width: int, text: bytes) -> bytes:
    return _wrapped(rendering, text, width, b"\n", splits=False)


@WORDS.function("wrapWith", Kind.INT, Kind.STRING, Kind.STRING)
def _wrap_with(rendering: Rendering, width: int, separator: bytes, text: bytes) -> bytes:
    return _wrapped(rendering, text, width, separator or b"\n", splits=True)


def _wrapped(
    rendering: Rendering, text: bytes, width: int, separator: bytes, *, splits: bool
) -> bytes:
    """Break the text at spaces, and long words if it ``splits`` them."""
    budget = rendering.budget
    budget.create(len(text))
    width = max(width, 1)
    pieces = []
    start = 0
    while len(text) - start > width:
        budget.step()
        if text[start] == ord(" "):
            start += 1
            continue
        end = text.rfind(b" ", start, start + width + 1)
        skipped = 1
        if end < 0 and splits:
            end, skipped = start + width, 0
        elif end < 0:
            end = text.find(b" ", start + width)
            if end < 0:
                break
        budget.create(len(separator))
        pieces.append(text[start:end])
        start = end + skipped
    pieces.append(text[start:])
    return separator.join(pieces)


@WORDS.function("camelcase", Kind.STRING)
def _camelcase(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget)
    characters = text_of(text)
    start = next((i for i, char in enumerate(characters) if char not in _CONNECTORS), None)
    if start is None:
        # The library writes the last of nothing but connectors twice.
        return bytes_of(characters + characters[-1:])
    pieces = [characters[:start]]
    previous = characters[start]
    in_capitals = is_upper(previous)
    previous = upper_letter(previous)
    for character in characters[start + 1 :]:
        current = character
        if previous in _CONNECTORS and current in _CONNECTORS:
            pieces.append(previous)
        elif previous in _CONNECTORS:
            in_capitals = is_upper(current)
            current = upper_letter(current)
        else:
            if in_capitals and is_upper(current):
                current = lower(current)
            else:
                in_capitals = False
            pieces.append(previous)
        previous = current
    pieces.append(previous)
    return bytes_of("".join(pieces))


@WORDS.function("snakecase", Kind.STRING)
def _snakecase(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget, per_step=2)
    return bytes_of(_Separated(text_of(text), "_").text())


@WORDS.function("kebabcase", Kind.STRING)
def _kebabcase(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget, per_step=2)
    return bytes_of(_Separated(text_of(text), "-").text())


def _kind(character: str) -> str:
    if character in _CONNECTORS:
        return _CONNECTOR
    if "\udc80" <= character <= "\udcff":
        return _INVALID
    kind = category(character)
    if kind[0] == "P":
        return _PUNCTUATION
    if kind == "Lu":
        return _UPPER
    if is_letter(character) and _CHINESE.match(character) is None:
        return _LETTER
    return _DIGIT if kind[0] == "N" else _OTHER


def _parts(text: str) -> list[tuple[str, str]]:
    """Divide an identifier into parts of one kind; a capital belongs to the letters after it."""
    parts = []
    kinds = [_kind(character) for character in text]
    start = 0
    while start < len(text):
        kind = kinds[start]
        end = start + 1
        if kind == _UPPER and kinds[end : end + 1] == [_LETTER]:
            while kinds[end : end + 1] in ([_LETTER], [_INVALID]):
                end += 1
        else:
            while kinds[end : end + 1] in ([kind], [_INVALID]) or (
                # Both are punctuation, too.
                kind == _PUNCTUATION and text[end : end + 1] in {"-", "_"}
            ):
                end += 1
            if kind == _UPPER and kinds[end : end + 1] == [_LETTER]:
                end -= 1
        parts.append((kind, text[start:end]))
        start = end
    return parts


class _Separated:
    """An identifier whose words are written in small letters with connectors between them.

    Digits belong to what surrounds them by rules of the library that Sprig uses, so that
    ``Bld4Floor`` becomes ``bld4_floor`` and ``http2xx`` ``http_2xx``.
    """

    def __init__(self, text: str, connector: str) -> None:
        self._parts = [*_parts(text), (_END, "")]
        self._connector = connector
        self._next = 0
        self._pieces: list[str] = []

    def text(self) -> str:
        """Return the whole."""
        kind, word = self._take()
        while self._peek() != _END:
            if kind != _CONNECTOR:
                self._write(kind, word)
            previous, last = kind, word
            kind, word = self._take()
            if previous == _DIGIT:
                kind, word = self._letters(kind, word)
                self._connect(kind)
            elif previous == _CONNECTOR:
                self._write(previous, last)
            elif previous != _PUNCTUATION:
                kind, word = self._after_word(kind, word)
        self._write(kind, word)
        return "".join(self._pieces)

    def _after_word(self, kind: str, word: str) -> tuple[str, str]:
        if kind != _DIGIT:
            self._connect(kind)
            return kind, word
        if self._peek() == _END:
            return kind, word
        digits = word
        kind, word = self._take()
        if kind != _LETTER:
            self._write(_DIGIT, digits)
            self._connect(kind)
            return kind, word
        self._pieces.append(self._connector)
        self._write(_DIGIT, digits)
        kind, word = self._letters(kind, word)
        self._connect(kind)
        return kind, word

    def _letters(self, kind: str, word: str) -> tuple[str, str]:
        while kind in (_LETTER, _DIGIT):
            self._write(kind, word)
            kind, word = self._take()
        return kind, word

    def _connect(self, kind: str) -> None:
        if kind not in (_CONNECTOR, _PUNCTUATION, _END):
            self._pieces.append(self._connector)

    def _take(self) -> tuple[str, str]:
        part = self._parts[self._next]
        self._next = min(self._next + 1, len(self._parts) - 1)
        return part

    def _peek(self) -> str:
        return self._parts[self._next][0]

    def _write(self, kind: str, word: str) -> None:
        if kind == _CONNECTOR:
            self._pieces.append(self._connector * len(word))
        else:
            self._pieces.append(lower(word) if kind == _UPPER else word)
