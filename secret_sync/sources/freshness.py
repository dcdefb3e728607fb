"""How late values are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from secret_sync.sources.source import JITTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.sources.source import SourceState


class Freshness(NamedTuple):
    """How late values are.

    Attributes:
        stale: Sources whose value is older than two of their shortest intervals. One that never
            had a value counts from its registration; without polling none is stale.
        overdue_seconds: Delay of the most overdue refresh beyond the jitter; 0 if none is overdue.
    """

    stale: int
    overdue_seconds: float


def freshness_of(states: Iterable[SourceState], now: float) -> Freshness:
    """Return how late the values are at a time of the loop; visits every source."""
    stale, overdue, latest = 0, 0.0, 1 + JITTER
    for state in states:
        interval, age = state.interval, now - state.fetched_at
        late = age - interval * latest
        if late > 0:
            overdue = max(overdue, late)
            stale += age > 2 * interval
    return Freshness(stale, overdue)
