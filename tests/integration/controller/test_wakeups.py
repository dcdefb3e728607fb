"""What enqueues an ExternalSecret besides itself: stores, AccessKeys, polling, force-sync."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    external_secret,
    operator,
    put_store,
    secret,
    settings_for,
    store,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

FORCE = "secret-sync.alibabacloud.com/force-sync"
NAMES = ("a", "b", "c")


async def test_store_created_later_enqueues_its_users(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str
) -> None:
    await admin.put_secret("wake/one", "one")
    async with operator(settings_for(cluster, cloud, namespace)):
        for name in NAMES:
            await api.put(external_secret(name, {"key": "wake/one", "name": "x"}), namespace)
        for name in NAMES:
            await api.until_ready(namespace, name, "StoreNotFound")
        await api.put(store(), namespace)
        for name in NAMES:
            await api.until_ready(namespace, name, "AccessKeyNotFound")
        await api.until_ready(namespace, "store", "AccessKeyNotFound", kind="SecretStore")
        # The AccessKey comes last.
        values = {"id": cloud.access_key_id, "secret": cloud.access_key_secret}
        await api.put(secret("access-key", values), namespace)
        for name in NAMES:
            await api.until_holds(namespace, name, {"x": "one"})
            await api.until_ready(namespace, name, "Synced")
        await api.until_ready(namespace, "store", "Ready", kind="SecretStore")
        assert (await admin.counters())["secrets"]["wake/one"] == 1


async def test_corrected_access_key_enqueues_its_users(
    cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("wake/corrected", "one")
    await api.put(secret("access-key", {"id": cloud.access_key_id, "secret": "wrong"}), home)
    async with running():
        for name in NAMES:
            await api.put(external_secret(name, {"key": "wake/corrected", "name": "x"}), home)
        for name in NAMES:
            await api.until_ready(home, name, "AccessKeyInvalid")
        await api.merge(
            "Secret", home, "access-key", {"stringData": {"secret": cloud.access_key_secret}}
        )
        for name in NAMES:
            await api.until_ready(home, name, "Synced")


async def test_edited_store_enqueues_its_users(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("wake/edited", "one")
    async with running():
        for name in NAMES:
            await api.put(external_secret(name, {"key": "wake/edited", "name": "x"}), home)
        for name in NAMES:
            await api.until_ready(home, name, "Synced")
        await api.put(store(access_key="nowhere"), home)
        for name in NAMES:
            await api.until_ready(home, name, "AccessKeyNotFound")
        await api.put(store(), home)
        for name in NAMES:
            await api.until_ready(home, name, "Synced")
        await api.delete("SecretStore", home, "store")
        for name in NAMES:
            await api.until_ready(home, name, "StoreNotFound")
            assert await api.find("Secret", home, name) is not None


async def test_polling_finds_a_changed_value_for_all_users_with_one_call(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("wake/polled", "one")
    async with running(polling_interval=1.0):
        for name in NAMES:
            await api.put(external_secret(name, {"key": "wake/polled", "name": "x"}), home)
        for name in NAMES:
            await api.until_ready(home, name, "Synced")
        before = (await admin.counters())["secrets"]["wake/polled"]
        await admin.put_secret("wake/polled", "two")
        for name in NAMES:
            await api.until_holds(home, name, {"x": "two"})
        assert (await admin.counters())["secrets"]["wake/polled"] - before <= 2


async def test_polling_that_finds_nothing_new_writes_and_reads_nothing(
    admin: CloudAdmin, api: Api, home: str, requests: list[str], synced: Synced
) -> None:
    await admin.put_secret("wake/still", "one")
    async with synced(
        external_secret("some", {"key": "wake/still", "name": "x"}), polling_interval=1.0
    ):
        before = [await api.get(kind, home, "some") for kind in ("Secret", "ExternalSecret")]
        requests.clear()
        async with asyncio.timeout(5):
            while (await admin.counters())["secrets"]["wake/still"] < 3:  # noqa: ASYNC110 (a cloud)
                await asyncio.sleep(0.1)
        after = [await api.get(kind, home, "some") for kind in ("Secret", "ExternalSecret")]
        assert list(map(version_of, after)) == list(map(version_of, before))
        assert not [line for line in requests if "/some" in line]


async def test_a_new_force_sync_annotation_fetches_now(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("wake/forced", "one")
    async with running(disable_polling=True):
        await api.put(external_secret("some", {"key": "wake/forced", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        for turn in ("two", "three"):
            await admin.put_secret("wake/forced", turn)
            patch = {"metadata": {"annotations": {FORCE: turn}}}
            await api.merge("ExternalSecret", home, "some", patch)
            await api.until_holds(home, "some", {"x": turn})
        assert (await admin.counters())["secrets"]["wake/forced"] == 3


async def test_an_edited_entry_is_fetched_and_the_old_key_goes(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secrets({"wake/first": "one", "wake/second": "two"})
    async with running():
        await api.put(external_secret("some", {"key": "wake/first", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        await api.put(external_secret("some", {"key": "wake/second", "name": "y"}), home)
        await api.until_holds(home, "some", {"y": "two"})
        condition = await api.until_ready(home, "some", "Synced")
        assert condition["observedGeneration"] == 2


async def test_new_user_takes_a_fresh_cached_value(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("wake/shared", "one")
    async with running():
        for name in NAMES:
            await api.put(external_secret(name, {"key": "wake/shared", "name": "x"}), home)
            await api.until_holds(home, name, {"x": "one"})
        assert (await admin.counters())["secrets"]["wake/shared"] == 1


async def test_references_across_namespaces_work_where_flags_allow_them(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    namespace: str,
    request: pytest.FixtureRequest,
) -> None:
    elsewhere = _another(cluster, request)
    await admin.put_secret("wake/across", "one")
    await put_store(api, cloud, elsewhere)
    settings = settings_for(
        cluster,
        cloud,
        namespace,
        elsewhere,
        enable_cross_namespace_secret_store=True,
        enable_cross_namespace_auth_ref=True,
    )
    async with operator(settings):
        ref = {"secretStoreRef": {"name": "store", "namespace": elsewhere}}
        document = external_secret("by-store", {"key": "wake/across", "name": "x", **ref})
        await api.put(document, namespace)
        await api.put(store("near", namespace=elsewhere), namespace)
        ref = {"secretStoreRef": {"name": "near"}}
        document = external_secret("by-key", {"key": "wake/across", "name": "x", **ref})
        await api.put(document, namespace)
        await api.until_holds(namespace, "by-store", {"x": "one"})
        await api.until_holds(namespace, "by-key", {"x": "one"})
        # The AccessKey changes over there.
        await api.delete("Secret", elsewhere, "access-key")
        await api.until_ready(namespace, "by-store", "AccessKeyNotFound")
        await api.until_ready(namespace, "by-key", "AccessKeyNotFound")


def _another(cluster: ControlPlane, request: pytest.FixtureRequest) -> str:
    made: Iterator[str] = fresh_namespace(cluster)
    request.addfinalizer(lambda: next(made, None))
    return next(made)


async def test_a_restart_writes_nothing_that_is_new(
    admin: CloudAdmin, api: Api, home: str, requests: list[str], running: Running
) -> None:
    await admin.put_secrets({"wake/first": "one", "wake/second": "two"})
    entries = ({"key": "wake/first", "name": "x"}, {"key": "wake/second", "name": "y"})
    async with running():
        for name in NAMES:
            await api.put(external_secret(name, *entries), home)
        for name in NAMES:
            await api.until_ready(home, name, "Synced")
        await api.until_ready(home, "store", "Ready", kind="SecretStore")
    before = {name: await _versions(api, home, name) for name in NAMES}
    requests.clear()
    async with running():
        # A new object that needs the same sources is written after the old ones were looked at.
        await api.put(external_secret("new", *entries), home)
        await api.until_ready(home, "new", "Synced")
        reads = {f"GET /api/v1/namespaces/{home}/secrets/{name}" for name in NAMES}
        async with asyncio.timeout(3):
            while not reads <= set(requests):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert {name: await _versions(api, home, name) for name in NAMES} == before
    assert [line for line in requests if line.startswith("PATCH") and "/new" not in line] == []


async def _versions(api: Api, home: str, name: str) -> list[str]:
    return [version_of(await api.get(kind, home, name)) for kind in ("Secret", "ExternalSecret")]
