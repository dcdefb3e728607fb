"""Faults of the cloud and of the API server stop nobody who is not concerned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret import reporter
from secret_sync.errors import SecretSyncError
from secret_sync.health import HealthServer
from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import (
    SOON,
    Api,
    external_secret,
    operator,
    put_store,
    secret,
    settings_for,
    store,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Running

HUNG = 200


@pytest.fixture
async def hung(admin: CloudAdmin, api: Api, home: str) -> AsyncIterator[list[str]]:
    """Two hundred ExternalSecrets of the store ``store`` whose KMS secrets never answer."""
    names = [f"hung-{number}" for number in range(HUNG)]
    await admin.put_secrets({f"hung/{name}": "never seen" for name in names})
    fault = await admin.set_fault("hang", subject="hung/*")
    yield names
    await admin.clear_faults(fault)


async def put_hung(api: Api, home: str, names: list[str]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            document = external_secret(name, {"key": f"hung/{name}", "name": "x"})
            tasks.create_task(api.put(document, home))


async def test_a_hung_cloud_delays_nobody_else(
    admin: CloudAdmin, api: Api, home: str, hung: list[str], running: Running
) -> None:
    key_id, key_secret = await admin.create_access_key()
    await api.put(secret("other-key", {"id": key_id, "secret": key_secret}), home)
    await api.put(store("other", access_key="other-key"), home)
    await admin.put_secrets({"calm/first": "one", "calm/second": "two", "calm/third": "three"})
    elsewhere = {"secretStoreRef": {"name": "other"}}
    async with running():
        await api.put(external_secret("calm", {"key": "calm/first", "name": "x"}), home)
        await api.until_holds(home, "calm", {"x": "one"})
        await put_hung(api, home, hung)

        # Drift, with the value cached.
        await api.merge("Secret", home, "calm", {"stringData": {"x": "hacked"}})
        await api.until_holds(home, "calm", {"x": "one"}, within=5)
        await api.delete("Secret", home, "calm")
        await api.until_holds(home, "calm", {"x": "one"}, within=5)
        # Conditions.
        await api.put(external_secret("mistaken"), home)
        await api.until_ready(home, "mistaken", "NoData", within=5)
        # Sources of another identity.
        document = external_secret("new", {"key": "calm/second", "name": "x", **elsewhere})
        await api.put(document, home)
        await api.until_holds(home, "new", {"x": "two"}, within=5)
        # Sources of the same identity, once the hung calls have been found to be slow.
        await api.put(external_secret("same", {"key": "calm/third", "name": "x"}), home)
        await api.until_holds(home, "same", {"x": "three"}, within=5)
        # All of this while the two hundred are waiting.
        assert (await admin.counters())["in_flight"] >= HUNG / 4


async def test_hung_object_is_synced_when_the_cloud_answers_again(
    admin: CloudAdmin, api: Api, home: str, hung: list[str], running: Running
) -> None:
    async with running():
        await put_hung(api, home, hung[:20])
        async with asyncio.timeout(SOON):
            while (await admin.counters())["in_flight"] < 20:  # noqa: ASYNC110 (a cloud)
                await asyncio.sleep(0.05)
        await admin.clear_faults()
        for name in hung[:20]:
            await api.until_holds(home, name, {"x": "never seen"})


async def test_corrected_mistake_is_not_reported_while_the_cloud_hangs(
    api: Api, home: str, hung: list[str], monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    monkeypatch.setattr(reporter, "REPORT_PENDING_AFTER", 0.3)
    async with running():
        late = {"secretStoreRef": {"name": "late"}}
        document = external_secret("some", {"key": f"hung/{hung[0]}", "name": "x", **late})
        await api.put(document, home)
        await api.until_ready(home, "some", "StoreNotFound")
        await api.put(store("late"), home)
        condition = await api.until_ready(home, "some", "Pending")
        assert condition["status"] == "Unknown"
        assert "1 of 1 entries" in condition["message"]


async def test_a_clock_that_is_wrong_is_named(
    cluster: ControlPlane, own_cloud: CloudInfo, api: Api, namespace: str
) -> None:
    await put_store(api, own_cloud, namespace)
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await admin.put_secret("some", "one")
        await admin.update_settings(clock_offset=-3600)
        async with operator(settings_for(cluster, own_cloud, namespace)):
            await api.put(external_secret("some", {"key": "some", "name": "x"}), namespace)
            condition = await api.until_ready(namespace, "some", "ClockSkew")
            assert "15 minutes" in condition["message"]
            assert (await admin.counters())["total"] == 1


async def test_an_api_server_that_comes_back_finds_everything_done(
    breakable_cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, breakable_namespace: str
) -> None:
    home, plane = breakable_namespace, breakable_cluster
    names = [f"some-{number}" for number in range(30)]
    await admin.put_secrets({f"broken/{name}": "one" for name in names})
    # Slowly enough for the API server to go in the middle of it.
    settings = settings_for(plane, cloud, home, max_concurrent_kms_secret_pulls=10)
    async with operator(settings):
        async with Api(plane) as api:
            await put_store(api, cloud, home)
            for name in names:
                document = external_secret(name, {"key": f"broken/{name}", "name": "x"})
                await api.put(document, home)
            await api.until_holds(home, names[0], {"x": "one"})
        await plane.kill_api_server()
        await admin.put_secret(f"broken/{names[0]}", "two")
        await plane.start_api_server()
        async with Api(plane) as api:
            # Changed while nobody could hear of it.
            await api.delete("Secret", home, names[0])
            for name in names:
                await api.until(
                    "Secret", home, name, lambda found: values_of(found) == {"x": "one"}, within=40
                )
                await api.until_ready(home, name, "Synced", within=20)


async def test_a_critical_task_that_ends_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    async def beat(server: HealthServer) -> None:
        await asyncio.sleep(0.1)

    monkeypatch.setattr(HealthServer, "beat", beat)
    with pytest.RaisesGroup(pytest.RaisesExc(SecretSyncError, match="heartbeat ended")):
        async with running():
            await asyncio.sleep(0.2)
