"""Events of many objects at once, on the real API server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.controlplane import fresh_namespace
from tests.support.operator import external_secret, operator, path_of, ready_of, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

#: Bad objects in each of four namespaces.
EACH = 12
#: The rate without a burst took 4.8 s; this leaves room for a slow machine.
SOON = 3.0


@pytest.fixture
def namespaces(cluster: ControlPlane) -> Iterator[list[str]]:
    made = [fresh_namespace(cluster) for _ in range(4)]
    yield [next(each) for each in made]
    for each in made:
        next(each, None)


async def names_of(api: Api, path: str) -> set[str]:
    """The objects that first Warnings are about."""
    status, found = await api.request("GET", path)
    assert status == 200, found
    return {e["involvedObject"]["name"] for e in found["items"] if e["type"] == "Warning"}


async def all_failed(api: Api, namespace: str) -> bool:
    _, listed = await api.request("GET", path_of("ExternalSecret", namespace))
    return all(ready_of(item).get("status") == "False" for item in listed["items"])


async def test_every_first_warning_follows_its_condition_at_once(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, namespaces: list[str]
) -> None:
    *staying, going = namespaces
    for number in range(EACH):
        for namespace in namespaces:
            # There is no such store.
            document = external_secret(f"bad-{number}", {"key": "any", "name": "x"})
            # So that they are still there, and looked at, while their namespace is being deleted.
            document["metadata"]["finalizers"] = ["example.com/held"] * (namespace == going)
            await api.put(document, namespace)
    status, _ = await api.request("DELETE", f"/api/v1/namespaces/{going}")
    assert status in {200, 202}
    try:
        async with operator(settings_for(cluster, cloud, *namespaces)):
            async with asyncio.timeout(20):
                for name in staying:
                    while not await all_failed(api, name):  # noqa: ASYNC110 (the server's)
                        await asyncio.sleep(0.05)
            began = time.monotonic()
            reported: set[str] = set()
            while len(reported) < EACH * len(staying):
                assert time.monotonic() - began < SOON, len(reported)
                for name in staying:
                    found = await names_of(api, f"/api/v1/namespaces/{name}/events")
                    reported |= {f"{name}/{one}" for one in found}
            assert not await names_of(api, f"/api/v1/namespaces/{going}/events")
    finally:
        for number in range(EACH):
            path = path_of("ExternalSecret", going, f"bad-{number}")
            patch = {"metadata": {"finalizers": None}}
            await api.request("PATCH", path, patch, "application/merge-patch+json")
