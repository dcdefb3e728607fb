"""Functions of Sprig on the kinds of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import kind_of, type_of
from secret_sync.templates.sameness import identity

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

REFLECTION: Final = FunctionTable()


@REFLECTION.function("typeOf", Kind.ANY)
def _type_of(_: Rendering, value: Any) -> bytes:
    return type_of(value).encode()


@REFLECTION.function("kindOf", Kind.ANY)
def _kind_of(_: Rendering, value: Any) -> bytes:
    return kind_of(value).encode()


@REFLECTION.function("typeIs", Kind.STRING, Kind.ANY)
def _type_is(_: Rendering, name: bytes, value: Any) -> bool:
    return name == type_of(value).encode()


@REFLECTION.function("typeIsLike", Kind.STRING, Kind.ANY)
def _type_is_like(_: Rendering, name: bytes, value: Any) -> bool:
    return type_of(value).encode() in (name, b"*" + name)


@REFLECTION.function("kindIs", Kind.STRING, Kind.ANY)
def _kind_is(_: Rendering, name: bytes, value: Any) -> bool:
    return name == kind_of(value).encode()


@REFLECTION.function("deepEqual", Kind.ANY, Kind.ANY)
def _deep_equal(rendering: Rendering, first: Any, second: Any) -> bool:
    return identity(first, rendering.budget) == identity(second, rendering.budget)
