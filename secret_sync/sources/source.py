"""A source: what identifies it, what its users are told, and its state."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from secret_sync.clock import loop_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.credentials import CredentialKey, CredentialProvider, Credentials
    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources.rate_limited_queue import RateLimitedQueue

#: After a change, sources that are used together with the changed one are fetched again after so
#: many seconds: user names and passwords are rotated seconds apart.
RECHECK_SOON: Final = 5.0
RECHECK_LATE: Final = 30.0
#: Timers may fire this many seconds early.
_EARLY: Final = 0.02

#: Refreshes spread over this share of their interval, to both sides.
JITTER: Final = 0.1

_NO_USER: Final = -1.0


class SourceLocation(NamedTuple):
    """A source without the identity that reads it."""

    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """One secret as one identity sees it: the unit of fetching and polling.

    Attributes:
        provider: Which fetch function reads it (``kms``, ``oos``).
        version_stage: As written, or ``""`` for the default of the service.
        version_id: As written, or ``""``.
        region: Of the secret, ``""`` if unknown.
    """

    identity: CredentialKey
    provider: str
    endpoint: str
    name: str
    version_stage: str
    version_id: str
    region: str = ""
    # Computed once: hashing an identity is slow, and a user of hundreds of sources looks each of
    # them up at every reconcile.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.identity, *self.location, self.region)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    @property
    def location(self) -> SourceLocation:
        """All but the identity."""
        return SourceLocation(
            self.provider, self.endpoint, self.name, self.version_stage, self.version_id
        )


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A source that a user needs, with a provider of credentials for it."""

    source: Source
    credentials: CredentialProvider


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What is known about a source at this moment.

    Attributes:
        digest: Keyed digest of the last good value, or ``None`` before the first.
        data: The last good value, or ``None`` if it is not cached.
        version_id: The version the value came with.
        error: Why the latest fetch failed, or ``None``.
        pending: The user should wait for a fetch; it is notified when that ends.
    """

    digest: bytes | None
    data: bytes | None
    version_id: str
    error: SecretSyncError | None
    pending: bool

    def __repr__(self) -> str:
        return f"SourceSnapshot(error={self.error!r}, pending={self.pending})"


class Fetch(Protocol):
    """Reads a source once; raises the errors of ``secret_sync.errors``."""

    async def __call__(self, source: Source, credentials: Credentials) -> SecretValue: ...


def _draw() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads load, hides nothing)


@dataclass(slots=True, eq=False)
class SourceState:
    """One source, its users, its last outcome and its schedule; times are those of the loop.

    Attributes:
        users: Polling interval in seconds of each user; ``None`` where it does not poll.
        waiters: Users that were answered "pending" and are notified of any outcome;
            ``None`` most of the time, since an empty set takes more memory than all the rest.
        refetch_for: Users that forced a sync during a call, whose answer may be older than
            their request; ``None`` likewise.
        digest: Of the last good value; outlives the value.
        fetched_at: When that value was confirmed last; before the first, when the source came
            into use.
        called_at: When the latest call began; ``confirmed_at`` when the one began that brought or
            confirmed the value.
        call_began: Number of that call in the sequence of calls and answers; ``confirmed`` of
            the call that brought or confirmed the value; ``changed`` of the answer that brought it.
        changed_at: When that answer arrived.
        rotated: When the service rotated it last, as it says itself; ``""`` if unknown.
        error: Why the last round failed, or ``None`` after a success.
        retry_at: When the next round is due; a user may request one earlier.
        due: When the source may be fetched next; ``inf`` where nothing is planned.
        fetching: From the request of a fetch until its round has ended.
        calling: During a call.
        refreshed_with_group: The next call is due to the refresh of another source of its group.
        group: All sources of this one's group, itself among them; ``None`` if it is alone.
        urgent: A waiting user never had a value.
        tries: Failed tries of this round; ``spent`` the seconds they and their backoff took.
        refreshed: Whether this round had its one forced refresh of credentials.
        failures: Failed rounds in a row.
    """

    source: Source
    credentials: CredentialProvider
    queue: RateLimitedQueue
    users: dict[str, float | None] = field(default_factory=dict)
    waiters: set[str] | None = None
    refetch_for: set[str] | None = None
    digest: bytes | None = None
    version_id: str = ""
    fetched_at: float = field(default_factory=loop_time)
    called_at: float = float("-inf")
    call_began: int = 0
    confirmed: int = 0
    confirmed_at: float = float("-inf")
    changed: int = 0
    changed_at: float = float("-inf")
    rotated: str = ""
    error: SecretSyncError | None = None
    failed_at: float = float("-inf")
    retry_at: float = float("-inf")
    due: float = float("inf")
    fetching: bool = False
    calling: bool = False
    refreshed_with_group: bool = False
    group: list[SourceState] | None = None
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
        """Set the polling interval of a user in seconds; ``None``: it does not poll."""
        if self.users.get(user, _NO_USER) != interval:
            self.users[user] = interval
            self._shortest = None

    def some_users(self, most: int) -> Iterator[str]:
        """Return its oldest and its newest users, some of them twice.

        From both ends: a tenant may have many of its own at one.
        """
        return chain(islice(self.users, most // 2), islice(reversed(self.users), most // 2))

    def wait(self, user: str) -> None:
        """Add a user that is notified of the outcome."""
        if self.waiters is None:
            self.waiters = set()
        self.waiters.add(user)

    def fetch_again_for(self, user: str) -> None:
        """Fetch again for a user after the present call."""
        if self.refetch_for is None:
            self.refetch_for = set()
        self.refetch_for.add(user)

    def drop(self, user: str) -> None:
        """Remove a user."""
        for waiting in (self.waiters, self.refetch_for):
            if waiting is not None:
                waiting.discard(user)
        del self.users[user]
        self._shortest = None

    def end_round(self) -> None:
        """Reset what belongs to the round that has ended."""
        self.fetching = False
        self.urgent = False
        self.tries = 0
        self.spent = 0.0
        self.refreshed = False
        self._spread = _draw()

    def recheck(self, now: float) -> None:
        """Fetch again soon and once more later, after a change of a source used with this one."""
        self._recheck_soon = now + RECHECK_SOON
        self._recheck_late = now + RECHECK_LATE

    def ask_refresh(self, due: float) -> None:
        """Fetch again at a time, after the call in flight if there is one."""
        if self.calling:
            # What that call answers must not stand for this.
            self.rechecked(self.called_at)
        self._recheck_soon = min(self._recheck_soon, due)

    def is_refreshed_by(self, due: float) -> bool:
        """Return whether a call that begins by a time, but not before now, is asked for already."""
        if self.error is not None and not self.calling:
            # It is scheduled by its backoff alone.
            return self.due <= due
        began = self.called_at + _EARLY if self.calling else float("-inf")
        return began < self._recheck_soon <= due

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
    def interval(self) -> float:
        """The shortest polling interval of its users in seconds; ``inf`` if none polls."""
        if self._shortest is None:
            polling = [i for i in self.users.values() if i is not None]
            self._shortest = min(polling, default=float("inf"))
        return self._shortest
