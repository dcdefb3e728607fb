"""The registry of sources: who uses what, what is known of it, and when to ask again.

Users are opaque keys. A user registers what it wants and is answered at once with what is
known; a fetch that brings news, and only such a one, tells the users, once their values are a
consistent snapshot.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from secret_sync.credentials import Failure
from secret_sync.errors import SecretSyncError
from secret_sync.queue import Priority
from secret_sync.sources.asking import QUICK_ROUNDS, Asking
from secret_sync.sources.fetcher import Fetcher
from secret_sync.sources.freshness import freshness_of
from secret_sync.sources.groups import Groups, followers
from secret_sync.sources.hand import ValuesInHand
from secret_sync.sources.record import Record
from secret_sync.sources.retries import Retries
from secret_sync.sources.snapshots import Registration, Snapshots

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
    from secret_sync.sources.source import Fetch, Reading, Source, Wanted

#: Seconds in which the failures of a user's sources are one reason to look.
FAILURES_WITHIN: Final = 0.2
#: Users times sources that are judged in one turn of the event loop.
_TOGETHER: Final = 2000
#: A refresh that nobody waits for goes with the turns of so many of its users.
_POLLING_TENANTS: Final = 8


class SourceRegistry:
    """All sources in use: their users, values in hand and due times.

    Args:
        fetchers: The fetch function of each provider.
        new_limiter: Builds the rate limiter of a lane, by provider.
        observers: Who hears of the queues and calls of each provider.
        notify: Told which users a finished fetch concerns, and how urgently.
        tenant_of: For whom a user wants what it wants; tenants take turns.
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
        self._records: dict[Source, Record] = {}
        self._registered: dict[str, Registration] = {}
        self._hand = ValuesInHand()
        self._snapshots = Snapshots(self._records, self._hand)
        self._groups = Groups()
        self._fetcher = Fetcher(
            fetchers=fetchers,
            credentials=credentials,
            new_limiter=new_limiter,
            observers=observers,
            find=self._records.get,
            called=self._called,
            tenants=self._tenants,
            finished=self._finished,
        )
        self._retries = Retries(self._records, self._fetcher)
        self._asking = Asking(
            self._records, self._registered, self._snapshots, self._fetcher, tenant_of
        )

    def __repr__(self) -> str:
        """Counts, never contents."""
        return f"<{type(self).__name__} {len(self._records)} sources, {self._hand!r}>"

    def __len__(self) -> int:
        """Sources in use."""
        return len(self._records)

    @property
    def bytes_in_hand(self) -> int:
        """Size of the values held, in bytes."""
        return self._hand.size

    def freshness(self) -> Freshness:
        """Return how late the values are now; looks at every source."""
        return freshness_of(self._records.values(), asyncio.get_running_loop().time())

    @property
    def queues(self) -> list[WorkQueue[Source]]:
        """The queues of all lanes, for their metrics."""
        return [lane.queue for lane in self._fetcher.lanes.values()]

    async def run(self) -> None:
        """Fetches what is wanted until cancelled."""
        await self._fetcher.run()

    def register(
        self,
        user: str,
        wanted: Sequence[Wanted],
        *,
        interval: float | None,
        forced: str = "",
        revision: Hashable = None,
        urgent: bool = True,
        written: Sequence[str] | None = None,
    ) -> list[Reading]:
        """Note what a user wants from now on, and return what is known of it.

        Args:
            user: An opaque key; what it wanted before and does not now is released.
            wanted: One item for each reading in the answer; sources may repeat.
            interval: Seconds between refreshes, or ``None`` for no polling.
            forced: Another string than last time asks for a fetch of everything wanted.
            revision: Of all that was written down for this user. With another one than last
                time it counts as a new user: what failed may have been fixed.
            urgent: Whether to go ahead of refreshes; an object that a restart finds in sync
                need not.
            written: For each item the version that the user wrote last, ``""`` where that is not
                known; ``None`` for a user that never wrote. Counts until the first snapshot.

        Returns:
            A reading for each item of ``wanted``, in its order: the present values where they
            are a consistent snapshot, else those of the last one that was. The user is notified
            when what it waits for is settled.
        """
        registration = self._registered.setdefault(user, Registration())
        force = registration.forced is not None and registration.forced != forced
        before, known = registration.sources, frozenset(registration.sources)
        edited = revision != registration.revision
        records = {w.source: self._records.get(w.source) or self._add(w) for w in wanted}
        self._update(registration, records.values(), forced, revision)
        if written is not None and registration.snapshot is None:
            registration.written = {
                records[w.source].source: version
                for w, version in zip(wanted, written, strict=True)
            }
        for source, record in records.items():
            record.use(user, interval)
            new = source not in known or edited
            # Where nothing is polled, an edit is the time to look.
            look = interval is None and source in known and edited
            self._asking.ask_if_due(
                user, record, interval, force=force or look, new=new, urgent=urgent
            )
        self._release(user, [source for source in before if source not in records])
        lacking = self._snapshots.advance(user, registration)
        self._asking.confirm(user, lacking)
        return self._snapshots.read(
            user, registration, [records[w.source] for w in wanted], complete=not lacking
        )

    def suspend(self, user: str) -> None:
        """The user wants nothing for now: nothing is fetched, what it held is kept for it."""
        registration = self._registered.setdefault(user, Registration())
        before, registration.sources, registration.revision = registration.sources, (), None
        registration.edited = True
        self._release(user, before)

    def rest(self, user: str, forced: str) -> None:
        """The user wants nothing until further notice, and needs nothing kept.

        Args:
            user: The key of the user.
            forced: Its wish that was answered last; another one asks for a fetch.
        """
        self.release(user)
        self._registered[user] = Registration(forced=forced)

    def release(self, user: str) -> None:
        """The user is gone, and with it every source that nobody else wants."""
        registration = self._registered.pop(user, None)
        if registration is not None:
            self._drop(user, registration.sources)
        self._snapshots.forget(user)

    def fetch_value(self, user: str, source: Source) -> None:
        """Fetch a value that is known but no longer in hand; the user is told."""
        self._asking.wait_for(self._records[source], user, Priority.HIGH)

    def _add(self, item: Wanted) -> Record:
        # Who reads with an identity that others read with shares theirs, not an equal one.
        credentials = self._fetcher.shared(item.credentials)
        source = replace(item.source, identity=credentials.key)
        record = Record(source, credentials, self._fetcher.attach(source, credentials))
        self._records[source] = record
        self._groups.join(record)
        return record

    @staticmethod
    def _update(
        registration: Registration, records: Iterable[Record], forced: str, revision: Hashable
    ) -> None:
        # Those of the records: equal ones that were made for this call need not be kept.
        sources = tuple(record.source for record in records)
        if sources != registration.sources:
            registration.sources = sources
            registration.edited = True
        registration.forced, registration.revision = forced, revision

    def _tenants(self, source: Source) -> Iterable[Hashable]:
        """For whom a source is fetched: those who wait for it, else some who poll it."""
        record = self._records.get(source)
        if record is None:
            return ()
        users = record.waiters or islice(record.users, _POLLING_TENANTS)
        return map(self._tenant_of, users)

    def _release(self, user: str, sources: Collection[Source]) -> None:
        """Drop sources that the user exchanged or does not want for now; keep what it was given."""
        registration = self._registered[user]
        for source in sources:
            self._snapshots.leave(user, registration, self._records[source])
        self._drop(user, sources)

    def _drop(self, user: str, sources: Iterable[Source]) -> None:
        registration = self._registered.get(user)
        for source in sources:
            record = self._records[source]
            record.drop(user)
            if registration is not None:
                registration.settle(source)
            if not record.users:
                del self._records[source]
                self._groups.leave(record)
                self._hand.drop(source)
                self._retries.forget(record)
                self._fetcher.detach(record)

    def _called(self, record: Record) -> None:
        """A call begins: where it is a periodic refresh, the others of its group follow."""
        now = asyncio.get_running_loop().time()
        for peer in followers(record):
            self._fetcher.plan(peer, now, Priority.LOW)

    def _finished(self, record: Record, outcome: SecretValue | SecretSyncError | Failure) -> None:
        changed = False
        if isinstance(outcome, SecretSyncError | Failure):
            news = self._retries.failed(record, outcome)
        else:
            news, changed = self._fetched(record, outcome)
        self._retries.answered(record, outcome)
        users = tuple((record.users if news else record.waiters) or ())
        priority = Priority.HIGH if record.urgent else Priority.MIDDLE
        again, record.again, record.waiters = record.again or (), None, None
        record.end_round()
        for user in users:
            self._registered[user].settle(record.source)
        for user in again:
            self._asking.wait_for(record, user, Priority.HIGH)
        quick = frozenset(users) if record.error is not None else frozenset(again)
        self._settle_some(record, iter(users), quick, changed, priority)

    def _settle_some(
        self,
        record: Record,
        users: Iterator[str],
        quick: frozenset[str],
        changed: bool,  # noqa: FBT001 (the loop calls it back with what it was called with)
        priority: Priority,
    ) -> None:
        """Notify the users for whom there is something to do, some in each turn of the loop.

        Args:
            record: The source that was answered.
            users: Those who are left.
            quick: Those who are notified in any case.
            changed: Whether the value is another.
            priority: Of the notification.
        """
        settled, left = [], _TOGETHER
        for user in users:
            if user not in record.users:
                continue
            registration = self._registered[user]
            if record.error is not None and registration.waits:
                self._notify_soon(user, registration, priority)
            elif user in quick or self._settled(user, record, changed=changed):
                settled.append(user)
            left -= len(registration.sources)
            if left <= 0:
                loop = asyncio.get_running_loop()
                loop.call_soon(self._settle_some, record, users, quick, changed, priority)
                break
        if settled:
            self._notify(settled, priority)

    def _notify_soon(self, user: str, registration: Registration, priority: Priority) -> None:
        """Notify a user of a failure while it waits for others, which may fail as well."""
        if not registration.notified_soon:
            registration.notified_soon = True
            loop = asyncio.get_running_loop()
            loop.call_later(FAILURES_WITHIN, self._notify_now, user, registration, priority)

    def _notify_now(self, user: str, registration: Registration, priority: Priority) -> None:
        registration.notified_soon = False
        if self._registered.get(user) is registration:
            self._notify((user,), priority)

    def _settled(self, user: str, record: Record, *, changed: bool) -> bool:
        """Tell whether there is something to do for a user after an answer.

        Not as long as it waits for others: its answers are worth one look, not one each.
        """
        registration = self._registered[user]
        if changed and len(registration.sources) > 1 and registration.rounds <= QUICK_ROUNDS:
            self._asking.recheck_others(user, registration, record)
        if registration.waits:
            return False
        lacking = self._snapshots.lacking(user, registration)
        if not lacking:
            return True
        if changed and not any(each.error for each in lacking):
            registration.rounds += 1
        return not self._asking.confirm(user, lacking, failed=changed)

    def _fetched(self, record: Record, value: SecretValue) -> tuple[bool, bool]:
        """Take a value in; tell whether there is any news, and whether the value is another."""
        now = asyncio.get_running_loop().time()
        digest = self._hand.digest(value.data)
        news = (digest, value.version_id, None) != (record.digest, record.version_id, record.error)
        changed = digest != record.digest
        if changed:
            for user in record.users:
                registration = self._registered[user]
                if len(registration.sources) > 1:
                    self._snapshots.leave(user, registration, record)
            record.changed, record.changed_at = self._fetcher.next_number(), now
        self._hand.put(record.source, value.data)
        record.digest = digest
        record.version_id = value.version_id
        record.error = None
        record.failures, record.retry_at = 0, float("-inf")
        record.fetched_at = now
        record.asked, record.asked_at = record.call_began, record.called_at
        record.rechecked(record.called_at)
        self._fetcher.plan(record, record.next_refresh(), Priority.LOW)
        return news, changed
