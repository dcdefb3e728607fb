"""An independent witness: a watch of its own that notes when Secrets come to be."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.world import METADATA, NAMESPACE, SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from benchmarks.world import World


class Arrivals:
    """Changes of Secrets since the watch began.

    Nothing is parsed: on a machine with few cores the witness must not slow what it watches.

    Attributes:
        count: How many.
        last: When the last one came, on the clock of ``time.monotonic``.
    """

    def __init__(self, change: str) -> None:
        self._begins = f'{{"type":"{change}"'.encode()
        self.count = 0
        self.last = 0.0
        self._news = asyncio.Event()

    async def until(self, count: int, *, within: float) -> None:
        """Wait until there are that many.

        Raises:
            TimeoutError: There are not within so many seconds.
        """
        async with asyncio.timeout(within):
            while self.count < count:
                self._news.clear()
                await self._news.wait()

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Count until cancelled."""
        rest = b""
        while chunk := await response.content.readany():
            now = time.monotonic()
            *lines, rest = (rest + chunk).split(b"\n")
            added = sum(line.startswith(self._begins) for line in lines)
            if added:
                self.count += added
                self.last = now
                self._news.set()


@asynccontextmanager
async def arrivals(
    world: World, namespace: str = NAMESPACE, *, change: str = "ADDED"
) -> AsyncIterator[Arrivals]:
    """Watch a namespace's Secrets, metadata only, from now on; count one type of change."""
    path = SECRETS.format(namespace)
    async with world.api.get(path, params={"limit": "1"}) as answer:
        version = (await answer.json())["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
    async with world.api.get(path, params=params, headers={"Accept": METADATA}) as response:
        response.raise_for_status()
        seen = Arrivals(change)
        reading = asyncio.create_task(seen.read(response))
        try:
            yield seen
        finally:
            reading.cancel()
            await asyncio.wait([reading])
