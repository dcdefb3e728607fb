"""Stores and AccessKeys change: cached values outlive that, and a correction counts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.sources import fetch_scheduler
from tests.support.operator import external_secret, put_store
from tests.support.watching import calls_of

if TYPE_CHECKING:
    import pytest

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from tests.support.operator import Api, Running

ONE = {"password": "one"}


async def test_drift_is_repaired_while_a_touched_access_key_is_not_confirmed(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("touched/one", "one")
    async with running():
        await api.put(external_secret("some", {"key": "touched/one", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        fault = await admin.set_fault("hang", subject="touched/*")
        await admin.reset_counters()
        try:
            labels = {"metadata": {"labels": {"team": "a"}}}
            await api.merge("Secret", home, "access-key", labels)
            await api.delete("Secret", home, "some")
            await api.until_holds(home, "some", ONE)
            assert "OK" not in await calls_of(admin, "touched/one")
        finally:
            await admin.clear_faults(fault)


async def test_drift_is_repaired_when_a_store_comes_back_although_the_cloud_hangs(
    cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("away/one", "one")
    async with running():
        await api.put(external_secret("some", {"key": "away/one", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        await api.delete("SecretStore", home, "store")
        await api.until_ready(home, "some", "StoreNotFound")
        await api.delete("Secret", home, "some")
        fault = await admin.set_fault("hang", subject="away/*")
        await admin.reset_counters()
        try:
            await put_store(api, cloud, home)
            await api.until_holds(home, "some", ONE)
            assert "OK" not in await calls_of(admin, "away/one")
        finally:
            await admin.clear_faults(fault)


async def test_an_edit_after_a_refusal_asks_again_at_once(
    admin: CloudAdmin, api: Api, home: str, monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    # Otherwise a refusal of a moment ago would stand for the edit, too.
    monkeypatch.setattr(fetch_scheduler, "FAILURE_FRESH", 0.0)
    await admin.put_secret("refused/one", "one")
    await admin.update("refused/one", forbidden=True)
    async with running():
        await api.put(external_secret("some", {"key": "refused/one", "name": "password"}), home)
        await api.until_ready(home, "some", "Forbidden")
        await admin.update("refused/one", forbidden=False)
        await admin.reset_counters()
        await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1h"}})
        await api.until_holds(home, "some", ONE)
        assert await calls_of(admin, "refused/one") == ["OK"]
