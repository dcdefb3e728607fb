"""``refreshPolicy``, ``rotationInterval`` and ``--disable-polling``: when KMS is asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import SOON, external_secret, operator, settings_for
from tests.support.watching import Watching, calls_of, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

ONE = {"password": "one"}
TWO = {"password": "two"}
POLLED = "refresh/polled"


def refreshed(key: str, **spec: Any) -> dict[str, Any]:
    return external_secret("some", {"key": key, "name": "password"}, **spec)


async def until_polled(api: Api, admin: CloudAdmin, home: str, times: int = 2) -> None:
    """Waits until a secret that is polled every second has been so often."""
    await admin.put_secret(POLLED, "one")
    await api.put(
        external_secret("polled", {"key": POLLED, "name": "a"}, rotationInterval="1s"), home
    )
    before = len(await calls_of(admin, POLLED))
    async with asyncio.timeout(SOON * times):
        while len(await calls_of(admin, POLLED)) < before + 1 + times:  # noqa: ASYNC110 (a cloud)
            await asyncio.sleep(0.05)
    await api.delete("ExternalSecret", home, "polled")


async def test_on_change_asks_when_it_is_edited_and_never_by_itself(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    key = "refresh/on-change"
    await admin.put_secret(key, "one")
    async with running(polling_interval=1.0):
        await api.put(refreshed(key, refreshPolicy="OnChange"), home)
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret(key, "two")
        async with Watching(api, home, "some") as watching:
            await until_polled(api, admin, home)
            # An edit of the Secret is reverted from the cached value.
            await api.delete("Secret", home, "some")
            await api.until_holds(home, "some", ONE)
            assert len(await calls_of(admin, key)) == 1
            await watching.check(ONE, absences=1)

            edited = refreshed(key, refreshPolicy="OnChange")
            edited["spec"]["data"][0]["versionStage"] = "ACSCurrent"
            await api.put(edited, home)
            await api.until_holds(home, "some", TWO)
            await watching.check(ONE, TWO, absences=1)


async def test_on_change_any_edit_asks_also_one_of_something_else(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    key = "refresh/on-change-other"
    await admin.put_secret(key, "one")
    async with synced(refreshed(key, refreshPolicy="OnChange")):
        await admin.put_secret(key, "two")
        await force_sync(api, home, "some", "now")
        await api.until_holds(home, "some", TWO)
        await admin.put_secret(key, "three")
        entry = {"key": key, "name": "renamed"}
        await api.put(external_secret("some", entry, refreshPolicy="OnChange"), home)
        # Nothing will ask later: an edit is when it is done.
        await api.until_holds(home, "some", {"renamed": "three"})


async def test_created_once_is_not_asked_for_again_not_even_after_a_restart(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    key = "refresh/once"
    await admin.put_secret(key, "one")
    settings = settings_for(cluster, cloud, home, polling_interval=1.0)
    async with Watching(api, home, "some") as watching:
        async with operator(settings):
            await api.put(refreshed(key, refreshPolicy="CreatedOnce"), home)
            await api.until_ready(home, "some", "Synced")
            await admin.put_secret(key, "two")
            await until_polled(api, admin, home)
            assert len(await calls_of(admin, key)) == 1
        async with operator(settings):
            await until_polled(api, admin, home)
            assert len(await calls_of(admin, key)) == 1
            await api.until_ready(home, "some", "Synced")
            await watching.check(ONE)

            # It is recreated, from what there is then.
            await api.delete("Secret", home, "some")
            await api.until_holds(home, "some", TWO)
            assert len(await calls_of(admin, key)) == 2
            await watching.check(ONE, TWO, absences=1)


async def test_created_once_asks_when_it_is_forced(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    key = "refresh/once-forced"
    await admin.put_secret(key, "one")
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(refreshed(key, refreshPolicy="CreatedOnce"), home)
        await api.until_ready(home, "some", "Synced")
        await admin.put_secret(key, "two")
        await force_sync(api, home, "some", "1")
        await api.until_holds(home, "some", TWO)
        await api.until_ready(home, "some", "Synced")
    async with operator(settings):
        await until_polled(api, admin, home, 1)
        assert len(await calls_of(admin, key)) == 2
        await admin.put_secret(key, "three")
        await force_sync(api, home, "some", "2")
        await api.until_holds(home, "some", {"password": "three"})
        assert len(await calls_of(admin, key)) == 3


async def test_created_once_answers_what_was_asked_while_nobody_ran(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    key = "refresh/once-forced-meanwhile"
    await admin.put_secret(key, "one")
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(refreshed(key, refreshPolicy="CreatedOnce"), home)
        await api.until_ready(home, "some", "Synced")
    await admin.put_secret(key, "two")
    await force_sync(api, home, "some", "1")
    async with operator(settings):
        await api.until_holds(home, "some", TWO)
        await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda found: (found or {})["status"]["observedForceSync"] == "1",
        )
    await admin.put_secret(key, "three")
    async with operator(settings):
        await until_polled(api, admin, home, 1)
        # Once.
        assert len(await calls_of(admin, key)) == 2


async def test_created_once_waits_for_a_value_that_cannot_be_had_yet(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    key = "refresh/once-late"
    await admin.put_secret(key, "one")
    await admin.set_fault("error", subject=key, status=503, count=1)
    async with running(disable_polling=True):
        await api.put(refreshed(key, refreshPolicy="CreatedOnce"), home)
        await api.until_holds(home, "some", ONE, within=20)
        await api.until_ready(home, "some", "Synced")


async def test_an_object_has_its_own_interval(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    keys = ("refresh/often", "refresh/seldom")
    await admin.put_secrets(dict.fromkeys(keys, "one"))
    async with running():
        await api.put(refreshed(keys[0], rotationInterval="1s"), home)
        entry = {"key": keys[1], "name": "password"}
        await api.put(external_secret("seldom", entry), home)
        for name in ("some", "seldom"):
            await api.until_ready(home, name, "Synced")
        await admin.put_secrets(dict.fromkeys(keys, "two"))
        await api.until_holds(home, "some", TWO)
        await api.until_holds(home, "seldom", ONE)
        assert len(await calls_of(admin, keys[1])) == 1


async def test_the_interval_may_be_edited(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    key = "refresh/edited"
    await admin.put_secret(key, "one")
    async with synced(refreshed(key, rotationInterval="1h")):
        await admin.put_secret(key, "two")
        await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1s"}})
        await api.until_holds(home, "some", TWO)


@pytest.mark.parametrize("interval", ["1", "soon"])
async def test_interval_that_is_no_duration_is_refused_by_the_schema(
    api: Api, home: str, interval: str
) -> None:
    path = f"/apis/alibabacloud.com/v1alpha1/namespaces/{home}/externalsecrets"
    status, body = await api.request("POST", path, refreshed("x", rotationInterval=interval))
    assert status == 422
    assert "rotationInterval" in body["message"]


async def test_invalid_interval_costs_no_call(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    key = "refresh/never"
    await admin.put_secret(key, "one")
    async with running():
        await api.put(refreshed(key, rotationInterval="500ms"), home)
        condition = await api.until_ready(home, "some", "InvalidSpec")
        assert "500ms" in condition["message"]
        assert not await calls_of(admin, key)


async def test_without_polling_all_else_goes_on(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    key = "refresh/unpolled"
    await admin.put_secret(key, "one")
    # A failure is asked about again nevertheless.
    await admin.set_fault("error", subject=key, status=503, count=1)
    async with running(disable_polling=True, polling_interval=1.0):
        await api.put(refreshed(key, rotationInterval="1s"), home)
        await api.until_holds(home, "some", ONE, within=20)
        await api.until_ready(home, "some", "Synced")
        calls = len(await calls_of(admin, key))
        await admin.put_secret(key, "two")
        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", ONE)
        # Twice the interval that is written.
        await asyncio.sleep(2.5)
        assert len(await calls_of(admin, key)) == calls
        await force_sync(api, home, "some", "now")
        await api.until_holds(home, "some", TWO)
        assert len(await calls_of(admin, key)) == calls + 1
