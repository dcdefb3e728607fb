"""A wire between two that talk TCP: it can be cut, and it can be slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.streams import StreamServer

if TYPE_CHECKING:
    from collections.abc import Callable


class Wire:
    """Forwards connections to an address.

    Attributes:
        port: Where it listens, on loopback.
        late_requests: Seconds that every byte towards the address takes.
        late_answers: Seconds that every byte from there takes.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._server = StreamServer(self._forward)
        self.port = 0
        self.late_requests = 0.0
        self.late_answers = 0.0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def restore(self) -> None:
        """Lets connections through, from the first time on at the same port."""
        await self._server.start(self.port)
        self.port = self._server.port

    async def cut(self) -> None:
        """Ends all connections, and refuses new ones."""
        await self._server.stop()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_carry(reader, far_writer, lambda: self.late_requests))
                    tasks.create_task(_carry(far_reader, writer, lambda: self.late_answers))
                far_writer.close()
                await far_writer.wait_closed()
            finally:
                # Closing alone waits for a side that may not read any more.
                far_writer.transport.abort()
        except* OSError:
            pass


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: Callable[[], float]
) -> None:
    """One direction: what was sent arrives, also if its sender has hung up meanwhile."""
    now = asyncio.get_running_loop().time
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_deliver(on_the_way, writer))
        chunk = None
        while chunk != b"":
            try:
                chunk = await reader.read(65536)
            except OSError:
                chunk = b""
            on_the_way.put_nowait((now() + late(), chunk))


async def _deliver(
    on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    now = asyncio.get_running_loop().time
    try:
        while True:
            due, chunk = await on_the_way.get()
            await asyncio.sleep(due - now())
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
    except OSError:
        # Nobody is there any more to hear it.
        pass
    finally:
        writer.close()
