"""A Secret of ours that somebody changed is right again within a second, without a KMS call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    values_of,
    version_of,
)

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

OWNER = "secret-sync.alibabacloud.com/owner"
ONE = {"password": "one"}

EDITS: dict[str, dict[str, Any]] = {
    "value edited": {"data": {"password": "aGFja2Vk"}},
    "key removed": {"data": {"password": None}},
    "key added": {"stringData": {"extra": "x"}},
    "key added and value edited": {"stringData": {"extra": "x", "password": "hacked"}},
    "all keys removed": {"data": None},
    "owner reference removed": {"metadata": {"ownerReferences": None}},
    "annotation removed": {"metadata": {"annotations": {OWNER: None}}},
    "annotation changed": {"metadata": {"annotations": {OWNER: "somebody/else"}}},
}


@pytest.mark.parametrize("patch", EDITS.values(), ids=EDITS.keys())
async def test_edit_is_reverted(
    admin: CloudAdmin, api: Api, home: str, patch: dict[str, Any], running: Running
) -> None:
    await admin.put_secret("drift/one", "one")
    async with running():
        await api.put(external_secret("some", {"key": "drift/one", "name": "password"}), home)
        before = await api.until_holds(home, "some", ONE)
        status = await api.until_ready(home, "some", "Synced")
        calls = (await admin.counters())["total"]

        edited = await api.merge("Secret", home, "some", patch)

        def restored(found: dict[str, Any] | None) -> bool:
            if found is None or version_of(found) == version_of(edited):
                return False
            metadata, wanted = found["metadata"], before["metadata"]
            return (
                values_of(found) == ONE
                and metadata.get("annotations") == wanted["annotations"]
                and metadata.get("ownerReferences") == wanted["ownerReferences"]
            )

        after = await api.until("Secret", home, "some", restored)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert (await admin.counters())["total"] == calls
        condition = await api.until_ready(home, "some", "Synced")
        assert condition["lastTransitionTime"] == status["lastTransitionTime"]


async def test_after_three_repairs_in_a_minute_the_other_writer_is_named_and_left_alone(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("drift/one", "one")
    async with running():
        await api.put(external_secret("some", {"key": "drift/one", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        for _ in range(3):
            await api.merge("Secret", home, "some", EDITS["value edited"])
            await api.until_holds(home, "some", ONE)
        edited = await api.merge("Secret", home, "some", EDITS["value edited"])
        condition = await api.until_ready(home, "some", "WriteConflict")
        assert "kubectl-edit" in condition["message"]
        left_alone = await api.get("Secret", home, "some")
        assert left_alone is not None
        assert version_of(left_alone) == version_of(edited)


async def test_a_deleted_secret_is_created_again(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("drift/one", "one")
    async with running():
        await api.put(external_secret("some", {"key": "drift/one", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        calls = (await admin.counters())["total"]
        # More than once: the event of a deletion and the response to a write race. But no
        # more than three times a minute, which would be a write conflict.
        for _ in range(3):
            await api.delete("Secret", home, "some")
            await api.until_holds(home, "some", ONE)
        assert (await admin.counters())["total"] == calls


async def test_drift_is_repaired_while_a_refresh_fails(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("drift/failing", "one")
    async with running() as controller:
        await api.put(external_secret("some", {"key": "drift/failing", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        await admin.update("drift/failing", forbidden=True)
        annotations = {"secret-sync.alibabacloud.com/force-sync": "now"}
        await api.merge("ExternalSecret", home, "some", {"metadata": {"annotations": annotations}})
        await api.until_ready(home, "some", "Forbidden")
        before = controller._metrics.syncs.labels("written").value

        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", ONE)
        await api.merge("Secret", home, "some", EDITS["value edited"])
        await api.until_holds(home, "some", ONE)
        await api.until_ready(home, "some", "Forbidden")
        assert controller._metrics.syncs.labels("written").value == before + 2


async def test_metadata_of_others_is_left_alone(
    admin: CloudAdmin, api: Api, home: str, requests: list[str], running: Running
) -> None:
    await admin.put_secret("drift/one", "one")
    async with running() as controller:
        await api.put(external_secret("some", {"key": "drift/one", "name": "password"}), home)
        await api.until_holds(home, "some", ONE)
        status = await api.until_ready(home, "some", "Synced")
        requests.clear()

        patch = {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}
        edited = await api.merge("Secret", home, "some", patch)
        # The controller has seen it when a later edit has been undone.
        await api.until("Secret", home, "some", lambda _: _seen(controller, home, edited))
        await api.merge("ExternalSecret", home, "some", {"metadata": {"labels": {"team": "a"}}})
        await admin.put_secret("drift/other", "two")
        await api.put(external_secret("other", {"key": "drift/other", "name": "a"}), home)
        await api.until_ready(home, "other", "Synced")

        assert version_of(await api.get("Secret", home, "some")) == version_of(edited)
        assert (await api.until_ready(home, "some", "Synced")) == status
        assert not [line for line in requests if "/some" in line]


def _seen(controller: Any, home: str, edited: dict[str, Any]) -> bool:
    known = controller.watched.secrets.store.get(f"{home}/some")
    return known is not None and int(known.resource_version) >= int(version_of(edited))
