"""A wire between two that talk TCP: it can be cut, and it can be slow."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class Wire:
    """Forwards connections to an address.

    Attributes:
        port: Where it listens, on loopback.
        delay: Seconds for which every byte of an answer is kept back.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay = 0.0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def mend(self) -> None:
        """Lets connections through, from the first time on at the same port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Ends all connections, and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._pump(reader, far_writer, late=False))
                    tasks.create_task(self._pump(far_reader, writer, late=True))
            finally:
                far_writer.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool
    ) -> None:
        while chunk := await reader.read(65536):
            if late:
                await asyncio.sleep(self.delay)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionError
