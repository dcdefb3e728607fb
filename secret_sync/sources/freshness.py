"""How late values are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from secret_sync.errors import ClockError, TransientError
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
        late: The stale ones without what is for their owners to fix: those that were refused, and
            those that never had a value, such as of an endpoint that does not exist.
    """

    stale: int
    overdue_seconds: float
    late: int


def freshness_of(states: Iterable[SourceState], now: float) -> Freshness:
    """Return how late the values are at a time of the loop; visits every source."""
    stale, late, overdue, latest = 0, 0, 0.0, 1 + JITTER
    for state in states:
        interval, age = state.interval, now - state.fetched_at
        delay = age - interval * latest
        if delay > 0:
            overdue = max(overdue, delay)
            if age > 2 * interval:
                stale += 1
                refused = not isinstance(state.error, TransientError | ClockError | None)
                late += state.digest is not None and not refused
    return Freshness(stale, overdue, late)


class Lateness(NamedTuple):
    """How long a change went unseen.

    Attributes:
        staleness: Seconds since the last call that still gave the previous value: an upper bound,
            for which no clock but that of the loop is needed.
        propagation: Seconds since the rotation, if the service says when that was.
    """

    staleness: float
    propagation: float | None


def lateness_of(state: SourceState, rotated: str, now: float) -> Lateness:
    """Return how late a new value is.

    Args:
        state: Of the source, still with the previous value.
        rotated: When the service says that it was rotated last.
        now: The time of the loop.
    """
    staleness = now - state.confirmed_at
    age = _age(rotated) if rotated != state.rotated else None
    if age is None:
        return Lateness(staleness, None)
    # Clocks differ, but it was not rotated before the last call that gave the previous value.
    return Lateness(staleness, min(max(age, 0.0), staleness))


def _age(rotated: str) -> float | None:
    try:
        moment = datetime.fromisoformat(rotated)
    except ValueError:
        return None
    return (datetime.now(UTC) - moment.replace(tzinfo=moment.tzinfo or UTC)).total_seconds()
