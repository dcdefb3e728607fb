"""The probes and the metrics on one port."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from secret_sync import health
from secret_sync.errors import DefiniteError
from secret_sync.health import BEAT, HealthServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Readiness:
    why = "caches are not in sync yet"

    def __call__(self) -> str:
        return self.why


@pytest.fixture
async def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
async def server(readiness: Readiness) -> AsyncIterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("some", "Some.", registry=registry).inc(3, {"reconcile_id": "c0ffee"})
    server = HealthServer(registry, unready=readiness)
    await server.start("127.0.0.1", 0)
    yield server
    await server.stop()


#: What Prometheus 2 and 3 send.
OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


async def scrape(server: HealthServer, accept: str) -> tuple[str, str]:
    """The type of the answer and the answer."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    async with aiohttp.ClientSession() as session:
        answer = await session.get(url, headers={"Accept": accept} if accept else None)
        assert answer.status == 200
        return answer.headers["Content-Type"], await answer.text()


async def get(server: HealthServer, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_metrics_are_shown(server: HealthServer) -> None:
    status, text = await get(server, "/metrics")
    assert status == 200
    assert "some_total 3.0" in text


async def test_openmetrics_are_shown_to_those_who_ask_for_them(server: HealthServer) -> None:
    kind, text = await scrape(server, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert '# {reconcile_id="c0ffee"}' in text


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html", "application/openmetrics-text;version=x"]
)
async def test_everybody_else_gets_plain_text(server: HealthServer, accept: str) -> None:
    kind, text = await scrape(server, accept)
    assert kind.startswith("text/plain; version=0.0.4")
    assert "# EOF" not in text
    assert "c0ffee" not in text


async def test_ready_as_soon_as_the_caches_are_in_sync(
    server: HealthServer, readiness: Readiness
) -> None:
    status, text = await get(server, "/readyz")
    assert (status, "in sync" in text) == (503, True)
    readiness.why = ""
    assert await get(server, "/readyz") == (200, "ok\n")


async def test_alive_while_the_loop_gets_around(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating = asyncio.create_task(server.beat())
    await asyncio.sleep(0)
    assert await get(server, "/healthz") == (200, "ok\n")
    beating.cancel()
    monkeypatch.setattr(health, "STUCK_AFTER", 0.05)
    await asyncio.sleep(0.1)
    status, text = await get(server, "/healthz")
    assert (status, "no heartbeat" in text) == (503, True)


async def test_alive_before_the_first_beat(server: HealthServer) -> None:
    # The API server may be waited for at start, half a minute long.
    assert await get(server, "/healthz") == (200, "ok\n")


@pytest.mark.looptime
async def test_the_heart_beats_every_second() -> None:
    server = HealthServer(CollectorRegistry(), unready=lambda: "")
    beating = asyncio.create_task(server.beat())
    for _ in range(3):
        await asyncio.sleep(BEAT)
        assert 0 <= server.late <= BEAT
    beating.cancel()


async def test_an_address_that_is_taken_is_an_error_of_ours() -> None:
    server = HealthServer(CollectorRegistry(), unready=lambda: "")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(DefiniteError, match="--metrics-bind-address"),
    ):
        await server.start("127.0.0.1", taken.getsockname()[1])
    assert server.port is None


async def test_stopping_twice_is_no_error(server: HealthServer) -> None:
    await server.stop()
    await server.stop()
    assert server.port is None


async def test_stopping_does_not_wait_for_whoever_does_not_read_the_answer() -> None:
    registry = CollectorRegistry()
    Counter("large", "x" * 20_000_000, registry=registry)
    server = HealthServer(registry, unready=lambda: "")
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.read(1) == b"H"
    async with asyncio.timeout(10):
        await server.stop()
    writer.close()
