"""The three priorities of work."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    """How urgent an item is; a smaller number goes first."""

    HIGH = 0
    """A new or changed object, a deletion, drift, a forced sync."""
    MIDDLE = 1
    """A retry."""
    LOW = 2
    """A delay does no harm: a periodic refresh, an object that is in sync at start."""
