"""Waiting for something, or for the word to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from secret_sync.queue import WorkQueue

T = TypeVar("T")


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of the work, or cancel it and return ``None`` on a stop."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def drain(work: Sequence[WorkQueue[str]], statuses: Sequence[WorkQueue[str]]) -> None:
    """Finish the reconciles in flight, then write all their statuses."""
    for queue in work:
        queue.shut_down()
    for queue in work:
        await queue.drained()
    for queue in statuses:
        while len(queue) or queue.in_flight:
            await queue.drained()
            # Workers take what is ready.
            await asyncio.sleep(0)
        queue.shut_down()
