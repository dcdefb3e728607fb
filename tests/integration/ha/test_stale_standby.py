"""A standby whose watch has died in silence becomes leader, and undoes nothing."""

from __future__ import annotations

import asyncio
import signal
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.chaos.gateway import Gateway
from tests.support.operator import external_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.ha.conftest import Replicas
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def gateway(audited: ControlPlane, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(audited, tmp_path, Random(1)) as gateway:
        yield gateway


async def test_a_target_that_it_has_not_heard_of_is_neither_deleted_nor_replaced(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str, gateway: Gateway
) -> None:
    await admin.put_secret(f"{home}/one", "value")
    entry = {"key": f"{home}/one", "name": "x"}
    one = await replicas.start("one")
    await one.until_says('"leading"')
    two = await replicas.start("two", gateway.url, str(gateway.ca_file))
    await api.put(external_secret("some", entry, target={"name": "former"}), home)
    await api.until_holds(home, "former", {"x": "value"})
    await api.until_ready(home, "some", "Synced")
    # Its informers have all of that.
    await asyncio.sleep(1)

    gateway.mute = "/externalsecrets"
    await api.put(external_secret("some", entry, target={"name": "latter"}), home)
    written = await api.until_holds(home, "latter", {"x": "value"})
    await api.until("Secret", home, "former", lambda found: found is None)
    await asyncio.sleep(1)
    one.process.send_signal(signal.SIGTERM)
    await two.until_says('"leading"', 10)
    # Time enough to do the wrong thing.
    await asyncio.sleep(4)
    # It works, with watches that are heard.
    await admin.put_secret(f"{home}/two", "another")
    await api.put(external_secret("other", {"key": f"{home}/two", "name": "y"}), home)
    gateway.mute = ""
    gateway.cut(watches_only=True)
    await api.until_holds(home, "other", {"y": "another"}, within=15)

    held = await api.get("Secret", home, "latter")
    assert held["metadata"]["uid"] == written["metadata"]["uid"]
    assert await api.find("Secret", home, "former") is None
    acts = [r for r in await replicas.records() if r.user == "two" and r.resource == "secrets"]
    assert [r for r in acts if r.verb == "delete"] == []
    assert {r.name for r in acts if r.verb == "patch"} <= {"latter", "other"}
