"""Functions of Sprig on strings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.printing import printed
from secret_sync.templates.quoting import bytes_of, quoted, text_of
from secret_sync.templates.text import (
    SPACES,
    is_lower,
    is_upper,
    lower,
    pay_characters,
    title_letter,
    upper,
    upper_letter,
)

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

STRINGS: Final = FunctionTable()

_LETTER_OR_SPACE: Final = re.compile(f"[^{SPACES}]+")


@STRINGS.function("hello")
def _hello(_: Rendering) -> bytes:
    return b"Hello!"


@STRINGS.function("trim", Kind.STRING)
def _trim(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    return bytes_of(text_of(text).strip(SPACES))


@STRINGS.function("trimAll trimall", Kind.STRING, Kind.STRING)
def _trim_all(rendering: Rendering, characters: bytes, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    return bytes_of(text_of(text).strip(text_of(characters)))


@STRINGS.function("trimSuffix", Kind.STRING, Kind.STRING)
def _trim_suffix(rendering: Rendering, suffix: bytes, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    return text.removesuffix(suffix)


@STRINGS.function("trimPrefix", Kind.STRING, Kind.STRING)
def _trim_prefix(rendering: Rendering, prefix: bytes, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    return text.removeprefix(prefix)


@STRINGS.function("upper", Kind.STRING)
def _upper(rendering: Rendering, text: bytes) -> bytes:
    # A capital may have three bytes instead of two.
    if text.isascii():
        rendering.budget.create(len(text))
        return text.upper()
    rendering.budget.create(len(text) * 3 // 2)
    return bytes_of(upper(text_of(text)))


@STRINGS.function("lower", Kind.STRING)
def _lower(rendering: Rendering, text: bytes) -> bytes:
    if text.isascii():
        rendering.budget.create(len(text))
        return text.lower()
    rendering.budget.create(len(text) * 3 // 2)
    return bytes_of(lower(text_of(text)))


@STRINGS.function("title", Kind.STRING)
def _title(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget)
    pieces = []
    starts = True
    for letter in text_of(text):
        pieces.append(title_letter(letter) if starts else letter)
        starts = _separates(letter)
    return bytes_of("".join(pieces))


def _separates(letter: str) -> bool:
    if letter.isascii():
        return not (letter.isalnum() or letter == "_")
    return letter in SPACES


@STRINGS.function("untitle", Kind.STRING)
def _untitle(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget, per_step=3)
    return bytes_of(
        _LETTER_OR_SPACE.sub(lambda word: lower(word[0][0]) + word[0][1:], text_of(text))
    )


@STRINGS.function("swapcase", Kind.STRING)
def _swapcase(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget)
    pieces = []
    starts = True
    for letter in text_of(text):
        swapped = letter
        if is_upper(letter) or letter in _TITLE_LETTERS:
            swapped = lower(letter)
            starts = False
        elif is_lower(letter):
            swapped = title_letter(letter) if starts else upper_letter(letter)
            starts = False
        else:
            starts = letter in SPACES
        pieces.append(swapped)
    return bytes_of("".join(pieces))


#: Digraphs of which only the first part is a capital.
_TITLE_LETTERS: Final = frozenset(
    map(chr, (0x1C5, 0x1C8, 0x1CB, 0x1F2, *range(0x1F88, 0x1F90), *range(0x1F98, 0x1FA0),
              *range(0x1FA8, 0x1FB0), 0x1FBC, 0x1FCC, 0x1FFC))
)  # fmt: skip


@STRINGS.function("nospace", Kind.STRING)
def _nospace(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget)
    return bytes_of("".join(_LETTER_OR_SPACE.findall(text_of(text))))


@STRINGS.function("initials", Kind.STRING)
def _initials(rendering: Rendering, text: bytes) -> bytes:
    pay_characters(text, rendering.budget)
    return bytes_of("".join(word[0] for word in _LETTER_OR_SPACE.findall(text_of(text))))


@STRINGS.function("repeat", Kind.INT, Kind.STRING)
def _repeat(rendering: Rendering, count: int, text: bytes) -> bytes:
    if count < 0:
        raise FunctionError("repeat takes a count of 0 or more")
    rendering.budget.create(len(text) * count)
    return text * count


@STRINGS.function("substr", Kind.INT, Kind.INT, Kind.STRING)
def _substr(rendering: Rendering, start: int, end: int, text: bytes) -> bytes:
    if start < 0:
        start = 0
    elif end < 0 or end > len(text):
        end = len(text)
    if not start <= end <= len(text):
        raise FunctionError(
            "substr takes a start and an end within the string, in this order; test its length "
            "with len, or use trunc"
        )
    rendering.budget.create(end - start)
    return text[start:end]


@STRINGS.function("trunc", Kind.INT, Kind.STRING)
def _trunc(rendering: Rendering, length: int, text: bytes) -> bytes:
    rendering.budget.create(min(abs(length), len(text)))
    if length >= 0:
        return text[:length]
    return text[length:] if len(text) + length > 0 else text


@STRINGS.function("contains", Kind.STRING, Kind.STRING)
def _contains(_: Rendering, part: bytes, text: bytes) -> bool:
    return part in text


@STRINGS.function("hasPrefix", Kind.STRING, Kind.STRING)
def _has_prefix(_: Rendering, prefix: bytes, text: bytes) -> bool:
    return text.startswith(prefix)


@STRINGS.function("hasSuffix", Kind.STRING, Kind.STRING)
def _has_suffix(_: Rendering, suffix: bytes, text: bytes) -> bool:
    return text.endswith(suffix)


@STRINGS.function("quote", rest=Kind.ANY)
def _quote(rendering: Rendering, *values: Any) -> bytes:
    pieces = []
    for value in values:
        text = printed(value, rendering.budget)
        # An escape is at most four times as long as what it stands for.
        rendering.budget.create(len(text) * 4 + 3)
        pieces.append(quoted(text))
    return b" ".join(pieces)


@STRINGS.function("squote", rest=Kind.ANY)
def _squote(rendering: Rendering, *values: Any) -> bytes:
    pieces = []
    for value in values:
        text = printed(value, rendering.budget)
        rendering.budget.create(len(text) + 3)
        pieces.append(b"'" + text + b"'")
    return b" ".join(pieces)


@STRINGS.function("cat", rest=Kind.ANY)
def _cat(rendering: Rendering, *values: Any) -> bytes:
    pieces = [printed(value, rendering.budget) for value in values]
    rendering.budget.create(sum(map(len, pieces)) + len(pieces))
    return b" ".join(pieces)


@STRINGS.function("indent", Kind.INT, Kind.STRING)
def _indent(rendering: Rendering, spaces: int, text: bytes) -> bytes:
    if spaces < 0:
        raise FunctionError("indent takes a number of spaces of 0 or more")
    rendering.budget.create(len(text) + spaces * (text.count(b"\n") + 1))
    pad = b" " * spaces
    return pad + text.replace(b"\n", b"\n" + pad)


@STRINGS.function("nindent", Kind.INT, Kind.STRING)
def _nindent(rendering: Rendering, spaces: int, text: bytes) -> bytes:
    return b"\n" + _indent(rendering, spaces, text)


@STRINGS.function("replace", Kind.STRING, Kind.STRING, Kind.STRING)
def _replace(rendering: Rendering, old: bytes, new: bytes, text: bytes) -> bytes:
    if old:
        found = text.count(old)
        rendering.budget.create(len(text) + found * max(len(new) - len(old), 0))
        return text.replace(old, new)
    characters = text_of(text)
    rendering.budget.create(len(text) + (len(characters) + 1) * len(new))
    return bytes_of(characters.replace("", text_of(new)))


@STRINGS.function("plural", Kind.STRING, Kind.STRING, Kind.INT)
def _plural(_: Rendering, one: bytes, many: bytes, count: int) -> bytes:
    return one if count == 1 else many
