"""A lane: the queue, the rate and the calls in flight of one identity at one endpoint."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
from structlog.contextvars import bind_contextvars

from secret_sync.queue import Pace
from secret_sync.sources.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.queue import WorkQueue
    from secret_sync.sources.source import Source

_log = structlog.get_logger(__name__)

#: Calls under way in one lane.
IN_FLIGHT: Final = 32
#: A call that takes longer than this many seconds gives its place to another, so that a
#: cloud that hangs for some secrets does not hold up the others of the same account. A good
#: one takes tens of milliseconds.
SLOW_AFTER: Final = 0.25
#: Seconds after which a source is tried again whose fetch ended in a defect.
UNSETTLED_AGAIN_AFTER: Final = 60.0
#: Calls under way in one lane, the slow ones among them.
IN_FLIGHT_WITH_SLOW: Final = 256


class LaneKey(NamedTuple):
    """Whose calls have a queue and a rate of their own.

    Attributes:
        owner: An account, or an identity whose account is not known; ``None`` for all
            identities that have had no success yet.
        endpoint: A class of endpoints, or ``""`` for all that have no queue of their own.
    """

    provider: str
    owner: Hashable
    endpoint: str


class _Group:
    """The sources of one identity in a lane, and the outage they wait out together."""

    __slots__ = ("outage", "sources")

    def __init__(self, outage: Outage) -> None:
        self.sources: dict[Source, None] = {}
        self.outage = outage


class Lane:
    """Dispatches the sources of one key.

    The rate token comes first and the source of highest priority is popped after it (C0), so
    the limiter has one waiter, and a new object overtakes every periodic refresh.

    Args:
        is_due: Whether a popped source is to be called at all; it reschedules one that is
            not. A delayed item may come early (Q5), and must not cost a token.
        call: One try of a source; never raises.
    """

    def __init__(
        self,
        key: LaneKey,
        queue: WorkQueue[Source],
        limiter: RateLimiter,
        *,
        is_due: Callable[[Source], bool],
        call: Callable[[Source], Awaitable[None]],
    ) -> None:
        self.key = key
        self.queue = queue
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
        """The state an operator would ask for."""
        return f"<Lane {self.queue!r} sources={self.sources} rate={self.limiter.rate}>"

    @property
    def mixed(self) -> bool:
        """Whether several endpoints or identities share it, which have nothing else in common."""
        return not self.key.endpoint

    def join(self, source: Source) -> None:
        """Count a source in."""
        stable = source.identity.stable
        group = self._groups.get(stable)
        if group is None:
            # What goes for one of those that are mixed in here says nothing of the others.
            group = self._groups[stable] = _Group(Outage() if self.mixed else self._outage)
        group.sources[source] = None
        self.sources += 1

    def leave(self, source: Source) -> None:
        """Count a source out."""
        stable = source.identity.stable
        group = self._groups[stable]
        del group.sources[source]
        if not group.sources:
            del self._groups[stable]
        self.sources -= 1

    def has(self, source: Source) -> bool:
        """Tell whether a source is in here."""
        group = self._groups.get(source.identity.stable)
        return group is not None and source in group.sources

    def sources_of(self, stable: Hashable) -> list[Source]:
        """Return the sources of one identity, the oldest first."""
        group = self._groups.get(stable)
        return [] if group is None else list(group.sources)

    def outage_of(self, source: Source) -> Outage:
        """Return what a source that is in here waits out when it gets no answer."""
        return self._groups[source.identity.stable].outage

    def throttled(self, retry_after: float | None) -> None:
        """Slow down: the service refused a call for its rate.

        Where several are mixed only the refused source itself does, by its backoff: one that
        is refused on purpose would slow down the others.
        """
        if not self.mixed:
            self.limiter.throttled(retry_after)

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Starts the dispatcher; it and its calls live in the given group.

        Its log context is its own, not that of whoever came with the first source.
        """
        dispatching = self._dispatch(tasks)
        try:
            self._dispatcher = tasks.create_task(dispatching, context=Context())
        except RuntimeError:
            # The group is ending, and with it the process: nothing is fetched any more.
            dispatching.close()

    def close(self) -> None:
        """Ends the dispatcher; calls under way finish by themselves."""
        if self._dispatcher is not None:
            self._dispatcher.cancel()

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self.queue.ready()
            await self._all.acquire()
            await self._fast.acquire()
            await self.limiter.acquire()
            tasks.create_task(self._run(await self._next_due()), context=Context())

    async def _next_due(self) -> Source:
        while True:
            await self._pace.wait()
            source = await self.queue.get()
            if self._is_due(source):
                return source
            self.queue.done(source)

    async def _run(self, source: Source) -> None:
        held = [self._fast]

        def give_place() -> None:
            if held:
                held.pop().release()

        slow = asyncio.get_running_loop().call_later(SLOW_AFTER, give_place)
        bind_contextvars(source=source.name)
        try:
            await self._call(source)
        except Exception:  # noqa: BLE001 (logged and retried)
            # A defect of ours must not end the dispatchers of everybody else's sources.
            _log.exception("a fetch was not settled, will retry")
            self.queue.add_after(source, UNSETTLED_AGAIN_AFTER)
        finally:
            slow.cancel()
            give_place()
            self._all.release()
            self.queue.done(source)
