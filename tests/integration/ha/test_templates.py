"""A change of leader writes nothing, although templates have hashes and the time."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.operator import external_secret

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.integration.ha.conftest import Replicas
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(120)
DATED = {
    "htpasswd": "{{ htpasswd .user .user }}",
    "hash": "{{ bcrypt .user 5 }}",
    "now": "{{ now | unixEpoch }}",
}


async def test_a_change_of_leader_writes_the_same_bytes(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str
) -> None:
    await admin.put_secret(f"{home}/user", "alice")
    one = await replicas.start("one")
    await one.until_says('"leading"')
    two = await replicas.start("two")
    template = {"data": DATED, "metadata": {"labels": {"user": "{{ .user }}"}}}
    entry = {"key": f"{home}/user", "name": "user"}
    target = {"template": template}
    await api.put(external_secret("some", entry, target=target, rotationInterval="1s"), home)
    await api.until_ready(home, "some", "Synced")
    before = await api.get("Secret", home, "some")
    one.process.send_signal(signal.SIGTERM)
    await two.until_says('"leading"', 15.0)
    calls = (await admin.counters())["secrets"][f"{home}/user"]
    async with asyncio.timeout(30):
        while (await admin.counters())["secrets"][f"{home}/user"] < calls + 4:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert await api.get("Secret", home, "some") == before
