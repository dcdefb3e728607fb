"""Stopping: running work is finished, and reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from secret_sync.kube import KubeClient
from tests.support.operator import external_secret, ready_of, values_of

if TYPE_CHECKING:
    import pytest

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running


async def test_a_secret_that_is_written_while_it_stops_has_its_status(
    admin: CloudAdmin, api: Api, home: str, monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    await admin.put_secret("stop/one", "one")
    send = KubeClient.request
    writing = asyncio.Event()

    async def slowly(client: KubeClient, method: str, path: str, **more: Any) -> Any:
        if method == "PATCH" and path.endswith("/secrets/some"):
            writing.set()
            await asyncio.sleep(0.2)
        return await send(client, method, path, **more)

    monkeypatch.setattr(KubeClient, "request", slowly)
    async with running():
        await api.put(external_secret("some", {"key": "stop/one", "name": "a"}), home)
        async with asyncio.timeout(5):
            await writing.wait()
    assert values_of(await api.get("Secret", home, "some")) == {"a": "one"}
    found = await api.get("ExternalSecret", home, "some")
    assert ready_of(found).get("reason") == "Synced"
