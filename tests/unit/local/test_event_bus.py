"""Events that the local cloud posts when a secret changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from secret_sync.local.cloud import CloudAdmin, LocalCloud
from secret_sync.local.cloud.event_bus import TOKEN_HEADER, EventTarget
from secret_sync.refresh.bodies import read_names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Receiver:
    """Takes events, after it has refused some."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], bytes]] = []
        self.refusals = 0
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        body = await request.read()
        self.events.append((request.headers[TOKEN_HEADER], await request.json(), body))
        return web.Response(status=202)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.events) < count:  # noqa: ASYNC110 (of another task)
                await asyncio.sleep(0.01)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/refresh", found.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/refresh"
    yield found
    await runner.cleanup()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[CloudAdmin]:
    cloud = LocalCloud()
    info = await cloud.start(tmp_path)
    async with CloudAdmin(info.admin_url) as client:
        yield client
    await cloud.stop()


async def test_events_name_the_secret_and_never_its_value(
    admin: CloudAdmin, receiver: Receiver
) -> None:
    await admin.put_secret("before", "hidden value")
    await admin.set_event_target(receiver.url, token="t")
    await admin.put_secret("shop/db", "hidden value")
    await receiver.until(1)
    await admin.rotate("shop/db")
    await receiver.until(2)
    (token, put, _), (_, rotated, _) = receiver.events
    assert token == "t"
    assert put["type"] == "kms:ActionTrail:ApiCall"
    assert rotated["type"] == "kms:CloudMonitor:Secret[RotateSecret:Success]"
    arn = f"acs:kms:cn-hangzhou:{put['aliyunaccountid']}:secret/shop/db"
    assert [read_names(body) for *_, body in receiver.events] == [["shop/db"], [arn, "shop/db"]]
    assert not [body for *_, body in receiver.events if b"hidden" in body]


async def test_event_is_sent_again_until_it_is_accepted(
    admin: CloudAdmin, receiver: Receiver
) -> None:
    receiver.refusals = 2
    await admin.set_event_target(receiver.url)
    await admin.put_secret("db", "x")
    await receiver.until(1)
    receiver.refusals = 100
    await admin.put_secret("db", "y")
    async with asyncio.timeout(20):
        while not (await admin.events())["failed"]:  # noqa: ASYNC110 (another task)
            await asyncio.sleep(0.05)
    assert await admin.events() == {"posted": 1, "dropped": 0, "failed": 1}


async def test_events_are_lost_or_repeated_as_often_as_asked_for(
    admin: CloudAdmin, receiver: Receiver
) -> None:
    await admin.set_event_target(receiver.url, drop=1.0)
    await admin.put_secret("db", "x")
    await admin.set_event_target(receiver.url, duplicate=1.0)
    await admin.put_secret("db", "y")
    await receiver.until(2)
    assert (await admin.events())["dropped"] == 1
    await admin.set_event_target()
    await admin.put_secret("db", "z")
    await asyncio.sleep(0.1)
    assert len(receiver.events) == 2


def test_representation_of_a_target_has_no_token() -> None:
    assert "hidden" not in repr(EventTarget("http://x", "hidden"))
