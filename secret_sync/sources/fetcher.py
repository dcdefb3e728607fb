"""How a source is fetched: credentials, then its lane, then up to four tries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.cloud.retry import next_delay
from secret_sync.credentials import Credentials, Failure
from secret_sync.errors import (
    CredentialsError,
    SecretSyncError,
    ThrottledError,
    TransientError,
    word_for,
)
from secret_sync.queue import Priority, WorkQueue
from secret_sync.sources.lane import Lane
from secret_sync.sources.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.credentials import CredentialCache, CredentialProvider
    from secret_sync.providers.kms import SecretValue
    from secret_sync.queue import QueueObserver
    from secret_sync.sources.lane import LaneKey
    from secret_sync.sources.record import Record
    from secret_sync.sources.source import Fetch, Source

_log = structlog.get_logger(__name__)

#: Seconds of calls and backoff in one round; waiting for a token does not count.
ROUND_SECONDS: Final = 30.0
#: Timers may fire this many seconds early.
_EARLY: Final = 0.02


class CallObserver(Protocol):
    """What a provider's calls tell their metrics."""

    def called(self, result: str, seconds: float) -> None:
        """A call ended: ``ok``, ``throttled``, ``unavailable``, ``credentials``, ``refused``."""
        ...


@dataclass(frozen=True, slots=True)
class FetchObservers:
    """Who hears of one provider."""

    queue: QueueObserver
    calls: CallObserver


class Fetcher:
    """Takes records from "wanted" to "finished"; the registry decides what that means.

    Args:
        fetchers: The fetch function of each provider.
        new_limiter: Builds the limiter of a lane, by provider.
        observers: Who hears of the queues and calls of each provider.
        find: The record of a source that is still in use.
        called: Told of each call that begins.
        tenants: For whom a source is fetched; they take turns.
        finished: Told how a round ended; with a ``Failure`` where there are no credentials.
    """

    def __init__(  # noqa: PLR0913 (a composition point: each is one fact)
        self,
        *,
        fetchers: Mapping[str, Fetch],
        credentials: CredentialCache,
        new_limiter: Callable[[str], RateLimiter],
        observers: Mapping[str, FetchObservers],
        find: Callable[[Source], Record | None],
        called: Callable[[Record], None],
        tenants: Callable[[Source], Iterable[Hashable]],
        finished: Callable[[Record, SecretValue | SecretSyncError | Failure], None],
    ) -> None:
        self._fetchers = fetchers
        self._credentials = credentials
        self._observers = observers
        self._find = find
        self._called = called
        self._tenants = tenants
        self._finished = finished
        self._lanes = Lanes(tuple(fetchers), new_limiter, self._new_lane, self._moved)
        self._numbers = count(1)

    def next_number(self) -> int:
        """Return the next number in the sequence of calls and answers."""
        return next(self._numbers)

    async def run(self) -> None:
        """Owns all dispatchers and calls; ends only when cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._lanes.open(tasks)
            await asyncio.Event().wait()

    @property
    def lanes(self) -> Mapping[LaneKey, Lane]:
        """The open lanes."""
        return self._lanes.lanes

    def shared(self, credentials: CredentialProvider) -> CredentialProvider:
        """The provider that stands for an identity: the first of equal ones."""
        return self._credentials.shared(credentials)

    def attach(self, source: Source, credentials: CredentialProvider) -> Lane:
        """The lane of a source that came into use."""
        self._credentials.hold(source, credentials)
        return self._lanes.attach(source)

    def detach(self, record: Record) -> None:
        """A source went out of use; the last one closes its lane."""
        record.lane.queue.discard(record.source)
        self._credentials.release(record.source, record.credentials.key)
        self._lanes.detach(record.source, record.lane)

    def _new_lane(self, key: LaneKey, limiter: RateLimiter) -> Lane:
        queue: WorkQueue[Source] = WorkQueue(
            f"source-{key.provider}",
            observer=self._observers[key.provider].queue,
            tenants=self._tenants,
        )
        return Lane(key, queue, limiter, is_due=self._is_due, call=self._call)

    def _moved(self, source: Source, lane: Lane) -> None:
        """Plan a source in the lane that it belongs to now as it was in its former one."""
        record = self._find(source)
        if record is None:
            return
        former, record.lane = record.lane, lane
        former.queue.discard(source)
        if record.calling:
            return  # the end of the call plans what follows
        if record.fetching and record.due <= asyncio.get_running_loop().time():
            self.start(record, Priority.HIGH if record.urgent else Priority.LOW)
        else:
            self.plan(record, record.due, Priority.MIDDLE if record.fetching else Priority.LOW)

    def start(self, record: Record, priority: Priority) -> None:
        """Asks for a fetch now; a cold identity is warmed before the lane is entered (C0)."""
        record.fetching = True
        record.due = 0.0
        found = self._credentials.request(
            record.credentials.key, lambda: self._warmed(record, priority)
        )
        if isinstance(found, Credentials):
            if record.lane.key.owner is None:
                self._lanes.authenticated(record.source)
            record.lane.queue.add(record.source, priority)
        elif isinstance(found, Failure):
            self._finished(record, found)

    def plan(self, record: Record, due: float, priority: Priority) -> None:
        """Asks for a fetch at a time of the loop's clock."""
        record.due = due
        if due < float("inf"):
            delay = max(0.0, due - asyncio.get_running_loop().time())
            record.lane.queue.add_after(record.source, delay, priority)

    def _warmed(self, record: Record, priority: Priority) -> None:
        if self._find(record.source) is record:
            self.start(record, priority)

    def _is_due(self, source: Source) -> bool:
        record = self._find(source)
        if record is None:
            return False
        if record.due > asyncio.get_running_loop().time() + _EARLY:
            self.plan(record, record.due, Priority.LOW)
            return False
        if not isinstance(self._credentials.peek(record.credentials.key), Credentials):
            # The token in hand is for one that can be called.
            self.start(record, Priority.HIGH if record.urgent else Priority.MIDDLE)
            return False
        record.calling = True
        return True

    async def _call(self, source: Source) -> None:
        record = self._find(source)
        if record is None:
            return
        found = self._credentials.peek(record.credentials.key)
        if not isinstance(found, Credentials):
            record.calling = False
            self.start(record, Priority.MIDDLE)
            return
        record.fetching = record.calling = True
        loop = asyncio.get_running_loop()
        began = record.called_at = loop.time()
        record.call_began = self.next_number()
        self._called(record)
        outcome = await self._try(source, found)
        record.calling = False
        self._observers[source.provider].calls.called(_result(outcome), loop.time() - began)
        # What the service says of the rate counts for those who stay, too.
        if isinstance(outcome, ThrottledError):
            record.lane.throttled(outcome.retry_after)
        elif not isinstance(outcome, SecretSyncError):
            record.lane.limiter.succeeded()
            self._credentials.accepted(record.credentials.key, found)
        if self._find(source) is not record:
            return
        elapsed = loop.time() - began
        if not (
            isinstance(outcome, SecretSyncError) and self._repeats(record, outcome, found, elapsed)
        ):
            self._finished(record, outcome)
        if self._find(source) is record:
            self._learn(record, outcome)

    def _learn(self, record: Record, outcome: SecretValue | SecretSyncError) -> None:
        """Note what an answer proves of who asked and of the endpoint; its lane may change."""
        if not isinstance(outcome, SecretSyncError):
            self._lanes.answered(record.source, record.lane)
        elif isinstance(outcome, ThrottledError) and record.lane.mixed:
            self._lanes.refused(record.source, record.lane)
            record.lane.throttled(outcome.retry_after)

    async def _try(self, source: Source, found: Credentials) -> SecretValue | SecretSyncError:
        try:
            return await self._fetchers[source.provider](source, found)
        except SecretSyncError as error:
            return error
        except Exception:  # noqa: BLE001 (logged, counted and retried)
            # A defect of ours must not end the dispatcher of everybody else's sources.
            _log.exception("fetch failed unexpectedly")
            return TransientError(
                f"fetching {source.name} failed for an internal reason; see the controller's log"
            )

    def _repeats(
        self, record: Record, error: SecretSyncError, used: Credentials, elapsed: float
    ) -> bool:
        """Arranges another try of this round, where one can help."""
        if isinstance(error, CredentialsError):
            if record.refreshed or not self._credentials.invalidate(record.credentials.key, used):
                return False
            record.refreshed = True
            self.start(record, Priority.MIDDLE)
            return True
        if not isinstance(error, TransientError):
            return False
        record.tries += 1
        delay = next_delay(record.tries, error)
        if delay is None:
            return False
        record.spent += elapsed + delay
        if record.spent > ROUND_SECONDS:
            return False
        due = asyncio.get_running_loop().time() + delay
        self.plan(record, due, Priority.MIDDLE)
        return True


def _result(outcome: SecretValue | SecretSyncError) -> str:
    return word_for(outcome) if isinstance(outcome, SecretSyncError) else "ok"
