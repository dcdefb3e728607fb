"""When a workload restarts: not before its group is written, and the less often the more it did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from secret_sync.clock import loop_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from secret_sync.controller.sync import Problem
    from secret_sync.resources.restart import RestartStatus

#: Seconds after a change of the data before anything restarts. Secrets that are rotated together
#: are written within that time: after a change the others are fetched again after five seconds.
SETTLE: Final = 10.0
#: A group that is not complete, or goes on changing, is waited for this long (seconds).
AT_MOST: Final = 60.0
#: Seconds between two restarts, of one object and of one workload. The times that are compared are
#: whole seconds, so it is one more than a minute.
GAP: Final = 61.0
#: So many restarts may follow each other that closely; each further one waits twice as long.
FREE: Final = 3
#: What it comes to at last (seconds).
LONGEST_GAP: Final = 3600.0
#: Seconds without a restart after which all is forgotten.
QUIET: Final = 2 * LONGEST_GAP


@dataclass(slots=True)
class RestartState:
    """What is kept in memory of the restarts of one object.

    Attributes:
        fingerprint, digest: Of the data that was looked at last.
        pending: The digest that the rest is about.
        since: Loop time of the first change that nothing has restarted for.
        latest: Loop time of the last one.
        last: Loop time of the last restart.
        begun: Whether a workload has restarted for this digest.
        done: The workloads that need not restart for it any more.
        problems: Of those that could not.
        notes: What else there is to say of those that did.
        unchecked: Workloads of which it is not known yet whether they may be restarted.
    """

    fingerprint: bytes = b""
    digest: str = ""
    pending: str = ""
    since: float = 0.0
    latest: float = 0.0
    last: float = float("-inf")
    begun: bool = False
    done: set[str] = field(default_factory=set)
    problems: dict[str, Problem] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    unchecked: set[str] = field(default_factory=set)

    def expect(self, digest: str, now: float) -> None:
        """Begin with a digest that is to be restarted for, unless it is the one already."""
        if self.pending == digest:
            return
        if not self.pending or self.begun:
            self.since = now
        self.pending, self.latest, self.begun = digest, now, False
        self.done, self.problems, self.notes = set(), {}, {}

    def keep_only(self, workloads: Collection[str]) -> None:
        """Forget the workloads that the object does not name any more."""
        self.done.intersection_update(workloads)
        self.unchecked.intersection_update(workloads)
        for kept in (self.problems, self.notes):
            for gone in kept.keys() - set(workloads):
                del kept[gone]

    def first_problem(self) -> Problem | None:
        """Return the one that is reported; it stays the same as long as it is there."""
        return next(iter(self.problems.values()), None)

    def settle(self) -> None:
        """Nothing is to be restarted for any more."""
        if self.pending:
            # Those of a check stay.
            self.problems = {}
        self.pending, self.begun = "", False


@dataclass(frozen=True, slots=True)
class Waiting:
    """One object that waits for the restart of a workload.

    Attributes:
        since, latest: As of its state.
        allowed: Loop time before which its limit does not let it.
    """

    since: float
    latest: float
    allowed: float

    @property
    def due(self) -> float:
        """Loop time of its restart."""
        return max(min(self.latest + SETTLE, self.since + AT_MOST), self.allowed)


def due(waiting: Iterable[Waiting]) -> float:
    """Return the loop time at which one restart serves all that wait, as far as they are ready.

    It waits for the ones that have just changed, and for nobody's limit but the first one's.
    """
    known = list(waiting)
    first = min(each.due for each in known)
    settled = max(each.latest + SETTLE for each in known)
    return max(first, min(settled, first + AT_MOST))


def gap_after(recent: int) -> float:
    """Return the seconds from a restart to the next one.

    Args:
        recent: How many have followed each other closely.
    """
    doubled = max(0, min(recent, 20) - FREE)
    return min(GAP * (1 << doubled), LONGEST_GAP)


def counted(recent: int, elapsed: float) -> int:
    """Return the number of restarts that followed each other closely, with one more.

    Args:
        recent: The number before.
        elapsed: Seconds since the last one.
    """
    return recent + 1 if elapsed < QUIET else 1


def seconds_since(written: str, now: float) -> float | None:
    """Return how long ago a time was; ``None`` if it cannot be, or cannot be read.

    Args:
        written: RFC 3339, by a clock that may be a little ahead.
        now: Seconds since the epoch.
    """
    try:
        then = datetime.fromisoformat(written)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    elapsed = now - then.timestamp()
    # A clock that was wrong must not stop restarts until it would have been right.
    return None if elapsed < -GAP else max(0.0, elapsed)


def last_restart(status: RestartStatus, kept: RestartState) -> float:
    """Return the loop time of the last restart, also of one before this process started."""
    elapsed = seconds_since(status.last_time, time.time()) if status.last_time else None
    if kept.last != float("-inf") or elapsed is None:
        return kept.last
    return loop_time() - elapsed


def allowed(status: RestartStatus, kept: RestartState) -> float:
    """Return the loop time before which the limit of an object does not let it restart."""
    if kept.begun:
        # Its other workloads belong to the same restart.
        return float("-inf")
    return last_restart(status, kept) + gap_after(status.recent)
