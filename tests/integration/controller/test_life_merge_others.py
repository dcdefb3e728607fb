"""Others that write merged keys: seen, reported by name, and never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import external_secret, operator, ready_of, secret, settings_for
from tests.support.watching import Watching, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

THEIRS = {"theirs": "precious"}
ONE = {**THEIRS, "password": "one"}
EDITED = {**THEIRS, "password": "x"}
APPLY = "application/apply-patch+yaml"


def merging(name: str = "some", key: str = "password", target: str = "host") -> dict[str, Any]:
    entry = {"key": "others/one", "name": key}
    return external_secret(name, entry, target={"name": target, "creationPolicy": "Merge"})


async def apply(api: Api, home: str, *, name: str = "host", **fields: Any) -> None:
    """A server-side apply by somebody called ``gitops``."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **fields}
    path = f"/api/v1/namespaces/{home}/secrets/{name}?fieldManager=gitops"
    status, answer = await api.request("PATCH", path, body, APPLY)
    assert status in {200, 201}, answer


async def said(api: Api, home: str, part: str, *, not_said: bool = False) -> str:
    """Waits for the condition of ``some`` to be Synced and to have this part; returns it."""

    def settled(found: dict[str, Any] | None) -> bool:
        ready = ready_of(found)
        return ready.get("reason") == "Synced" and (part in ready["message"]) is not not_said

    return str(ready_of(await api.until("ExternalSecret", home, "some", settled))["message"])


@pytest.fixture(autouse=True)
async def _one(admin: CloudAdmin) -> None:
    await admin.put_secret("others/one", "one")


async def rotate(admin: CloudAdmin, api: Api, home: str) -> None:
    await admin.put_secret("others/one", "two")
    await force_sync(api, home, "some", "now")


@pytest.mark.parametrize(
    "fields",
    [{"data": {"password": "b25l"}}, {"stringData": {"password": "one"}}],
    ids=["data", "stringData"],
)
async def test_co_owner_of_a_key_is_reported_before_it_blocks_a_new_value(
    admin: CloudAdmin, api: Api, home: str, fields: dict[str, Any], running: Running
) -> None:
    await api.put(secret("host", THEIRS), home)
    async with running():
        await api.put(merging(), home)
        await said(api, home, "holds 1 key of this object")
        await apply(api, home, **fields)
        message = await said(api, home, "gitops sets password as well, to the same value")
        assert "secret-sync" not in message
        await rotate(admin, api, home)
        condition = await api.until_ready(home, "some", "KeyConflict")
        assert "gitops set another value for password" in condition["message"]
        assert "secret-sync" not in condition["message"]
        await api.until_holds(home, "host", ONE)
        # Taken out there, it is written here.
        await apply(api, home, stringData={"unrelated": "y"})
        await api.until_holds(home, "host", {**THEIRS, "password": "two", "unrelated": "y"})
        await said(api, home, "as well", not_said=True)


async def test_key_edited_by_hand_and_back_is_reported_with_its_editor(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    # After argoproj/argo-cd#2367: cases/merge-edited-by-hand.yaml.
    await api.put(secret("host", THEIRS), home)
    async with synced(merging()):
        await api.merge("Secret", home, "host", {"stringData": {"password": "x"}})
        await api.until_ready(home, "some", "KeyConflict")
        await api.merge("Secret", home, "host", {"stringData": {"password": "one"}})
        await said(api, home, "kubectl-edit sets password as well, to the same value")
        await rotate(admin, api, home)
        condition = await api.until_ready(home, "some", "KeyConflict")
        message = condition["message"]
        assert "kubectl-edit set another value for password" in message
        assert "delete the key there" in message
        assert "secret-sync" not in message
        # What it says helps.
        await api.merge("Secret", home, "host", {"data": {"password": None}})
        await api.until_holds(home, "host", {**THEIRS, "password": "two"})
        await api.until_ready(home, "some", "Synced")


async def test_string_data_over_our_key_is_a_conflict_and_is_not_repaired(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await api.put(secret("host", THEIRS), home)
    async with synced(merging(), watch="host") as watching:
        await apply(api, home, stringData={"password": "x"})
        condition = await api.until_ready(home, "some", "KeyConflict")
        assert "gitops set another value for password" in condition["message"]
        await rotate(admin, api, home)
        await api.until_ready(home, "some", "KeyConflict")
        # As is advised: another name here. What is theirs now stays.
        await api.put(merging(key="renamed"), home)
        await api.until_holds(home, "host", {**EDITED, "renamed": "two"})
        await api.until_ready(home, "some", "Synced")
        await watching.check(ONE, EDITED, {**EDITED, "renamed": "two"})


async def test_string_data_that_was_there_before_is_theirs(
    api: Api, home: str, running: Running
) -> None:
    await apply(api, home, stringData={"password": "x", **THEIRS})
    before = await api.get("Secret", home, "host")
    async with running():
        await api.put(merging(), home)
        condition = await api.until_ready(home, "some", "KeyConflict")
        assert "gitops set another value for password" in condition["message"]
        assert await api.get("Secret", home, "host") == before


async def test_string_data_stays_when_the_target_is_another_one(
    api: Api, home: str, running: Running
) -> None:
    for name in ("host", "other"):
        await api.put(secret(name, THEIRS), home)
    async with running() as controller:
        await api.put(merging(), home)
        await api.until_ready(home, "some", "Synced")
        await apply(api, home, stringData={"password": "x"})
        await api.until_ready(home, "some", "KeyConflict")
        async with Watching(api, home, "host") as watching:
            await api.put(merging(target="other"), home)
            await api.until_holds(home, "other", ONE)
            await api.until_ready(home, "some", "Synced")
            uid = (await api.get("ExternalSecret", home, "some"))["metadata"]["uid"]

            def given_up(found: dict[str, Any] | None) -> bool:
                entries = (found or {"metadata": {}})["metadata"].get("managedFields") or []
                return f"secret-sync-merge-{uid}" not in {e["manager"] for e in entries}

            await api.until("Secret", home, "host", given_up)
            await watching.check(EDITED)
        assert controller is not None


async def test_former_secret_of_the_object_can_be_merged_into(
    admin: CloudAdmin, api: Api, home: str, running: Running, synced: Synced
) -> None:
    """Its mark was removed, so that only the field manager shows us."""
    async with synced(external_secret("some", {"key": "others/one", "name": "password"})):
        pass
    bare = {"annotations": None, "ownerReferences": None}
    await api.merge("Secret", home, "some", {"metadata": bare})
    async with running():
        merge = {"spec": {"target": {"creationPolicy": "Merge"}}}
        await api.merge("ExternalSecret", home, "some", merge)
        await api.until_ready(home, "some", "Synced")
        await rotate(admin, api, home)
        await api.until_holds(home, "some", {"password": "two"})
        await api.until_ready(home, "some", "Synced")


async def kept_out(api: Api, home: str) -> dict[str, str]:
    """``some`` is not let into a Secret that an ExternalSecret ``own`` made; returns its values."""
    entries = [{"key": "others/one", "name": key} for key in ("password", "theirs")]
    target = {"name": "host", "deletionPolicy": "Retain"}
    await api.put(external_secret("own", *entries, target=target), home)
    await api.until_ready(home, "own", "Synced")
    await api.put(merging(), home)
    condition = await api.until_ready(home, "some", "SecretConflict")
    assert "belongs to ExternalSecret own" in condition["message"]
    return {"password": "one", "theirs": "one"}


async def test_secret_left_by_a_deleted_owner_can_be_merged_into(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    async with running():
        before = await kept_out(api, home)
        async with Watching(api, home, "host") as watching:
            await api.delete("ExternalSecret", home, "own")
            await api.until("ExternalSecret", home, "own", lambda found: found is None)
            # Its end enqueues those that it kept out.
            await said(api, home, "holds 1 key of this object")
            await rotate(admin, api, home)
            # What only the one that is gone had set is nobody's to delete.
            after = {**before, "password": "two"}
            await api.until_holds(home, "host", after)
            await api.until_ready(home, "some", "Synced")
            await watching.check(before, after)


async def test_restored_secret_of_a_deleted_owner_can_be_merged_into(
    api: Api, home: str, running: Running
) -> None:
    async with running():
        before = await kept_out(api, home)
        found = await api.get("Secret", home, "host")
        for kind, name in (("ExternalSecret", "own"), ("Secret", "host")):
            await api.delete(kind, home, name)
            await api.until(kind, home, name, lambda gone: gone is None)
        kept = {key: found["metadata"][key] for key in ("name", "annotations")}
        await api.put({**found, "metadata": kept}, home)
        await said(api, home, "holds 1 key of this object")
        await api.until_holds(home, "host", before)


async def test_living_owner_keeps_others_out_after_managed_fields_were_reset(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await kept_out(api, home)
        await api.delete("ExternalSecret", home, "some")
    await api.merge("Secret", home, "host", {"metadata": {"managedFields": [{}]}})
    await api.put(merging(key="further"), home)
    async with operator(settings):
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert "belongs to ExternalSecret own" in condition["message"]
        await api.until_ready(home, "own", "SecretConflict")
        await api.until_holds(home, "host", {"password": "one", "theirs": "one"})


async def test_controller_of_a_merged_secret_is_not_reported(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    app = await api.put(secret("app", {}), home)
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "app", "controller": True}
    reference["uid"] = app["metadata"]["uid"]
    document = secret("host", THEIRS)
    document["metadata"]["ownerReferences"] = [reference]
    await api.put(document, home)
    async with running():
        await api.put(merging(), home)
        await said(api, home, "holds 1 key of this object")
        await rotate(admin, api, home)
        await api.until_holds(home, "host", {**THEIRS, "password": "two"})
        # What the status says of the next write is about a Secret that the cache has.
        await api.put(merging(key="renamed"), home)
        await api.until_holds(home, "host", {**THEIRS, "renamed": "two"})
        for wish in ("again", "and again"):
            await force_sync(api, home, "some", wish)
            await said(api, home, "its controller is", not_said=True)
