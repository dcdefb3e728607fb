"""The registry of sources: who uses what, what is known of it, and when to ask again.

Users are opaque keys. A user registers what it wants and is answered at once with what is
known (C0); a fetch that brings news, and only such a one, tells the users (S15).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.credentials import Failure
from secret_sync.errors import ClockError, CredentialsError, SecretSyncError, TransientError
from secret_sync.queue import Backoff, Priority
from secret_sync.sources.fetcher import Fetcher
from secret_sync.sources.hand import ValuesInHand
from secret_sync.sources.kept import Keepsakes
from secret_sync.sources.outage import PROBE
from secret_sync.sources.record import JITTER, Record
from secret_sync.sources.source import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from secret_sync.cloud.limiter import RateGate
    from secret_sync.credentials import CredentialCache
    from secret_sync.providers.kms import SecretValue
    from secret_sync.queue import WorkQueue
    from secret_sync.sources.fetcher import FetchObservers
    from secret_sync.sources.source import Fetch, Source, Wanted

#: Between rounds: a passing fault is asked about again soon, a definite "no" slowly.
_AFTER_FAULT: Final = Backoff(base=1.0, cap=300.0)
_AFTER_REFUSAL: Final = Backoff(base=30.0, cap=300.0)
#: A session that was replaced a moment ago has ended again; it may be replaced anew soon.
_AFTER_SESSION: Final = Backoff(base=5.0, cap=300.0)
#: A new user of a failed source asks again, unless the failure is this fresh (seconds).
_FAILURE_FRESH: Final = 2.0
#: Where nothing is polled, a new user takes a value that is not older (seconds).
_VALUE_FRESH: Final = 120.0
#: A refresh that nobody waits for goes with the turns of so many of its users.
_POLLING_TENANTS: Final = 8
#: Sources follow this soon after the next attempt at their credentials (seconds).
_AFTER_CREDENTIALS: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Registration:
    """What a user asked for last."""

    sources: tuple[Source, ...] = ()
    forced: str | None = None
    revision: Hashable = None


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


_NOTHING: Final = _Registration()


class SourceRegistry:
    """All sources in use: their users, values in hand and due times.

    Args:
        fetchers: The fetch function of each provider.
        new_gate: Builds the rate gate of a lane, by provider.
        observers: Who hears of the queues and calls of each provider.
        notify: Told which users a finished fetch concerns, and how urgently.
        tenant_of: For whom a user wants what it wants; tenants take turns.
    """

    def __init__(
        self,
        *,
        fetchers: Mapping[str, Fetch],
        credentials: CredentialCache,
        new_gate: Callable[[str], RateGate],
        observers: Mapping[str, FetchObservers],
        notify: Callable[[Iterable[str], Priority], None],
        tenant_of: Callable[[str], Hashable],
    ) -> None:
        self._notify = notify
        self._tenant_of = tenant_of
        self._records: dict[Source, Record] = {}
        self._registered: dict[str, _Registration] = {}
        self._hand = ValuesInHand()
        self._kept = Keepsakes(self._hand)
        self._random = Random()  # noqa: S311 (spreads load, hides nothing)
        self._fetcher = Fetcher(
            fetchers=fetchers,
            credentials=credentials,
            new_gate=new_gate,
            observers=observers,
            find=self._records.get,
            tenants=self._tenants,
            finished=self._finished,
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
        """How late the values are now; looks at every source."""
        now = asyncio.get_running_loop().time()
        stale, overdue, latest = 0, 0.0, 1 + JITTER
        for record in self._records.values():
            interval, age = record.interval, now - record.fetched_at
            late = age - interval * latest
            if late > 0:
                overdue = max(overdue, late)
                stale += age > 2 * interval
        return Freshness(stale, overdue)

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
    ) -> list[Reading]:
        """Says what a user wants from now on, and answers with what is known of it.

        Args:
            user: An opaque key; what it wanted before and does not now is released.
            wanted: One item for each reading in the answer; sources may repeat.
            interval: Seconds between refreshes, or ``None`` for no polling.
            forced: Another text than last time asks for a fetch of everything wanted.
            revision: Of all that was written down for this user. With another one than last
                time it counts as a new user: somebody may have mended what failed.
            urgent: Whether to go ahead of refreshes; an object that a restart finds in step
                need not (Q10).

        Returns:
            A reading for each item of ``wanted``, in its order. The user is notified when a
            pending one is settled. One whose identity is new is pending and holds what this
            user had of the same secret with its former identity.
        """
        before = self._registered.get(user, _NOTHING)
        force = before.forced is not None and before.forced != forced
        known = frozenset(before.sources)
        records = {w.source: self._records.get(w.source) or self._add(w) for w in wanted}
        # Those of the records: equal ones that were made for this call need not be kept.
        sources = tuple(record.source for record in records.values())
        self._registered[user] = _Registration(sources, forced, revision)
        for source, record in records.items():
            record.use(user, interval)
            new = source not in known or revision != before.revision
            # Where nothing is polled, an edit is the time to look.
            edited = interval is None and source in known and revision != before.revision
            if self._asks(record, interval, force=force or edited, new=new):
                self._wait_for(record, user, urgent=urgent or force)
                if force and record.calling:
                    record.ask_again(user)
            elif not record.fetching and record.error is None:
                self._poll(record)
            elif not record.fetching and new:
                # Its failure is too fresh to ask at once.
                soon = record.failed_at + _FAILURE_FRESH
                if soon < record.due:
                    self._fetcher.plan(record, soon, Priority.MIDDLE)
        gone = [source for source in before.sources if source not in records]
        self._keep(user, gone)
        self._kept.trim(user, {r.source.what for r in records.values() if r.digest is None})
        self._drop(user, gone)
        return [self._read(records[w.source], user) for w in wanted]

    def suspend(self, user: str) -> None:
        """The user wants nothing for now: nothing is fetched, what it held is kept for it."""
        before = self._registered.get(user, _NOTHING)
        self._registered[user] = _Registration(forced=before.forced)
        self._keep(user, before.sources)
        self._drop(user, before.sources)

    def rest(self, user: str, forced: str) -> None:
        """The user wants nothing until further notice, and needs nothing kept.

        Args:
            user: The key of the user.
            forced: Its wish that was answered last; another one asks for a fetch.
        """
        self.release(user)
        self._registered[user] = _Registration(forced=forced)

    def release(self, user: str) -> None:
        """The user is gone, and with it every source that nobody else wants."""
        self._drop(user, self._registered.pop(user, _NOTHING).sources)
        self._kept.trim(user, ())

    def fetch_value(self, user: str, source: Source) -> None:
        """Fetches a value that is known but no longer in hand; the user is told (S15)."""
        self._wait_for(self._records[source], user, urgent=True)

    def _add(self, item: Wanted) -> Record:
        # Who reads with an identity that others read with shares theirs, not an equal one.
        credentials = self._fetcher.shared(item.credentials)
        source = replace(item.source, identity=credentials.key)
        record = Record(source, credentials, self._fetcher.attach(source, credentials))
        self._records[source] = record
        return record

    @staticmethod
    def _asks(record: Record, interval: float | None, *, force: bool, new: bool) -> bool:
        """Whether a registration asks for a fetch."""
        now = asyncio.get_running_loop().time()
        if force:
            return True
        if record.error is not None:
            return new and now - record.failed_at > _FAILURE_FRESH
        if record.digest is None:
            return True
        fresh = _VALUE_FRESH if interval is None else interval
        return new and now - record.fetched_at > fresh

    def _wait_for(self, record: Record, user: str, *, urgent: bool) -> None:
        hurry = urgent and not record.urgent
        record.wait(user)
        record.urgent = record.urgent or urgent
        if not record.fetching or (hurry and not record.calling):
            self._fetcher.start(record, Priority.HIGH if urgent else Priority.LOW)
        else:
            record.lane.queue.share(record.source, self._tenant_of(user))

    def _tenants(self, source: Source) -> Iterable[Hashable]:
        """For whom a source is fetched: those who wait for it, else some who poll it."""
        record = self._records.get(source)
        if record is None:
            return ()
        users = record.waiters or islice(record.users, _POLLING_TENANTS)
        return map(self._tenant_of, users)

    def _poll(self, record: Record) -> None:
        due = record.next_poll()
        if due < record.due:
            self._fetcher.plan(record, due, Priority.LOW)

    def _read(self, record: Record, user: str) -> Reading:
        digest, version_id = record.digest, record.version_id
        data = self._hand.get(record.source)
        if digest is None and (held := self._kept.get(user, record.source)) is not None:
            (digest, version_id), data = held
        return Reading(
            digest=digest,
            data=data,
            version_id=version_id,
            error=record.error,
            pending=record.waiters is not None and user in record.waiters,
        )

    def _keep(self, user: str, sources: Iterable[Source]) -> None:
        self._kept.keep(user, {s: self._read(self._records[s], user) for s in sources})

    def _drop(self, user: str, sources: Iterable[Source]) -> None:
        for source in sources:
            record = self._records[source]
            record.drop(user)
            if not record.users:
                del self._records[source]
                self._hand.drop(source)
                if (heir := record.outage.forget(source)) is not None:
                    self._ask_soon(self._records[heir])
                self._fetcher.detach(record)

    def _finished(self, record: Record, outcome: SecretValue | SecretSyncError | Failure) -> None:
        if isinstance(outcome, Failure):
            # Nobody can come by the credentials earlier, and asking for them costs no call.
            news = self._refused(record, outcome.error, outcome.retry_at + _AFTER_CREDENTIALS)
        elif isinstance(outcome, SecretSyncError):
            news = self._refused(record, outcome, self._back_off(record, outcome))
        else:
            news = self._fetched(record, outcome)
        if not isinstance(outcome, Failure | TransientError | ClockError):
            self._answered(record)
        told = record.users if news else record.waiters
        priority = Priority.HIGH if record.urgent else Priority.MIDDLE
        users, record.waiters = list(told or ()), None
        again, record.again = record.again or (), None
        record.end_round()
        for user in again:
            self._wait_for(record, user, urgent=True)
        if users:
            self._notify(users, priority)

    def _fetched(self, record: Record, value: SecretValue) -> bool:
        digest = self._hand.digest(value.data)
        news = (digest, value.version_id, None) != (record.digest, record.version_id, record.error)
        if record.digest is None:
            for user in record.users:
                self._kept.drop(user, record.source.what)
        self._hand.put(record.source, value.data)
        record.digest = digest
        record.version_id = value.version_id
        record.error = None
        record.failures = 0
        record.fetched_at = asyncio.get_running_loop().time()
        self._fetcher.plan(record, record.next_poll(), Priority.LOW)
        return news

    def _answered(self, record: Record) -> None:
        """The service is there: who waits for that need not wait for long any more."""
        outage = record.outage
        outage.forget(record.source)
        for source in outage.ends():
            self._ask_soon(self._records[source])

    def _ask_soon(self, record: Record) -> None:
        """Shortens the wait of a source that got no answer."""
        soon = max(asyncio.get_running_loop().time(), record.failed_at + PROBE)
        if not record.fetching and soon < record.due:
            # Behind nobody's polls and before nobody's: the fault may be this source's own.
            self._fetcher.plan(record, soon, Priority.LOW)

    def _back_off(self, record: Record, error: SecretSyncError) -> float:
        now = asyncio.get_running_loop().time()
        if isinstance(error, TransientError | ClockError):
            delay = _AFTER_FAULT.delay(record.failures, self._random)
            delay = record.outage.begins(record.source, delay, now)
        else:
            session = isinstance(error, CredentialsError)
            backoff = _AFTER_SESSION if session else _AFTER_REFUSAL
            delay = backoff.delay(record.failures, self._random)
        record.failures += 1
        return now + delay

    def _refused(self, record: Record, error: SecretSyncError, again_at: float) -> bool:
        known = record.error
        news = known is None or (type(known), known.code) != (type(error), error.code)
        record.error = error
        record.failed_at = asyncio.get_running_loop().time()
        self._fetcher.plan(record, again_at, Priority.MIDDLE)
        return news
