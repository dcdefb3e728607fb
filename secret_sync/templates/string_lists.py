"""Functions of Sprig between strings and lists of strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.printing import missing, printed
from secret_sync.templates.quoting import bytes_of, text_of
from secret_sync.templates.values import is_missing

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

STRING_LISTS: Final = FunctionTable()


@STRING_LISTS.function("splitList", Kind.STRING, Kind.STRING)
def _split_list(rendering: Rendering, separator: bytes, text: bytes) -> list[bytes]:
    return _parts(rendering, separator, text, -1)


@STRING_LISTS.function("split", Kind.STRING, Kind.STRING)
def _split(rendering: Rendering, separator: bytes, text: bytes) -> dict[bytes, bytes]:
    return _numbered(_parts(rendering, separator, text, -1))


@STRING_LISTS.function("splitn", Kind.STRING, Kind.INT, Kind.STRING)
def _splitn(rendering: Rendering, separator: bytes, count: int, text: bytes) -> dict[bytes, bytes]:
    return _numbered(_parts(rendering, separator, text, count))


def _numbered(parts: list[bytes]) -> dict[bytes, bytes]:
    return {b"_%d" % number: part for number, part in enumerate(parts)}


def _parts(rendering: Rendering, separator: bytes, text: bytes, count: int) -> list[bytes]:
    """Split the text into at most ``count`` parts, all if it is negative."""
    if count == 0:
        return []
    if separator:
        found = text.count(separator)
        rendering.budget.add((found if count < 0 else min(found, count - 1)) + 1)
        rendering.budget.create(len(text))
        return text.split(separator, -1 if count < 0 else count - 1)
    rendering.budget.create(len(text))
    characters = text_of(text)
    rendering.budget.add(len(characters))
    if 0 < count < len(characters):
        return [*map(bytes_of, characters[: count - 1]), bytes_of(characters[count - 1 :])]
    return list(map(bytes_of, characters))


@STRING_LISTS.function("join", Kind.STRING, Kind.ANY)
def _join(rendering: Rendering, separator: bytes, value: Any) -> bytes:
    if is_missing(value):
        raise missing(value)
    parts = strings_of(rendering, value)
    rendering.budget.create(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


@STRING_LISTS.function("sortAlpha", Kind.ANY)
def _sort_alpha(rendering: Rendering, value: Any) -> list[bytes]:
    if is_missing(value):
        raise missing(value)
    return sorted(strings_of(rendering, value))


@STRING_LISTS.function("toStrings", Kind.ANY)
def strings_of(rendering: Rendering, value: Any) -> list[bytes]:
    """Return the elements of a list as strings, without missing ones; one of any other value."""
    budget = rendering.budget
    if isinstance(value, list):
        budget.add(len(value))
        return [printed(item, budget) for item in value if not is_missing(item)]
    budget.add(1)
    return [] if is_missing(value) else [printed(value, budget)]
