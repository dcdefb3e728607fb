"""The value of a plain scalar in YAML 1.2, and which strings need quotes in 1.1 or 1.2."""

from __future__ import annotations

import re
from calendar import monthrange
from typing import TYPE_CHECKING, Final

from secret_sync.parse.values import Number

if TYPE_CHECKING:
    from secret_sync.parse.values import Value

_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
#: First characters of scalars that are not strings.
_HINTS: Final = frozenset("+-.0123456789~nNtTfF")

#: Booleans of YAML 1.1, and the merge key.
_OLD: Final = frozenset(
    "y Y yes Yes YES on On ON n N no No NO off Off OFF <<".split()  # noqa: SIM905 (reads better)
)
#: Integers of YAML 1.1, without underscores.
_OLD_INT: Final = re.compile(r"[-+]?0(?:[xX][0-9a-fA-F]+|[bB][01]+|[oO][0-7]+)")
_BASE_60: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_TIME: Final = r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?"
_TIMESTAMP: Final = re.compile(
    rf"([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})"
    rf"(?:[Tt]{_TIME}(?:Z|[-+][0-9]{{2}}:[0-9]{{2}})| +{_TIME})?"
)


def plain_value(text: str) -> Value:
    """Return the value of an unquoted scalar in the core schema, where dates are strings."""
    if text and text[0] not in _HINTS:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    return Number(text) if is_int(text) or _FLOAT.fullmatch(text) else text


def is_int(text: str) -> bool:
    """Return whether it is an integer in the core schema."""
    return _INT.fullmatch(text) is not None


def may_be_plain(text: str) -> bool:
    """Return whether every parser, also of YAML 1.1, reads the unquoted scalar as this string."""
    if text in _OLD:
        return False
    if not isinstance(plain_value(text), str):
        return False
    if text[0] not in "+-0123456789":
        return True
    digits = text.replace("_", "")
    return not (
        _OLD_INT.fullmatch(digits)
        or is_int(digits)
        or _FLOAT.fullmatch(digits)
        or _BASE_60.fullmatch(text)
        or _is_timestamp(text)
    )


def _is_timestamp(text: str) -> bool:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return False
    year, month, day, *time = (int(part or 0) for part in found.groups())
    # Years 0 and 4 have the same months; Python's calendar begins with 1.
    if not (1 <= month <= 12 and 1 <= day <= monthrange(year or 4, month)[1]):  # noqa: PLR2004
        return False
    limits = (24, 60, 60) * 2
    return all(part < limit for part, limit in zip(time, limits, strict=True))
