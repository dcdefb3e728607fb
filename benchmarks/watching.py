"""An independent witness: a watch of its own that notes when Secrets come to be."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.world import METADATA, NAMESPACE, SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from benchmarks.world import World

_ADDED: Final = b'{"type":"ADDED"'


class Arrivals:
    """Secrets that came to be since the watch began.

    Nothing is parsed: on a machine with few cores the witness must not slow what it watches.

    Attributes:
        count: How many.
        last: When the last one came, on the clock of ``time.monotonic``.
    """

    def __init__(self) -> None:
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
            added = sum(line.startswith(_ADDED) for line in lines)
            if added:
                self.count += added
                self.last = now
                self._news.set()


@asynccontextmanager
async def arrivals(world: World, namespace: str = NAMESPACE) -> AsyncIterator[Arrivals]:
    """Watch a namespace's Secrets, metadata only, from now on."""
    path = SECRETS.format(namespace)
    async with world.api.get(path, params={"limit": "1"}) as answer:
        version = (await answer.json())["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
    async with world.api.get(path, params=params, headers={"Accept": METADATA}) as response:
        response.raise_for_status()
        seen = Arrivals()
        reading = asyncio.create_task(seen.read(response))
        try:
            yield seen
        finally:
            reading.cancel()
            await asyncio.wait([reading])
