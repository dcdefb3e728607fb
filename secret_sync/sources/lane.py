"""A lane: the queue, the rate and the calls in flight of one limiter key."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final

from structlog.contextvars import bind_contextvars

from secret_sync.sources.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.cloud.limiter import RateGate
    from secret_sync.queue import WorkQueue
    from secret_sync.sources.source import Source

#: Calls under way in one lane.
IN_FLIGHT: Final = 32
#: A call that takes longer than this many seconds gives its place to another, so that a
#: cloud that hangs for some secrets does not hold up the others of the same account. A good
#: one takes tens of milliseconds.
SLOW_AFTER: Final = 0.25
#: Calls under way in one lane, the slow ones among them.
IN_FLIGHT_WITH_SLOW: Final = 256


class Lane:
    """Dispatches the sources of one limiter key.

    The rate token comes first and the source of highest priority is popped after it (C0), so
    the limiter has one waiter, and a new object overtakes every periodic refresh.

    Args:
        is_due: Whether a popped source is to be called at all; it reschedules one that is
            not. A delayed item may come early (Q5), and must not cost a token.
        call: One try of a source; never raises.
    """

    def __init__(
        self,
        queue: WorkQueue[Source],
        gate: RateGate,
        *,
        is_due: Callable[[Source], bool],
        call: Callable[[Source], Awaitable[None]],
    ) -> None:
        self.queue = queue
        self.gate = gate
        self.outage = Outage()
        self.sources = 0
        self._is_due = is_due
        self._call = call
        self._fast = asyncio.Semaphore(IN_FLIGHT)
        self._all = asyncio.Semaphore(IN_FLIGHT_WITH_SLOW)
        self._dispatcher: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        """The state an operator would ask for."""
        return f"<Lane {self.queue!r} sources={self.sources} rate={self.gate.rate}>"

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Starts the dispatcher; it and its calls live in the given group.

        Its log context is its own, not that of whoever came with the first source.
        """
        self._dispatcher = tasks.create_task(self._dispatch(tasks), context=Context())

    def close(self) -> None:
        """Ends the dispatcher; calls under way finish by themselves."""
        if self._dispatcher is not None:
            self._dispatcher.cancel()

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self.queue.ready()
            await self._all.acquire()
            await self._fast.acquire()
            await self.gate.acquire()
            tasks.create_task(self._run(await self._next_due()), context=Context())

    async def _next_due(self) -> Source:
        while True:
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
        finally:
            slow.cancel()
            give_place()
            self._all.release()
            self.queue.done(source)
