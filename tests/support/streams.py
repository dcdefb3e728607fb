"""TCP servers of tests: whatever a test leaves open is closed before its event loop is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable


class StreamServer:
    """Hands each connection on loopback to ``serve``, and closes it afterwards.

    A connection ends quietly when ``serve`` meets the end of the stream or a broken connection.
    """

    def __init__(
        self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self.port = 0
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Accept no further connection."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Refuse new connections, and end those that there are."""
        self.refuse()
        connections = dict(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for writer in connections.values():
            # Closing TLS politely waits for the other side, which may be gone.
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # If `_accept` were a coroutine, the loop could end before its first step, unseen by `stop`.
        task = asyncio.create_task(self._run(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()
