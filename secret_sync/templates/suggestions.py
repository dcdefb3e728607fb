"""The existing name that a wrong one is closest to."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Names that are compared, and the length of the longest: comparing takes microseconds each.
_NAMES: Final = 1000
_LENGTH: Final = 100


def closest(name: str, names: Iterable[str]) -> str:
    """Return the closest of the names; ``""`` if none is close."""
    if len(name) > _LENGTH:
        return ""
    candidates = [other for other in islice(names, _NAMES) if len(other) <= _LENGTH]
    by_folded = {other.casefold(): other for other in candidates}
    found = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else ""
