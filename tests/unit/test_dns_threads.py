"""Looking names up with the C library, and connecting to addresses that need no lookup."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest

from secret_sync import dns
from secret_sync.dns import Resolver


async def test_the_system_resolves_names_in_its_own_way() -> None:
    resolver = Resolver()
    found = await resolver.resolve("localhost", 80)
    assert found
    assert {one["host"] for one in found} <= {"127.0.0.1", "::1"}
    await resolver.close()


async def test_invalid_name_is_a_failure() -> None:
    resolver = Resolver()
    with pytest.raises(OSError, match=r"."):
        await resolver.resolve("a..b", 80)
    await resolver.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_numbers_is_never_looked_up(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(dns, "look_up", lambda host, family: looked_up.append(host))
    resolver = Resolver()
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://{host}:9/")
    await resolver.close()
    assert looked_up == []


async def test_closing_does_not_wait_for_a_lookup_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(dns, "look_up", lambda host, family: go_on.wait(30))
    resolver = Resolver()
    asking = asyncio.create_task(resolver.resolve("dead", 80))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await resolver.close()
        with pytest.raises(OSError, match="the name server does not answer"):
            await asking
    go_on.set()
