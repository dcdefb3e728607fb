"""Functions of Sprig on paths with slashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

PATHS: Final = FunctionTable()


@PATHS.function("base osBase", Kind.STRING)
def _base(rendering: Rendering, path: bytes) -> bytes:
    rendering.budget.create(len(path))
    if not path:
        return b"."
    return path.rstrip(b"/").rpartition(b"/")[2] or b"/"


@PATHS.function("dir osDir", Kind.STRING)
def _dir(rendering: Rendering, path: bytes) -> bytes:
    folder, slash, _ = path.rpartition(b"/")
    return _clean(rendering, folder + slash)


@PATHS.function("clean osClean", Kind.STRING)
def _clean(rendering: Rendering, path: bytes) -> bytes:
    rendering.budget.create(len(path) + 1)
    rendering.budget.step(path.count(b"/"))
    root = b"/" if path.startswith(b"/") else b""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part in {b"", b"."}:
            continue
        if part != b"..":
            parts.append(part)
        elif parts and parts[-1] != b"..":
            parts.pop()
        elif not root:
            parts.append(part)
    return root + b"/".join(parts) or b"."


@PATHS.function("ext osExt", Kind.STRING)
def _ext(rendering: Rendering, path: bytes) -> bytes:
    rendering.budget.create(len(path))
    _, dot, extension = path.rpartition(b"/")[2].rpartition(b".")
    return dot + extension if dot else b""


@PATHS.function("isAbs osIsAbs", Kind.STRING)
def _is_abs(_: Rendering, path: bytes) -> bool:
    return path.startswith(b"/")
