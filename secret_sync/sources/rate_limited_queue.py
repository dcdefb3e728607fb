"""The work queue, the rate limiter and the calls in flight of one identity at one endpoint."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from structlog.contextvars import bind_contextvars

from secret_sync.queue import Pace
from secret_sync.sources.retries import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.queue import WorkQueue
    from secret_sync.sources.source import Source

_log = structlog.get_logger(__name__)

#: Calls in flight in one queue.
IN_FLIGHT: Final = 32
#: A call that takes longer than this many seconds no longer counts as in flight, so secrets for
#: which the cloud hangs do not delay others of the same account. A normal call takes tens of
#: milliseconds.
SLOW_AFTER: Final = 0.25
#: Seconds until a source is fetched again after an unexpected exception.
DEFECT_RETRY_AFTER: Final = 60.0
#: Calls in flight in one queue, including slow ones.
IN_FLIGHT_WITH_SLOW: Final = 256


class SourceQueueKey(NamedTuple):
    """The owner and endpoint whose calls share a queue and a rate.

    Attributes:
        owner: An account, or an identity whose account is not known; ``None`` for all
            identities that have had no success yet.
        endpoint: A class of endpoints, or ``""`` for all that have no queue of their own.
    """

    provider: str
    owner: Hashable
    endpoint: str


class _Group:
    """The sources of one identity in a queue, and their common outage."""

    __slots__ = ("outage", "sources")

    def __init__(self, outage: Outage) -> None:
        self.sources: dict[Source, None] = {}
        self.outage = outage


class RateLimitedQueue:
    """Dispatches the sources of one key.

    *Token first*: the rate token is acquired before the source of highest priority is popped, so
    the limiter has one waiter and a new object overtakes every periodic refresh.

    Args:
        is_due: Return whether a popped source is to be called; reschedule it if not. A delayed
            item may come early and must not cost a token.
        call: Fetch a source once; never raise.
    """

    def __init__(
        self,
        key: SourceQueueKey,
        work_queue: WorkQueue[Source],
        limiter: RateLimiter,
        *,
        is_due: Callable[[Source], bool],
        call: Callable[[Source], Awaitable[None]],
    ) -> None:
        self.key = key
        #: Whether several endpoints or identities share it.
        self.mixed = not key.endpoint
        self.work_queue = work_queue
        self.limiter = limiter
        self.sources = 0
        self._outage = Outage()
        self._groups: dict[Hashable, _Group] = {}
        self._is_due = is_due
        self._call = call
        self._fast = asyncio.Semaphore(IN_FLIGHT)
        self._all = asyncio.Semaphore(IN_FLIGHT_WITH_SLOW)
        self._dispatcher: asyncio.Task[None] | None = None
        self._pace = Pace()

    def __repr__(self) -> str:
        rate = self.limiter.rate
        return f"<RateLimitedQueue {self.work_queue!r} sources={self.sources} rate={rate}>"

    def join(self, source: Source) -> None:
        """Add a source."""
        stable = source.identity.stable
        group = self._groups.get(stable)
        if group is None:
            # Of unrelated endpoints or identities, one outage proves nothing about the others.
            group = self._groups[stable] = _Group(Outage() if self.mixed else self._outage)
        group.sources[source] = None
        self.sources += 1

    def leave(self, source: Source) -> None:
        """Remove a source."""
        stable = source.identity.stable
        group = self._groups[stable]
        del group.sources[source]
        if not group.sources:
            del self._groups[stable]
        self.sources -= 1

    def has(self, source: Source) -> bool:
        """Return whether a source belongs to this queue."""
        group = self._groups.get(source.identity.stable)
        return group is not None and source in group.sources

    def sources_of(self, stable: Hashable) -> list[Source]:
        """Return the sources of one identity, the oldest first."""
        group = self._groups.get(stable)
        return [] if group is None else list(group.sources)

    def outage_of(self, source: Source) -> Outage:
        """Return the outage to which a source of this queue belongs if it gets no answer."""
        return self._groups[source.identity.stable].outage

    def throttled(self, retry_after: float | None) -> None:
        """Slow down: the service throttled a call.

        In a mixed queue only the throttled source slows down, by its backoff: otherwise one that
        is throttled on purpose would slow down the others.
        """
        if not self.mixed:
            self.limiter.throttled(retry_after)

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Start the dispatcher; it and its calls belong to the given group.

        Its log context is its own, not that of the first source's user.
        """
        dispatching = self._dispatch(tasks)
        try:
            self._dispatcher = tasks.create_task(dispatching, context=Context())
        except RuntimeError:
            # The process is stopping: nothing is fetched any more.
            dispatching.close()

    def close(self) -> None:
        """End the dispatcher; calls in flight finish."""
        if self._dispatcher is not None:
            self._dispatcher.cancel()

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self.work_queue.ready()
            await self._all.acquire()
            await self._fast.acquire()
            await self.limiter.acquire()
            tasks.create_task(self._run(await self._next_due()), context=Context())

    async def _next_due(self) -> Source:
        while True:
            await self._pace.wait()
            source = await self.work_queue.get()
            if self._is_due(source):
                return source
            self.work_queue.done(source)

    async def _run(self, source: Source) -> None:
        held = [self._fast]

        def release_slot() -> None:
            if held:
                held.pop().release()

        slow = asyncio.get_running_loop().call_later(SLOW_AFTER, release_slot)
        bind_contextvars(source=source.name)
        try:
            await self._call(source)
        except Exception:  # noqa: BLE001 (logged and retried)
            # A bug must not end the dispatcher of all other sources.
            _log.exception("fetch failed unexpectedly, will retry")
            self.work_queue.add_after(source, DEFECT_RETRY_AFTER)
        finally:
            slow.cancel()
            release_slot()
            self._all.release()
            self.work_queue.done(source)
