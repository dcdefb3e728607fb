"""How a source is fetched: credentials, then its queue, then up to four tries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
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
from secret_sync.sources.rate_limited_queue import RateLimitedQueue
from secret_sync.sources.source import SourceState
from secret_sync.sources.source_queues import SourceQueues

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.credentials import CredentialCache, CredentialProvider
    from secret_sync.providers.kms import SecretValue
    from secret_sync.queue import QueueObserver
    from secret_sync.sources.rate_limited_queue import SourceQueueKey
    from secret_sync.sources.source import Fetch, Source

_log = structlog.get_logger(__name__)

#: Seconds of calls and backoff in one round; waiting for a token does not count.
ROUND_SECONDS: Final = 30.0
#: Timers may fire this many seconds early.
_EARLY: Final = 0.02


class CallObserver(Protocol):
    """Receives the results of a provider's calls, for metrics."""

    def called(self, result: str, seconds: float) -> None:
        """Count a call: ``ok``, ``throttled``, ``unavailable``, ``credentials`` or ``refused``."""

    def changed(self, staleness: float, propagation: float | None) -> None:
        """Observe a changed value.

        Args:
            staleness: Seconds since the last call that still gave the previous value.
            propagation: Seconds since the rotation, if the service says when that was.
        """


@dataclass(frozen=True, slots=True)
class FetchObservers:
    """The observers of one provider, for metrics."""

    queue: QueueObserver
    calls: CallObserver


@dataclass(frozen=True, slots=True)
class FetchCallbacks:
    """What the fetcher asks and reports.

    Attributes:
        find: The state of a source that is still in use.
        called: Called when a call begins.
        tenants: Return the tenants for which a source is fetched; they take turns.
        finished: Called with the result of a round; a ``Failure`` if there are no credentials.
    """

    find: Callable[[Source], SourceState | None]
    called: Callable[[SourceState], None]
    tenants: Callable[[Source], Iterable[Hashable]]
    finished: Callable[[SourceState, SecretValue | SecretSyncError | Failure], None]


class Fetcher:
    """Runs each fetch round, from the request to its result; the registry acts on the result.

    Args:
        fetchers: The fetch function of each provider.
        new_limiter: Builds the limiter of a queue, by provider.
        observers: Of the queues and calls of each provider.
        callbacks: Those of the registry.
    """

    def __init__(
        self,
        *,
        fetchers: Mapping[str, Fetch],
        credentials: CredentialCache,
        new_limiter: Callable[[str], RateLimiter],
        observers: Mapping[str, FetchObservers],
        callbacks: FetchCallbacks,
    ) -> None:
        self._fetchers = fetchers
        self._credentials = credentials
        self._observers = observers
        self._find = callbacks.find
        self._called = callbacks.called
        self._tenants = callbacks.tenants
        self._finished = callbacks.finished
        self._queues = SourceQueues(tuple(fetchers), new_limiter, self._new_queue, self._moved)
        #: Return the next number in the sequence of calls and answers.
        self.next_number: Callable[[], int] = count(1).__next__

    async def run(self) -> None:
        """Run all dispatchers and calls until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._queues.open(tasks)
            await asyncio.Event().wait()

    @property
    def queues(self) -> Mapping[SourceQueueKey, RateLimitedQueue]:
        """The open queues."""
        return self._queues.queues

    def attach(self, source: Source, credentials: CredentialProvider) -> SourceState:
        """Return the state of a source that is now in use; users of one identity share it."""
        credentials = self._credentials.shared(credentials)
        if source.identity is not credentials.key:
            source = replace(source, identity=credentials.key)
        self._credentials.hold(source, credentials)
        return SourceState(source, credentials, self._queues.attach(source))

    def detach(self, state: SourceState) -> None:
        """Remove a source that is no longer used; the last one closes its queue."""
        state.queue.work_queue.discard(state.source)
        self._credentials.release(state.source, state.credentials.key)
        self._queues.detach(state.source, state.queue)

    def _new_queue(self, key: SourceQueueKey, limiter: RateLimiter) -> RateLimitedQueue:
        work_queue: WorkQueue[Source] = WorkQueue(
            f"source-{key.provider}",
            observer=self._observers[key.provider].queue,
            tenants=self._tenants,
        )
        return RateLimitedQueue(key, work_queue, limiter, is_due=self._is_due, call=self._call)

    def _moved(self, source: Source, queue: RateLimitedQueue) -> None:
        """Schedule a source in its new queue as it was in its previous one."""
        state = self._find(source)
        if state is None:
            return
        former, state.queue = state.queue, queue
        former.work_queue.discard(source)
        if state.calling:
            return  # the end of the call plans what follows
        if state.fetching and state.due <= asyncio.get_running_loop().time():
            self.start(state, Priority.HIGH if state.urgent else Priority.LOW)
        else:
            self.plan(state, state.due, Priority.MIDDLE if state.fetching else Priority.LOW)

    def start(self, state: SourceState, priority: Priority) -> None:
        """Enqueue a fetch now; credentials are obtained first, so no token is wasted."""
        state.fetching = True
        state.due = 0.0
        found = self._credentials.request(
            state.credentials.key, lambda: self._warmed(state, priority)
        )
        if isinstance(found, Credentials):
            if state.queue.key.owner is None:
                self._queues.authenticated(state.source)
            state.queue.work_queue.add(state.source, priority)
        elif isinstance(found, Failure):
            self._finished(state, found)

    def plan(self, state: SourceState, due: float, priority: Priority) -> None:
        """Enqueue a fetch for a time of the loop's clock."""
        state.due = due
        if due < float("inf"):
            delay = max(0.0, due - asyncio.get_running_loop().time())
            state.queue.work_queue.add_after(state.source, delay, priority)

    def _warmed(self, state: SourceState, priority: Priority) -> None:
        if self._find(state.source) is state:
            self.start(state, priority)

    def _is_due(self, source: Source) -> bool:
        state = self._find(source)
        if state is None:
            return False
        if state.due > asyncio.get_running_loop().time() + _EARLY:
            self.plan(state, state.due, Priority.LOW)
            return False
        if not isinstance(self._credentials.peek(state.credentials.key), Credentials):
            # The token is for a source that can be called.
            self.start(state, Priority.HIGH if state.urgent else Priority.MIDDLE)
            return False
        state.calling = True
        return True

    async def _call(self, source: Source) -> None:
        state = self._find(source)
        if state is None:
            return
        found = self._credentials.peek(state.credentials.key)
        if not isinstance(found, Credentials):
            state.calling = False
            self.start(state, Priority.MIDDLE)
            return
        state.fetching = state.calling = True
        loop = asyncio.get_running_loop()
        began = state.called_at = loop.time()
        state.call_began = self.next_number()
        self._called(state)
        outcome = await self._try(source, found)
        state.calling = False
        result = word_for(outcome) if isinstance(outcome, SecretSyncError) else "ok"
        self._observers[source.provider].calls.called(result, loop.time() - began)
        # A throttling answer also concerns the other sources of the queue.
        if isinstance(outcome, ThrottledError):
            state.queue.throttled(outcome.retry_after)
        elif not isinstance(outcome, SecretSyncError):
            state.queue.limiter.succeeded()
            self._credentials.accepted(state.credentials.key, found)
        if self._find(source) is not state:
            return
        elapsed = loop.time() - began
        if not (
            isinstance(outcome, SecretSyncError) and self._repeats(state, outcome, found, elapsed)
        ):
            self._finished(state, outcome)
        if self._find(source) is state:
            self._learn(state, outcome)

    def _learn(self, state: SourceState, outcome: SecretValue | SecretSyncError) -> None:
        """Record what an answer proves about identity and endpoint; the queue may change."""
        if not isinstance(outcome, SecretSyncError):
            self._queues.answered(state.source, state.queue)
        elif isinstance(outcome, ThrottledError) and state.queue.mixed:
            self._queues.refused(state.source, state.queue)
            state.queue.throttled(outcome.retry_after)

    async def _try(self, source: Source, found: Credentials) -> SecretValue | SecretSyncError:
        try:
            return await self._fetchers[source.provider](source, found)
        except SecretSyncError as error:
            return error
        except Exception:  # noqa: BLE001 (logged, counted and retried)
            # A bug must not end the dispatcher of all other sources.
            _log.exception("fetch failed unexpectedly")
            return TransientError(
                f"fetching {source.name} failed for an internal reason; see the controller's log"
            )

    def _repeats(
        self, state: SourceState, error: SecretSyncError, used: Credentials, elapsed: float
    ) -> bool:
        """Schedule another try of this round if one can help; return whether it is scheduled."""
        if isinstance(error, CredentialsError):
            if state.refreshed or not self._credentials.invalidate(state.credentials.key, used):
                return False
            state.refreshed = True
            self.start(state, Priority.MIDDLE)
            return True
        if not isinstance(error, TransientError):
            return False
        state.tries += 1
        delay = next_delay(state.tries, error)
        if delay is None:
            return False
        state.spent += elapsed + delay
        if state.spent > ROUND_SECONDS:
            return False
        due = asyncio.get_running_loop().time() + delay
        self.plan(state, due, Priority.MIDDLE)
        return True
