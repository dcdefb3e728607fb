"""What a burst opened is closed again, although requests go on."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from secret_sync.cloud.connections import Connector

BURST = 20
KEPT = 0.3


async def test_connections_in_excess_grow_old_while_requests_go_on() -> None:
    everybody_is_here = asyncio.Barrier(BURST)
    used: list[object] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/burst":
            await everybody_is_here.wait()
        used.append(request.transport)
        return web.Response()

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    connector = Connector(limit=0, keepalive_timeout=KEPT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(path: str) -> None:
            async with session.get(url + path) as reply:
                await reply.read()

        await asyncio.gather(*(ask("/burst") for _ in range(BURST)))
        assert len(server.connections) == BURST
        used.clear()
        async with asyncio.timeout(10):
            while len(server.connections) > 1:
                await ask("/")
                await asyncio.sleep(0.02)
        assert len(set(used)) == 1
    await runner.cleanup()
