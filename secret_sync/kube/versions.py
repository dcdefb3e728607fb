"""The order of resource versions: unbounded decimal integers, where a server keeps to that."""

from __future__ import annotations


def order_of(version: str) -> tuple[int, str] | None:
    """Return a key that sorts as the number does, or ``None`` for what is not a number.

    Python refuses to read more than some thousand digits, so numbers are compared as text.
    """
    if not (version.isascii() and version.isdecimal()):
        return None
    digits = version.lstrip("0")
    return len(digits), digits


def is_older(version: str, than: str) -> bool:
    """Whether a version is known to be lower; never where one of the two is not a number."""
    ours, theirs = order_of(version), order_of(than)
    return ours is not None and theirs is not None and ours < theirs


def reached(held: str, wanted: str) -> bool:
    """Whether what is held is known to be no older than what is wanted."""
    if held == wanted:
        return True
    ours, theirs = order_of(held), order_of(wanted)
    return ours is not None and theirs is not None and ours >= theirs
