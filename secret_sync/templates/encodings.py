"""Functions of Sprig that encode bytes as text."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind

if TYPE_CHECKING:
    from secret_sync.templates.rendering import Rendering

ENCODINGS: Final = FunctionTable()

_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_BASE32: Final = re.compile(
    rb"(?:[A-Z2-7]{8})*(?:[A-Z2-7]{2}={6}|[A-Z2-7]{4}={4}|[A-Z2-7]{5}={3}|[A-Z2-7]{7}=)?"
)
#: Bytes that Python encodes in base32 in the time of a step.
_BASE32_PER_STEP: Final = 16


@ENCODINGS.function("b64enc", Kind.STRING)
def _b64enc(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create((len(text) + 2) // 3 * 4)
    return base64.b64encode(text)


@ENCODINGS.function("b64dec", Kind.STRING)
def _b64dec(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    text = _joined(text)
    if _BASE64.fullmatch(text) is None:
        raise FunctionError(f"b64dec needs standard base64; {_base64_problem(text)}")
    return base64.b64decode(text)


def _base64_problem(text: bytes) -> str:
    if b"-" in text or b"_" in text:
        return 'the string has - or _: replace them with replace "-" "+" and replace "_" "/"'
    if len(text) % 4 and _BASE64.fullmatch(text + b"=" * (-len(text) % 4)):
        return "the padding with = at the end is missing"
    return "the string has other characters, or its length is wrong"


@ENCODINGS.function("b32enc", Kind.STRING)
def _b32enc(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create((len(text) + 4) // 5 * 8)
    rendering.budget.step(len(text) // _BASE32_PER_STEP)
    return base64.b32encode(text)


@ENCODINGS.function("b32dec", Kind.STRING)
def _b32dec(rendering: Rendering, text: bytes) -> bytes:
    rendering.budget.create(len(text))
    rendering.budget.step(len(text) // _BASE32_PER_STEP)
    text = _joined(text)
    if _BASE32.fullmatch(text) is None:
        raise FunctionError(
            "b32dec needs base32 in capitals with padding; the string has other characters, or "
            "its length is wrong"
        )
    return base64.b32decode(text)


def _joined(text: bytes) -> bytes:
    return text.translate(None, b"\r\n")
