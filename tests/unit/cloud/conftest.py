"""A server that does to each request what a test wrote, byte by byte."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from secret_sync.cloud.transport import Transport
from tests.support.streams import StreamServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable

    Script = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class ScriptedConnections:
    """Runs ``script(n, writer)`` for the n-th request (from 1); closes when it raises EOFError."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.tls = tls
        self.connections = 0
        self.requests: list[bytes] = []
        self._server = StreamServer(self._serve)

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    async def start(self) -> None:
        await self._server.start(tls=self.tls)

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.script(len(self.requests), writer)
            await writer.drain()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[ScriptedConnections]]]:
    servers: list[ScriptedConnections] = []

    async def start(script: Script, tls: ssl.SSLContext | None = None) -> ScriptedConnections:
        server = ScriptedConnections(script, tls)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    yield transport
    await transport.close()
