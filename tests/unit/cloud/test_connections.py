"""What a burst opens is opened little by little, and closed again although requests go on."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from secret_sync.cloud.connections import OPENED_AT_ONCE, Connector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BURST = 20
KEPT = 0.3


class SlowNames(AbstractResolver):
    """Every name is this machine; where it has to wait, a connection is being opened."""

    def __init__(self) -> None:
        self.opening = 0
        self.may_go_on = asyncio.Event()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.opening += 1
        await self.may_go_on.wait()
        self.opening -= 1
        here = "127.0.0.1"
        return [ResolveResult(hostname=host, host=here, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


class SlowServer:
    """Answers at once, but for ``/late``."""

    def __init__(self) -> None:
        self.used: list[object] = []
        self.late = asyncio.Event()
        self.web = web.Server(self._answer)
        self.port = 0

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.used.append(request.transport)
        if request.path == "/late":
            await self.late.wait()
        return web.Response()


@pytest.fixture
async def server() -> AsyncIterator[SlowServer]:
    """On a port of its own."""
    server = SlowServer()
    runner = web.ServerRunner(server.web)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (a server, and a library's inside)
            await asyncio.sleep(0.005)


async def ask(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as reply:
        await reply.read()


async def test_connections_in_excess_grow_old_while_requests_go_on(server: SlowServer) -> None:
    url = f"http://127.0.0.1:{server.port}"
    connector = Connector(limit=0, keepalive_timeout=KEPT)
    async with aiohttp.ClientSession(connector=connector) as session:
        burst = [asyncio.create_task(ask(session, f"{url}/late")) for _ in range(BURST)]
        await until(lambda: len(server.used) == BURST)
        server.late.set()
        await asyncio.gather(*burst)
        assert len(server.web.connections) == BURST
        server.used.clear()
        async with asyncio.timeout(10):
            while len(server.web.connections) > 1:
                await ask(session, url)
                await asyncio.sleep(0.02)
        assert len(set(server.used)) == 1


async def test_burst_is_opened_little_by_little(server: SlowServer) -> None:
    names = SlowNames()
    url = f"http://one.example:{server.port}"
    connector = Connector(limit=0, resolver=names, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        burst = [asyncio.create_task(ask(session, url)) for _ in range(3 * OPENED_AT_ONCE)]
        await until(lambda: names.opening == OPENED_AT_ONCE)
        # One host that does not answer holds up no other one.
        other = asyncio.create_task(ask(session, f"http://two.example:{server.port}"))
        await until(lambda: names.opening == OPENED_AT_ONCE + 1)
        names.may_go_on.set()
        await asyncio.gather(*burst, other)
        assert len(server.used) == 3 * OPENED_AT_ONCE + 1


async def test_waiting_request_uses_a_connection_that_became_free(server: SlowServer) -> None:
    names = SlowNames()
    url = f"http://one.example:{server.port}"
    connector = Connector(limit=0, resolver=names, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        names.may_go_on.set()
        late = asyncio.create_task(ask(session, f"{url}/late"))
        await until(lambda: len(server.used) == 1)
        names.may_go_on.clear()
        opening = [asyncio.create_task(ask(session, url)) for _ in range(OPENED_AT_ONCE)]
        await until(lambda: names.opening == OPENED_AT_ONCE)
        waiting = asyncio.create_task(ask(session, url))
        await asyncio.sleep(0)
        server.late.set()
        await late
        names.may_go_on.set()
        await asyncio.gather(*opening, waiting)
        assert len(set(server.used)) == 1 + OPENED_AT_ONCE
