"""Functions of Sprig that make checksums."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

DIGESTS: Final = FunctionTable()

#: Bytes that are digested in the time of a step.
_BYTES_PER_STEP: Final = 512


@DIGESTS.function("sha1sum", Kind.STRING)
def _sha1sum(rendering: Rendering, text: bytes) -> bytes:
    return _digest(rendering, "sha1", text)


@DIGESTS.function("sha256sum", Kind.STRING)
def _sha256sum(rendering: Rendering, text: bytes) -> bytes:
    return _digest(rendering, "sha256", text)


@DIGESTS.function("sha512sum", Kind.STRING)
def _sha512sum(rendering: Rendering, text: bytes) -> bytes:
    return _digest(rendering, "sha512", text)


@DIGESTS.function("adler32sum", Kind.STRING)
def _adler32sum(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.step(1 + len(text) // _BYTES_PER_STEP)
    return b"%d" % zlib.adler32(text)


def _digest(rendering: Rendering, algorithm: str, text: bytes) -> bytes:
    rendering.budget.step(1 + len(text) // _BYTES_PER_STEP)
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest().encode()
