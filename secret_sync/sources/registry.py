"""The registry of sources: their users, their values and their next fetches.

Users are opaque keys. A user registers its sources and gets the known values at once. A fetch that
changes something, and only such a fetch, notifies the users as soon as their values are a
consistent snapshot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.credentials import Failure
from secret_sync.errors import SecretSyncError
from secret_sync.queue import Priority
from secret_sync.sources.fetch_scheduler import QUICK_ROUNDS, FetchScheduler, Groups, take_followers
from secret_sync.sources.fetcher import FetchCallbacks, Fetcher
from secret_sync.sources.freshness import freshness_of, lateness_of
from secret_sync.sources.rate_use import rate_use_of
from secret_sync.sources.retries import Retries
from secret_sync.sources.snapshots import Registration, Snapshots
from secret_sync.sources.value_cache import ValueCache

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.credentials import CredentialCache
    from secret_sync.providers.kms import SecretValue
    from secret_sync.queue import WorkQueue
    from secret_sync.sources.fetcher import FetchObservers
    from secret_sync.sources.freshness import Freshness
    from secret_sync.sources.pushed import PushedRefreshes
    from secret_sync.sources.source import Fetch, Source, SourceRequest, SourceSnapshot, SourceState

#: Seconds within which several failures of a user's sources cause one notification.
FAILURES_WITHIN: Final = 0.2
#: Users times sources that are processed in one turn of the event loop.
_BATCH: Final = 2000
#: Users of a source that take turns for a periodic refresh.
_POLLING_TENANTS: Final = 8


class SourceRegistry:
    """All sources in use: their users, cached values and due times.

    Args:
        fetchers: The fetch function of each provider.
        new_limiter: Builds the rate limiter of a queue, by provider.
        observers: Of the queues and calls of each provider.
        notify: Called with the users that a finished fetch concerns, and a priority.
        tenant_of: Return the tenant of a user; tenants take turns.
    """

    def __init__(
        self,
        *,
        fetchers: Mapping[str, Fetch],
        credentials: CredentialCache,
        new_limiter: Callable[[str], RateLimiter],
        observers: Mapping[str, FetchObservers],
        notify: Callable[[Iterable[str], Priority], None],
        tenant_of: Callable[[str], Hashable],
    ) -> None:
        self._notify = notify
        self._tenant_of = tenant_of
        self._observers = observers
        self._states: dict[Source, SourceState] = {}
        self._registered: dict[str, Registration] = {}
        self._cache = ValueCache()
        self._snapshots = Snapshots(self._states, self._cache)
        self._groups = Groups()
        self._fetcher = Fetcher(
            fetchers=fetchers,
            credentials=credentials,
            new_limiter=new_limiter,
            observers=observers,
            callbacks=FetchCallbacks(self._states.get, self._called, self._tenants, self._finished),
        )
        self._retries = Retries(self._states, self._fetcher)
        self._scheduler = FetchScheduler(
            self._states, self._registered, self._snapshots, self._fetcher, tenant_of
        )

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {len(self._registered)} users, {len(self._states)} sources in "
            f"{len(self._groups)} groups, {len(self._snapshots)} snapshots, {self._cache!r}>"
        )

    def __len__(self) -> int:
        return len(self._states)

    @property
    def cached_bytes(self) -> int:
        """Size of the cached values in bytes."""
        return self._cache.size

    def freshness(self) -> Freshness:
        """Return how late the values are now; visits every source."""
        return freshness_of(self._states.values(), asyncio.get_running_loop().time())

    def rate_use(self) -> dict[tuple[str, ...], float]:
        """Return how much of its rate each identity uses."""
        return rate_use_of(self._fetcher.queues.values())

    @property
    def queues(self) -> list[WorkQueue[Source]]:
        """The work queues of all rate limited queues, for metrics."""
        return [queue.work_queue for queue in self._fetcher.queues.values()]

    async def run(self) -> None:
        """Fetch registered sources until cancelled."""
        await self._fetcher.run()

    def register(
        self,
        user: str,
        requests: Sequence[SourceRequest],
        *,
        interval: float | None,
        forced: str = "",
        revision: Hashable = None,
        urgent: bool = True,
        written: Sequence[str] | None = None,
    ) -> list[SourceSnapshot]:
        """Set the sources of a user, and return what is known about them.

        Args:
            user: An opaque key; its previous sources that are not requested again are released.
            requests: The sources; one may occur several times.
            interval: Seconds between refreshes, or ``None`` for no polling.
            forced: A string other than the previous one forces a fetch of all sources.
            revision: Of the configuration of this user. With another revision it counts as a new
                user: the cause of a failure may be fixed.
            urgent: Whether to go ahead of refreshes; not needed for an object that is in sync
                after a restart.
            written: For each request the version that the user wrote last, ``""`` if unknown;
                ``None`` for a user that never wrote. Used until the first snapshot.

        Returns:
            A snapshot for each request, in the same order: the present values if they are
            consistent, else those of the last consistent snapshot. The user is notified when all
            fetches that it waits for have ended.
        """
        registration = self._registered.get(user)
        if registration is None:
            registration = self._registered[user] = Registration()
        force = registration.forced is not None and registration.forced != forced
        edited = revision != registration.revision
        before = registration.sources
        found = [self._states.get(w.source) or self._add(w) for w in requests]
        states = dict.fromkeys(found)
        self._update(registration, states, forced, revision)
        if written is not None and registration.snapshot is None:
            registration.written = {
                state.source: version for state, version in zip(found, written, strict=True)
            }
        for state in states:
            known = user in state.users
            state.use(user, interval)
            # Without polling, an edit is the occasion to fetch again.
            recheck = interval is None and known and edited
            self._scheduler.fetch_if_due(
                user,
                state,
                interval,
                force=force or recheck,
                new=edited or not known,
                urgent=urgent,
            )
        if registration.sources is not before:
            kept = frozenset(registration.sources)
            self._release(user, [source for source in before if source not in kept])
        missing = self._snapshots.advance(user, registration)
        if missing:
            self._scheduler.confirm(user, missing)
        return self._snapshots.read(user, registration, found, complete=not missing)

    def suspend(self, user: str) -> None:
        """Fetch nothing for the user for now, and keep the values of its last snapshot."""
        registration = self._registered.setdefault(user, Registration())
        before, registration.sources, registration.revision = registration.sources, (), None
        registration.edited = True
        self._release(user, before)

    def stop(self, user: str, forced: str) -> None:
        """Fetch nothing for the user until it registers again, and keep no values for it.

        Args:
            user: The key of the user.
            forced: The forced sync that was done last; another string forces a fetch.
        """
        self.release(user)
        self._registered[user] = Registration(forced=forced)

    def release(self, user: str) -> None:
        """Remove a user, and every source that has no other user."""
        registration = self._registered.pop(user, None)
        if registration is not None:
            self._drop(user, registration.sources)
        self._snapshots.forget(user)

    def fetch_value(self, user: str, source: Source) -> None:
        """Fetch a known value that is no longer cached, and notify the user."""
        self._scheduler.fetch_for(self._states[source], user, Priority.HIGH)

    def pushed_refreshes(
        self, refreshed: Callable[[int], None], *, unpolled: bool
    ) -> PushedRefreshes:
        """Return what refreshes sources by name; its arguments are described there."""
        # Few installations use it.
        from secret_sync.sources.pushed import PushedRefreshes  # noqa: PLC0415

        return PushedRefreshes(
            self._states, self._fetcher, self._tenant_of, refreshed, unpolled=unpolled
        )

    def _add(self, item: SourceRequest) -> SourceState:
        state = self._fetcher.attach(item.source, item.credentials)
        self._states[state.source] = state
        self._groups.join(state)
        return state

    @staticmethod
    def _update(
        registration: Registration, states: Iterable[SourceState], forced: str, revision: Hashable
    ) -> None:
        # The sources of the states; equal ones that were made for this call need not be kept.
        sources = tuple([state.source for state in states])
        if sources != registration.sources:
            registration.sources = sources
            registration.edited = True
        registration.forced, registration.revision = forced, revision

    def _tenants(self, source: Source) -> Iterable[Hashable]:
        """Return the tenants for which a source is fetched: of its waiters, else of some users."""
        state = self._states.get(source)
        if state is None:
            return ()
        return map(self._tenant_of, state.waiters or state.some_users(_POLLING_TENANTS))

    def _release(self, user: str, sources: Collection[Source]) -> None:
        """Drop sources that the user does not use any more; keep the values of its snapshot."""
        registration = self._registered[user]
        for source in sources:
            self._snapshots.keep_previous(user, registration, self._states[source])
        self._drop(user, sources)

    def _drop(self, user: str, sources: Iterable[Source]) -> None:
        registration = self._registered.get(user)
        for source in sources:
            state = self._states[source]
            state.drop(user)
            if registration is not None:
                registration.settle(source)
            if not state.users:
                del self._states[source]
                self._groups.leave(state)
                self._cache.drop(source)
                self._retries.forget(state)
                self._fetcher.detach(state)

    def _called(self, state: SourceState) -> None:
        """Refresh the other sources of the group, if the call that begins is a periodic one."""
        now = asyncio.get_running_loop().time()
        for peer in take_followers(state):
            self._fetcher.plan(peer, now, Priority.LOW)

    def _finished(
        self, state: SourceState, outcome: SecretValue | SecretSyncError | Failure
    ) -> None:
        changed = False
        if isinstance(outcome, SecretSyncError | Failure):
            differs = self._retries.failed(state, outcome)
        else:
            differs, changed = self._fetched(state, outcome)
        self._retries.answered(state, outcome)
        users = tuple((state.users if differs else state.waiters) or ())
        priority = Priority.HIGH if state.urgent else Priority.MIDDLE
        again, state.refetch_for, state.waiters = state.refetch_for or (), None, None
        state.end_round()
        for user in users:
            self._registered[user].settle(state.source)
        for user in again:
            self._scheduler.fetch_for(state, user, Priority.HIGH)
        quick = frozenset(users) if state.error is not None else frozenset(again)
        self._settle_some(state, iter(users), quick, changed, priority)

    def _settle_some(
        self,
        state: SourceState,
        users: Iterator[str],
        quick: frozenset[str],
        changed: bool,  # noqa: FBT001 (the loop calls it back with what it was called with)
        priority: Priority,
    ) -> None:
        """Notify the users that have something to do, some in each turn of the loop.

        Args:
            state: The source that was fetched.
            users: The users that are left.
            quick: The users that are notified in any case.
            changed: Whether the value has changed.
            priority: Of the notification.
        """
        settled, left = [], _BATCH
        for user in users:
            if user not in state.users:
                continue
            registration = self._registered[user]
            if state.error is not None and registration.waits:
                self._notify_soon(user, registration, priority)
            elif user in quick or self._settled(user, state, changed=changed):
                settled.append(user)
            left -= len(registration.sources)
            if left <= 0:
                loop = asyncio.get_running_loop()
                loop.call_soon(self._settle_some, state, users, quick, changed, priority)
                break
        if settled:
            self._notify(settled, priority)

    def _notify_soon(self, user: str, registration: Registration, priority: Priority) -> None:
        """Notify a user of a failure while it waits for other sources, which may fail as well."""
        if not registration.notified_soon:
            registration.notified_soon = True
            loop = asyncio.get_running_loop()
            loop.call_later(FAILURES_WITHIN, self._notify_now, user, registration, priority)

    def _notify_now(self, user: str, registration: Registration, priority: Priority) -> None:
        registration.notified_soon = False
        if self._registered.get(user) is registration:
            self._notify((user,), priority)

    def _settled(self, user: str, state: SourceState, *, changed: bool) -> bool:
        """Return whether a user has something to do after an answer.

        Not as long as it waits for other sources: all answers together cause one reconcile.
        """
        registration = self._registered[user]
        if changed and len(registration.sources) > 1 and registration.rounds <= QUICK_ROUNDS:
            self._scheduler.recheck_others(user, registration, state)
        if registration.waits:
            return False
        missing = self._snapshots.missing(user, registration)
        if not missing:
            return True
        if changed and not any(each.error for each in missing):
            registration.rounds += 1
        return not self._scheduler.confirm(user, missing, failed=changed)

    def _fetched(self, state: SourceState, value: SecretValue) -> tuple[bool, bool]:
        """Store a value; return whether anything is new, and whether the value has changed."""
        now = asyncio.get_running_loop().time()
        digest = self._cache.digest(value.data)
        differs = (digest, value.version_id, None) != (state.digest, state.version_id, state.error)
        changed = digest != state.digest
        if changed:
            if state.digest is not None and state.interval < float("inf"):
                calls = self._observers[state.source.provider].calls
                calls.changed(*lateness_of(state, value.rotated, now))
            for user in state.users:
                registration = self._registered[user]
                if len(registration.sources) > 1:
                    self._snapshots.keep_previous(user, registration, state)
            state.changed, state.changed_at = self._fetcher.next_number(), now
        self._cache.put(state.source, value.data)
        state.digest = digest
        state.version_id, state.rotated = value.version_id, value.rotated
        state.error = None
        state.failures, state.retry_at = 0, float("-inf")
        state.fetched_at = now
        state.confirmed, state.confirmed_at = state.call_began, state.called_at
        state.rechecked(state.called_at)
        self._fetcher.plan(state, state.next_refresh(), Priority.LOW)
        return differs, changed
