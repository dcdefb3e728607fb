"""Confidential values that the cloud issued or received, which leak tests search for."""

from __future__ import annotations

from typing import Final

MAX_ENTRIES: Final = 100_000
"""Of about a kilobyte each, if they are tokens."""


class ConfidentialValues:
    """A bounded set of strings, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[str, None] = {}

    def note(self, *values: str) -> None:
        """Remember values; empty ones are none."""
        for value in values:
            if value:
                self._entries[value] = None
        while len(self._entries) > MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]

    def entries(self) -> list[str]:
        """Return what is remembered."""
        return list(self._entries)
