"""Plain scalars as kubectl reads them: YAML 1.1, the way go-yaml does it.

The difference to YAML 1.2 is what surprises people: ``on`` and ``yes`` are no texts.
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
class Number:
    """A number; its value is of no interest here.

    Attributes:
        integer: Whether it is a whole one.
    """

    integer: bool


Scalar: TypeAlias = str | bool | Number | None


def scalar(text: str, tag: str | None, *, plain: bool) -> Scalar:
    """The value of a scalar.

    Args:
        text: What stands there.
        tag: An explicit tag, or ``None``.
        plain: Whether it stands there without quotes.
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
        return Number(integer=True)
    return Number(integer=False) if _FLOAT.fullmatch(text) else text
