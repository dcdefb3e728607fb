"""The three urgencies of work."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """How urgent an item is; a smaller number goes first (Q10)."""

    HIGH = 0
    """Somebody waits for it: a new or changed object, a deletion, drift, a forced sync."""
    MIDDLE = 1
    """A retry."""
    LOW = 2
    """Nobody would notice a delay: a periodic refresh, an object found in sync at start."""
