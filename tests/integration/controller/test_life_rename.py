"""``spec.target.name``: the Secret may be called otherwise, and be given another name later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    operator,
    ready_of,
    secret,
    settings_for,
    values_of,
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
TWO = {"password": "two"}


def named(name: str, key: str = "rename/one", **target: Any) -> dict[str, Any]:
    """An ExternalSecret ``some`` with a target of that name."""
    entry = {"key": key, "name": "password"}
    return external_secret("some", entry, target={"name": name, **target})


@pytest.fixture
async def _one(admin: CloudAdmin) -> None:
    await admin.put_secret("rename/one", "one")


@pytest.mark.usefixtures("_one")
async def test_the_secret_has_the_name_of_the_target(api: Api, home: str, running: Running) -> None:
    async with running():
        written = await api.put(named("other"), home)
        made = await api.until_holds(home, "other", ONE)
        uid = written["metadata"]["uid"]
        assert made["metadata"]["annotations"] == {OWNER: f"some/{uid}"}
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ExternalSecret", "some", uid)
        condition = await api.until_ready(home, "some", "Synced")
        assert condition["message"] == "Secret other holds 1 key"
        assert (await api.get("ExternalSecret", home, "some"))["status"]["target"] == "other"
        assert await api.find("Secret", home, "some") is None


async def test_another_name_is_another_secret_and_the_old_one_goes_after_it_is_there(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await admin.put_secret("rename/moved", "one")
    async with synced(named("first", "rename/moved")):
        async with Watching(api, home, "first") as first, Watching(api, home, "second") as second:
            await admin.put_secret("rename/moved", "two")
            document = named("second", "rename/moved")
            document["metadata"]["annotations"] = {"secret-sync.alibabacloud.com/force-sync": "now"}
            await api.put(document, home)
            await api.until_holds(home, "second", TWO)
            await api.until("Secret", home, "first", lambda found: found is None)
            await first.check(ONE, TWO, absences=1)
            await second.check(ONE, TWO)
        assert _deleted_after(first, second)
        await api.until_ready(home, "some", "Synced")
        await until_reported(api, home, "some", "Synced", "Synced", "SecretDeleted")


@pytest.mark.usefixtures("_one")
async def test_a_rename_that_comes_right_after_the_first_write(
    api: Api, home: str, synced: Synced
) -> None:
    async with synced(named("first")):
        async with Watching(api, home, "first") as first, Watching(api, home, "second") as second:
            # Nothing else changes: neither the values nor what the Secret looks like.
            await api.put(named("second"), home)
            await api.until_holds(home, "second", ONE)
            await api.until("Secret", home, "first", lambda found: found is None)
            await first.check(ONE, absences=1)
            await second.check(ONE)
        assert _deleted_after(first, second)


@pytest.mark.usefixtures("_one")
async def test_a_rename_there_and_back(api: Api, home: str, running: Running) -> None:
    async with running():
        for name, former in (("first", "second"), ("second", "first")) * 2:
            await api.put(named(name), home)
            await api.until_holds(home, name, ONE)
            await api.until("Secret", home, former, lambda found: found is None)


@pytest.mark.usefixtures("_one")
async def test_the_old_secret_goes_also_when_the_rename_came_while_the_controller_was_away(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(named("first"), home)
        await api.until_ready(home, "some", "Synced")
    await api.put(named("second"), home)
    async with (
        Watching(api, home, "first") as first,
        Watching(api, home, "second") as second,
        operator(settings),
    ):
        await api.until_holds(home, "second", ONE)
        await api.until("Secret", home, "first", lambda found: found is None)
        await first.check(ONE, absences=1)
        await second.check(ONE)
    assert _deleted_after(first, second)


@pytest.mark.usefixtures("_one")
async def test_old_secret_stays_while_the_new_name_is_taken(
    api: Api, home: str, synced: Synced
) -> None:
    theirs = await api.put(secret("taken", {"theirs": "precious"}), home)
    async with synced(named("first"), watch="first") as first:
        await api.put(named("taken"), home)
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert f"Secret {home}/taken exists" in condition["message"]
        await first.check(ONE)
        assert await api.get("Secret", home, "taken") == theirs

        await api.delete("Secret", home, "taken")
        await api.until_holds(home, "taken", ONE)
        await api.until("Secret", home, "first", lambda found: found is None)
        await first.check(ONE, absences=1)


@pytest.mark.usefixtures("_one")
async def test_the_old_secret_stays_while_the_values_cannot_be_had(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    async with synced(named("first"), watch="first") as first:
        await admin.put_secret("rename/forbidden", "two")
        await admin.update("rename/forbidden", forbidden=True)
        await api.put(named("second", "rename/forbidden"), home)
        await api.until_ready(home, "some", "Forbidden")
        await first.check(ONE)
        assert await api.find("Secret", home, "second") is None

        await admin.update("rename/forbidden", forbidden=False)
        await force_sync(api, home, "some", "again")
        await api.until_holds(home, "second", TWO)
        await api.until("Secret", home, "first", lambda found: found is None)
        await first.check(ONE, absences=1)


@pytest.mark.usefixtures("_one")
async def test_a_retained_secret_stays_under_its_old_name(
    api: Api, home: str, synced: Synced
) -> None:
    async with synced(named("first", deletionPolicy="Retain"), watch="first") as first:
        await api.put(named("second", deletionPolicy="Retain"), home)
        await api.until_holds(home, "second", ONE)
        await api.until(
            "ExternalSecret", home, "some", lambda e: "second" in ready_of(e)["message"]
        )
        await first.check(ONE)


async def test_invalid_secret_name_is_refused_by_the_schema(api: Api, home: str) -> None:
    status, body = await api.request(
        "POST",
        f"/apis/alibabacloud.com/v1alpha1/namespaces/{home}/externalsecrets",
        named("Not_A_Name", "rename/unasked"),
    )
    assert status == 422
    assert "target.name" in body["message"]


def _deleted_after(old: Watching, new: Watching) -> bool:
    """Whether the new Secret was complete before the old one went, by the API server's count."""
    born = next(found for found in new.history if values_of(found))
    assert born is not None
    return int(version_of(born)) < old.deleted_at
