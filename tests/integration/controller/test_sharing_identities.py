"""One identity costs one session, however many use it; an ended session is replaced once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.identities import Ram, auth_store, calls, put_account, using
from tests.support.operator import operator, path_of, put_store, ready_of, settings_for

if TYPE_CHECKING:
    from typing import Any

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

MANY = 500
KEY = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}


@pytest.fixture
async def ram(cluster: ControlPlane, admin: CloudAdmin, cloud: CloudInfo) -> Ram:
    return await Ram.of(cluster, admin, cloud)


async def put_all(api: Api, namespace: str, documents: list[dict[str, Any]]) -> None:
    places = asyncio.Semaphore(16)

    async def put(document: dict[str, Any]) -> None:
        async with places:
            await api.put(document, namespace)

    await asyncio.gather(*map(put, documents))


async def all_ready(api: Api, namespace: str, kind: str, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            _, listed = await api.request("GET", path_of(kind, namespace))
            if sum(ready_of(item).get("status") == "True" for item in listed["items"]) >= count:
                return
            await asyncio.sleep(0.1)


async def test_500_stores_of_one_identity_cost_one_call(
    api: Api, ram: Ram, home: str, running: Running
) -> None:
    role = await ram.role_for(f"shared-{home}", home, "reader")
    await put_account(api, home, "reader", role)
    ref = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": ram.provider}
    await put_all(api, home, [auth_store(f"store-{n}", **ref) for n in range(MANY)])
    async with running():
        await all_ready(api, home, "SecretStore", MANY)
    assert len(await calls(ram.admin, "AssumeRoleWithOIDC", role)) == 1


async def test_500_objects_that_wait_for_a_cold_identity_cost_one_call(
    api: Api, ram: Ram, home: str, running: Running
) -> None:
    role = await ram.role_for_account(f"cold-{home}")
    await ram.admin.put_secrets({f"cold/{n}": "x" for n in range(MANY)})
    await api.put(auth_store("cold", **KEY, ramRoleARN=role), home)
    await put_all(api, home, [using("cold", f"some-{n}", f"cold/{n}") for n in range(MANY)])
    slow = await ram.admin.set_fault("delay", action="AssumeRole", subject=role, seconds=1.0)
    async with running():
        await all_ready(api, home, "ExternalSecret", MANY)
    await ram.admin.clear_faults(slow)
    assert len(await calls(ram.admin, "AssumeRole", role)) == 1


async def test_a_session_that_ends_early_is_replaced_once_and_the_call_repeated(
    api: Api, ram: Ram, home: str, running: Running
) -> None:
    role = await ram.role_for_account(f"ended-{home}")
    await ram.admin.put_secrets({f"ended/{n}": "one" for n in range(5)})
    await api.put(auth_store("ended", **KEY, ramRoleARN=role), home)
    async with running(polling_interval=1.0):
        for n in range(5):
            await api.put(using("ended", f"some-{n}", f"ended/{n}"), home)
        for n in range(5):
            await api.until_holds(home, f"some-{n}", {"x": "one"})
        assert await ram.admin.expire_sessions(role=role) == 1
        await ram.admin.put_secrets({f"ended/{n}": "two" for n in range(5)})
        for n in range(5):
            await api.until_holds(home, f"some-{n}", {"x": "two"})
            await api.until_ready(home, f"some-{n}", "Synced")
    assert len(await calls(ram.admin, "AssumeRole", role)) == 2


async def test_sts_that_is_down_costs_nobody_who_has_credentials(
    api: Api, ram: Ram, home: str, running: Running
) -> None:
    role = await ram.role_for_account(f"down-{home}")
    await ram.admin.put_secret("down/one", "one")
    await api.put(auth_store("down", **KEY, ramRoleARN=role), home)
    async with running(polling_interval=1.0):
        await api.put(using("down", "some", "down/one"), home)
        await api.until_holds(home, "some", {"x": "one"})
        down = await ram.admin.set_fault("error", action="AssumeRole", status=503)
        await ram.admin.put_secret("down/one", "two")
        await api.until_holds(home, "some", {"x": "two"})
        await ram.admin.clear_faults(down)


async def test_a_metadata_service_that_hangs_slows_nobody_else(
    cluster: ControlPlane, own_cloud: CloudInfo, api: Api, namespace: str
) -> None:
    await put_store(api, own_cloud, namespace)
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await admin.put_secret("hang/one", "one")
        await admin.set_fault("hang", action="MetadataToken")
        await admin.set_fault("hang", action="MetadataRole")
        await api.put(auth_store("worker"), namespace)
        async with operator(settings_for(cluster, own_cloud, namespace)):
            await api.put(using("worker", "hung", "hang/one"), namespace)
            await api.put(using("store", "good", "hang/one"), namespace)
            await api.until_holds(namespace, "good", {"x": "one"})
            reported = await api.until_ready(namespace, "hung", "WorkerRoleUnavailable", within=15)
        assert "is this an ECS node?" in reported["message"]
        await admin.clear_faults()
