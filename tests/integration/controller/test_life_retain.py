"""``deletionPolicy: Retain``: the Secret outlives its ExternalSecret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    operator,
    settings_for,
    version_of,
)
from tests.support.watching import Watching, force_sync, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

OWNER = "secret-sync.alibabacloud.com/owner"
ONE = {"password": "one"}
RETAIN: dict[str, Any] = {"spec": {"target": {"deletionPolicy": "Retain"}}}
DELETE: dict[str, Any] = {"spec": {"target": {"deletionPolicy": "Delete"}}}


@pytest.fixture
async def retained(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` whose Secret is to stay."""
    await admin.put_secret("retain/one", "one")
    entry = {"key": "retain/one", "name": "password"}
    return external_secret("some", entry, target={"deletionPolicy": "Retain"})


def owned_by(uid: str, *, refers: bool) -> Any:
    """Whether a Secret is marked as that object's, and has its owner reference."""

    def settled(found: dict[str, Any] | None) -> bool:
        metadata = (found or {}).get("metadata") or {}
        owners = [ref["uid"] for ref in metadata.get("ownerReferences") or ()]
        mark = (metadata.get("annotations") or {}).get(OWNER)
        return mark == f"some/{uid}" and owners == ([uid] if refers else [])

    return settled


async def test_the_secret_stays_and_the_next_object_of_that_name_has_it(
    api: Api, home: str, retained: dict[str, Any], running: Running
) -> None:
    async with running() as controller:
        written = await api.put(retained, home)
        await api.until_ready(home, "some", "Synced")
        made = await api.until_holds(home, "some", ONE)
        assert owned_by(written["metadata"]["uid"], refers=False)(made)
        async with Watching(api, home, "some") as watching:
            await api.delete("ExternalSecret", home, "some")
            await api.until(
                "Secret",
                home,
                "some",
                lambda _: controller.watched.external_secrets.store.get(f"{home}/some") is None,
            )
            # As it was, in every field.
            assert await api.get("Secret", home, "some") == made

            again = await api.put(retained, home)
            uid = again["metadata"]["uid"]
            held = await api.until("Secret", home, "some", owned_by(uid, refers=False))
            await api.until_ready(home, "some", "Synced")
            assert held["metadata"]["uid"] == made["metadata"]["uid"]
            await watching.check(ONE)


async def test_a_new_value_reaches_a_secret_that_was_retained_by_an_earlier_object(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    retained: dict[str, Any],
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(retained, home)
        await api.until_ready(home, "some", "Synced")
    await api.delete("ExternalSecret", home, "some")
    await admin.put_secret("retain/one", "two")
    async with Watching(api, home, "some") as watching, operator(settings):
        # What it held before stays, and is reported, until there is something better.
        await admin.update("retain/one", forbidden=True)
        await api.put(retained, home)
        await api.until_ready(home, "some", "Forbidden")
        await watching.check(ONE)
        await admin.update("retain/one", forbidden=False)
        await force_sync(api, home, "some", "now")
        await api.until_holds(home, "some", {"password": "two"})
        await watching.check(ONE, {"password": "two"})


async def test_policy_edit_updates_the_owner_reference_and_changes_no_value(
    api: Api, home: str, retained: dict[str, Any], running: Running
) -> None:
    retained["spec"]["target"]["deletionPolicy"] = "Delete"
    async with running():
        written = await api.put(retained, home)
        uid = written["metadata"]["uid"]
        made = await api.until("Secret", home, "some", owned_by(uid, refers=True))
        async with Watching(api, home, "some") as watching:
            for patch, refers in ((RETAIN, False), (DELETE, True), (RETAIN, False)):
                await api.merge("ExternalSecret", home, "some", patch)
                held = await api.until("Secret", home, "some", owned_by(uid, refers=refers))
                assert held["metadata"]["uid"] == made["metadata"]["uid"]
                await api.until_ready(home, "some", "Synced")
            await api.delete("ExternalSecret", home, "some")
            # Another one goes with its object: the garbage collector has been there.
            await _see_one_collected(api, home)
            await watching.check(ONE)


async def test_a_retained_secret_that_is_to_go_after_all_goes(
    api: Api, home: str, retained: dict[str, Any], running: Running
) -> None:
    async with running():
        written = await api.put(retained, home)
        await api.until_ready(home, "some", "Synced")
        await api.merge("ExternalSecret", home, "some", DELETE)
        uid = written["metadata"]["uid"]
        await api.until("Secret", home, "some", owned_by(uid, refers=True))
        await api.delete("ExternalSecret", home, "some")
        await api.until("Secret", home, "some", lambda found: found is None, within=60)


async def test_a_secret_that_is_fetched_once_is_retained_when_that_is_written_later(
    api: Api, home: str, retained: dict[str, Any], running: Running
) -> None:
    retained["spec"]["refreshPolicy"] = "CreatedOnce"
    retained["spec"]["target"]["deletionPolicy"] = "Delete"
    async with running():
        written = await api.put(retained, home)
        uid = written["metadata"]["uid"]
        await api.until_ready(home, "some", "Synced")
        await api.until("Secret", home, "some", owned_by(uid, refers=True))
        await api.merge("ExternalSecret", home, "some", RETAIN)
        await api.until("Secret", home, "some", owned_by(uid, refers=False))


async def test_a_secret_that_was_fetched_once_is_kept_by_the_next_object_of_that_name(
    api: Api, home: str, retained: dict[str, Any], synced: Synced
) -> None:
    retained["spec"]["refreshPolicy"] = "CreatedOnce"
    async with synced(retained) as watching:
        await api.delete("ExternalSecret", home, "some")
        retained["spec"]["target"]["deletionPolicy"] = "Delete"
        again = await api.put(retained, home)
        uid = again["metadata"]["uid"]
        # Its mark names an object that is gone: what becomes of it depends on that alone.
        await api.until("Secret", home, "some", owned_by(uid, refers=True))
        await watching.check(ONE)


async def test_a_retained_secret_is_another_objects_only_where_that_is_said(
    api: Api, home: str, retained: dict[str, Any], synced: Synced
) -> None:
    async with synced(retained):
        made = await api.get("Secret", home, "some")
        await api.delete("ExternalSecret", home, "some")
        other = {**retained, "metadata": {"name": "other"}}
        other["spec"]["target"] = {"name": "some"}
        await api.put(other, home)
        condition = await api.until_ready(home, "other", "SecretConflict")
        was = f"Secret {home}/some was made for ExternalSecret some, which no longer exists"
        assert was in condition["message"]
        assert version_of(await api.get("Secret", home, "some")) == version_of(made)
        await until_reported(api, home, "other", "Conflict")

        async with Watching(api, home, "some") as watching:
            adopt = {"secret-sync.alibabacloud.com/adopt": "true"}
            await api.merge("ExternalSecret", home, "other", {"metadata": {"annotations": adopt}})
            await api.until_ready(home, "other", "Synced")
            await watching.check(ONE)
            held = await api.get("Secret", home, "some")
            assert held["metadata"]["annotations"][OWNER].startswith("other/")


async def _see_one_collected(api: Api, home: str) -> None:
    entry = {"key": "retain/one", "name": "password"}
    await api.put(external_secret("collected", entry), home)
    await api.until_ready(home, "collected", "Synced")
    await api.delete("ExternalSecret", home, "collected")
    await api.until("Secret", home, "collected", lambda found: found is None, within=60)
