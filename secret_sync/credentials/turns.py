"""Whose call comes next: tenants take turns at a rate that they share."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from secret_sync.queue import Priority
from secret_sync.queue.level import Item, Level

if TYPE_CHECKING:
    from secret_sync.cloud.limiter import RateGate


class FairGate:
    """Lets callers pass at the rate of a gate, one of each tenant after the other.

    To be built inside the running loop. Who passes is chosen when there is room for a call, and
    not before: a tenant with one call does not wait for the thousands of another one.

    Args:
        gate: Keeps the rate; nobody else may use it.
    """

    def __init__(self, gate: RateGate) -> None:
        self._gate = gate
        self._waiting: Level[asyncio.Event] = Level()
        self._dispatcher: asyncio.Task[None] | None = None

    async def acquire(self, tenant: str) -> None:
        """Wait for the right to make one call; whoever is cancelled leaves nothing behind."""
        loop = asyncio.get_running_loop()
        # Set when it is taken out of those who wait.
        passed = asyncio.Event()
        now = loop.time()
        self._waiting.join(passed, Item(now, now, Priority.HIGH), (tenant,))
        if self._dispatcher is None or self._dispatcher.done():
            # It works for all who wait, not for the one that came first.
            self._dispatcher = loop.create_task(
                self._dispatch(), name="turns at a rate", context=Context()
            )
        try:
            await passed.wait()
        except asyncio.CancelledError:
            if passed.is_set():
                self._pass_next()  # the call that will not be made is somebody else's
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
