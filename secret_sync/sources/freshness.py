"""How late values are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from secret_sync.sources.record import JITTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.sources.record import Record


class Freshness(NamedTuple):
    """How late values are.

    Attributes:
        stale: Sources whose value is older than two of their shortest intervals. One that never
            had a value is as old as the wish for it; what nobody polls is never stale.
        overdue_seconds: By how much the most overdue refresh is late, jitter granted; 0 if none
            is.
    """

    stale: int
    overdue_seconds: float


def freshness_of(records: Iterable[Record], now: float) -> Freshness:
    """Return how late the values are at a time of the loop; looks at every source."""
    stale, overdue, latest = 0, 0.0, 1 + JITTER
    for record in records:
        interval, age = record.interval, now - record.fetched_at
        late = age - interval * latest
        if late > 0:
            overdue = max(overdue, late)
            stale += age > 2 * interval
    return Freshness(stale, overdue)
