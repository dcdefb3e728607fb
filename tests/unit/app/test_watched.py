"""What of the API server is known, and what the probe says where that may be old."""

from __future__ import annotations

import asyncio
from typing import Any, Self, cast

import pytest

from secret_sync.app.watched import Capabilities, Watched
from secret_sync.metrics import Metrics
from secret_sync.settings.model import Settings

pytestmark = pytest.mark.looptime


class Unwatchable:
    """An API server of which every list is answered, and of some kinds no watch."""

    def __init__(self, *plurals: str) -> None:
        self.plurals = plurals

    async def request(self, _method: str, path: str, *, accept: str, **_: Any) -> dict[str, Any]:
        kinds = {
            "externalsecrets": "ExternalSecret",
            "secretstores": "SecretStore",
            "clustersecretstores": "ClusterSecretStore",
        }
        whole = kinds.get(path.rpartition("/")[2], "")
        kind = whole if "Partial" not in accept else "PartialObjectMetadata"
        return {"kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": []}

    async def stream(self, path: str, **_: Any) -> Any:
        if path.rpartition("/")[2] in self.plurals:
            await asyncio.Event().wait()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    @property
    def content(self) -> Unwatchable:
        return self

    async def readany(self) -> bytes:
        await asyncio.sleep(90)
        raise TimeoutError


async def test_the_probe_names_what_no_watch_has_opened_of() -> None:
    server = Unwatchable("secrets", "secretstores")
    watched = Watched(cast("Any", server), Settings(), Metrics("test"), Capabilities())
    assert watched.unready == "caches are not in sync yet"
    running = [asyncio.ensure_future(i.run()) for i in watched.running.values()]
    await watched.wait_synced()
    await asyncio.sleep(30)
    assert watched.unready.startswith("no watch of secrets, secret stores has opened yet, so ")
    # As listed again: still nothing reports changes.
    await asyncio.sleep(1000)
    assert "secret stores has opened" in watched.unready
    server.plurals = ()
    await asyncio.sleep(330)
    assert watched.unready == ""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
