"""Plain scalars as kubectl parses them: YAML 1.1 as go-yaml implements it.

The surprising difference to YAML 1.2: ``on`` and ``yes`` are not strings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias


def _spellings(*words: str) -> frozenset[str]:
    return frozenset(s for word in words for s in (word, word.capitalize(), word.upper()))


_TRUE: Final = _spellings("y", "yes", "true", "on")
_FALSE: Final = _spellings("n", "no", "false", "off")
_NULL: Final = frozenset(("", "~", "null", "Null", "NULL"))
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+)")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
    r"|\.(nan|NaN|NAN)"
)
_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class NumberScalar:
    """A number; its value is not needed.

    Attributes:
        integer: Whether it is an integer.
    """

    integer: bool


Scalar: TypeAlias = str | bool | NumberScalar | None


def scalar(text: str, tag: str | None, *, plain: bool) -> Scalar:
    """Return the value of a scalar.

    Args:
        text: Its text.
        tag: An explicit tag, or ``None``.
        plain: Whether it is unquoted.
    """
    kind = (tag or "").removeprefix(_TAG)
    if kind in {"bool", "int", "float", "null"} or (tag is None and plain):
        return _plain(text)
    return text


def _plain(text: str) -> Scalar:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text in _NULL:
        return None
    if _INTEGER.fullmatch(text):
        return NumberScalar(integer=True)
    return NumberScalar(integer=False) if _FLOAT.fullmatch(text) else text
