"""What the registry knows of one source."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialProvider
    from secret_sync.errors import SecretSyncError
    from secret_sync.sources.lane import Lane
    from secret_sync.sources.outage import Outage
    from secret_sync.sources.source import Source

#: After a change the sources that are used with the changed one are asked again after so many
#: seconds: people rotate a user name and its password seconds apart.
RECHECK_SOON: Final = 5.0
RECHECK_LATE: Final = 30.0
#: Timers may fire this many seconds early.
_EARLY: Final = 0.02

#: Refreshes spread over this share of their interval, to both sides.
JITTER: Final = 0.1

_NOBODY: Final = -1.0


def _draw() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads load, hides nothing)


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True, eq=False)
class Record:
    """One source, its users, its last outcome and its schedule; times are the loop's.

    Attributes:
        users: Polling interval in seconds of each user; ``None`` where it does not poll.
        waiters: Users that were answered "pending" and are to be told of any outcome;
            ``None`` most of the time, since an empty set takes more memory than all the rest.
        again: Users that forced a sync while a call was under way: what it answers may be
            older than their wish; ``None`` likewise.
        digest: Of the last good value; outlives the value.
        fetched_at: When that value was confirmed last; before the first, when the source came
            into use.
        called_at: When the latest call began; ``asked_at`` when the one began that brought or
            confirmed the value.
        call_began: Number of that call in the sequence of calls and answers; ``asked`` of the
            call that brought or confirmed the value; ``changed`` of the answer that brought it.
        changed_at: When that answer arrived.
        error: Why the last round failed, or ``None`` after a success.
        retry_at: When the round after it was to begin; somebody may have asked earlier.
        due: When the source may be fetched next; ``inf`` where nothing is planned.
        fetching: From the moment a fetch is asked for until its round has ended.
        calling: While a call is under way.
        pulled: The next call was arranged because another source of its group is refreshed.
        group: All sources of this one's group, itself among them; ``None`` if it is alone.
        urgent: One of those who wait never had a value.
        tries: Failed tries of this round; ``spent`` the seconds they and their backoff took.
        refreshed: Whether this round had its one forced refresh of credentials.
        failures: Failed rounds in a row.
    """

    source: Source
    credentials: CredentialProvider
    lane: Lane
    users: dict[str, float | None] = field(default_factory=dict)
    waiters: set[str] | None = None
    again: set[str] | None = None
    digest: bytes | None = None
    version_id: str = ""
    fetched_at: float = field(default_factory=_now)
    called_at: float = float("-inf")
    call_began: int = 0
    asked: int = 0
    asked_at: float = float("-inf")
    changed: int = 0
    changed_at: float = float("-inf")
    error: SecretSyncError | None = None
    failed_at: float = float("-inf")
    retry_at: float = float("-inf")
    due: float = float("inf")
    fetching: bool = False
    calling: bool = False
    pulled: bool = False
    group: list[Record] | None = None
    urgent: bool = False
    tries: int = 0
    spent: float = 0.0
    refreshed: bool = False
    failures: int = 0
    _spread: float = field(default_factory=_draw)
    _recheck_soon: float = float("inf")
    _recheck_late: float = float("inf")
    _shortest: float | None = None

    def use(self, user: str, interval: float | None) -> None:
        """A user wants the source, and polls it so often (seconds), or not at all."""
        if self.users.get(user, _NOBODY) != interval:
            self.users[user] = interval
            self._shortest = None

    def wait(self, user: str) -> None:
        """A user was answered "pending"."""
        if self.waiters is None:
            self.waiters = set()
        self.waiters.add(user)

    def ask_again(self, user: str) -> None:
        """A user wants another call after the one that is under way."""
        if self.again is None:
            self.again = set()
        self.again.add(user)

    def drop(self, user: str) -> None:
        """A user wants the source no more."""
        for waiting in (self.waiters, self.again):
            if waiting is not None:
                waiting.discard(user)
        del self.users[user]
        self._shortest = None

    def end_round(self) -> None:
        """A round is over, for better or worse."""
        self.fetching = False
        self.urgent = False
        self.tries = 0
        self.spent = 0.0
        self.refreshed = False
        self._spread = _draw()

    def recheck(self, now: float) -> None:
        """Ask again soon and once more later: a source that is used with this one has changed."""
        self._recheck_soon = now + RECHECK_SOON
        self._recheck_late = now + RECHECK_LATE

    def rechecked(self, began: float) -> None:
        """Drop the rechecks that a call that began at this time has answered."""
        if self._recheck_soon <= began + _EARLY:
            self._recheck_soon = float("inf")
        if self._recheck_late <= began + _EARLY:
            self._recheck_late = float("inf")

    def next_refresh(self) -> float:
        """Return when the next refresh is due.

        Polls follow the shortest interval of its users, with jitter.
        """
        poll = self.fetched_at + self.interval * self._spread
        return min(poll, self._recheck_soon, self._recheck_late)

    @property
    def outage(self) -> Outage:
        """What it waits out where it gets no answer, together with others."""
        return self.lane.outage_of(self.source)

    @property
    def interval(self) -> float:
        """The shortest polling interval of its users in seconds; ``inf`` if none polls."""
        if self._shortest is None:
            polling = [i for i in self.users.values() if i is not None]
            self._shortest = min(polling, default=float("inf"))
        return self._shortest
