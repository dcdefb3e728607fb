"""The order in which Go's yaml.v3 writes the keys of a mapping: numbers in names are compared."""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, Final

from secret_sync.parse.values import KeyText, Number
from secret_sync.parse.yaml_scalars import plain_value

if TYPE_CHECKING:
    from collections.abc import Iterable

_INT64: Final = 1 << 63


def in_order(keys: Iterable[str]) -> list[str]:
    """Return the sorted keys: numbers and booleans, then null, then strings."""
    keys = list(keys)
    # Names of letters only, by far the most, are in the order of their code points.
    if all(map(str.isalpha, keys)) and not any(isinstance(key, KeyText) for key in keys):
        return sorted(keys)
    return sorted(keys, key=_rank)


def _rank(key: str) -> tuple[int, Any]:
    if not isinstance(key, KeyText):
        return 2, _by_runes(key)
    value = plain_value(key)
    if value is None:
        return 1, 0
    return 0, value.value if isinstance(value, Number) else value


def _compare(left: str, right: str) -> int:
    digits = False
    for place, (a, b) in enumerate(zip(left, right, strict=False)):
        if a == b:
            digits = a.isdecimal()
            continue
        if a.isalpha() or b.isalpha():
            if a.isalpha() and b.isalpha():
                return -1 if a < b else 1
            # After digits, letters come first; elsewhere last.
            return -1 if (a if digits else b).isalpha() else 1
        return _compare_numbers(left, right, place)
    return len(left) - len(right)


def _compare_numbers(left: str, right: str, place: int) -> int:
    base = 0
    if left[place] == "0" or right[place] == "0":
        # A zero within a number is a digit like any other; leading zeros do not count.
        before = left[:place]
        digits = before[len(before.rstrip("0123456789")) :]
        base = 1 if digits.strip("0") else 0
    a, a_end = _number_at(left, place, base)
    b, b_end = _number_at(right, place, base)
    if a != b:
        return -1 if a < b else 1
    if a_end != b_end:
        return -1 if a_end < b_end else 1
    return -1 if left[place] < right[place] else 1


def _number_at(text: str, place: int, number: int) -> tuple[int, int]:
    while place < len(text) and text[place].isdecimal():
        number = number * 10 + ord(text[place]) - ord("0")
        place += 1
    # Go's integers wrap around.
    return (number + _INT64) % (2 * _INT64) - _INT64, place


_by_runes = cmp_to_key(_compare)
