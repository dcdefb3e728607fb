"""A rate limiter that tenants share fairly."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from secret_sync.queue import Priority
from secret_sync.queue.level import Item, Level

if TYPE_CHECKING:
    from secret_sync.cloud.rate_limiter import RateLimiter


class FairRateLimiter:
    """Admits callers at the rate of a limiter, taking the tenants in turn.

    To be built inside the running loop. The next caller is chosen only when a call is allowed: a
    tenant with one call does not wait for the thousands of another one.

    Args:
        limiter: Limits the rate; it must not be used elsewhere.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        self._gate = limiter
        self._waiting: Level[asyncio.Event] = Level()
        self._dispatcher: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of callers that wait."""
        return len(self._waiting)

    async def acquire(self, tenant: str) -> None:
        """Wait until one call may be made; a cancelled caller leaves nothing behind."""
        loop = asyncio.get_running_loop()
        # Set when the caller is taken from the queue.
        passed = asyncio.Event()
        now = loop.time()
        self._waiting.join(passed, Item(now, now, Priority.HIGH), (tenant,))
        if self._dispatcher is None or self._dispatcher.done():
            # It serves all callers, not only the context of the first one.
            self._dispatcher = loop.create_task(
                self._dispatch(), name="turns at a rate", context=Context()
            )
        try:
            await passed.wait()
        except asyncio.CancelledError:
            if passed.is_set():
                self._pass_next()  # another caller may make the call
            else:
                self._waiting.leave(passed)
            raise

    async def _dispatch(self) -> None:
        while self._waiting:
            await self._gate.acquire()
            self._pass_next()

    def _pass_next(self) -> None:
        if self._waiting:
            passed, _ = self._waiting.take()
            passed.set()
