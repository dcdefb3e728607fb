"""Durations as text, as Go's ``time.ParseDuration`` reads them."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9,
    "h": 3600 * 10**9,
}  # fmt: skip
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_MAX_TEXT: Final = 200
_INT64: Final = 2**63
#: Digits of a fraction that count.
_FRACTION: Final = 18


def parse_duration(text: bytes) -> int | None:
    """Return nanoseconds; ``None`` if the text is no duration."""
    if len(text) > _MAX_TEXT:
        return None
    rest = text.decode("utf-8", "replace")
    negative = rest.startswith("-")
    rest = rest[1:] if rest[:1] in {"-", "+"} else rest
    if rest == "0":
        return 0
    total = 0
    position = 0
    while position < len(rest) or not rest:
        part = _PART.match(rest, position)
        if part is None or not (part[1] or part[2]) or rest[part.end() : part.end() + 1].isalpha():
            return None
        unit = _UNITS[part[3]]
        fraction = (part[2] or "0")[:_FRACTION]
        # With a float, as Go does.
        total += int(part[1] or "0") * unit + int(int(fraction) * (unit / 10 ** len(fraction)))
        if total > _INT64:
            return None
        position = part.end()
    total = -total if negative else total
    return total if total < _INT64 else None
