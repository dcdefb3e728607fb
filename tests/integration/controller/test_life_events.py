"""Events: one for each transition, and none for what stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import external_secret, operator, secret, settings_for, store
from tests.support.watching import Watching, force_sync, reported, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

ONE = {"password": "one"}
STORE = {"secretStoreRef": {"name": "store"}}


def entry(key: str, name: str = "password") -> dict[str, Any]:
    return {"key": key, "name": name}


async def test_a_life_in_events(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    key = "events/life"
    await admin.put_secret(key, "one")
    settings = settings_for(cluster, cloud, home)
    expected = ["Synced"]
    async with operator(settings):
        await api.put(external_secret("some", entry(key)), home)
        events = await until_reported(api, home, "some", *expected)
        assert events == [("Normal", "Synced", "Secret some holds 1 key")]

        # The same value again is not reported.
        await force_sync(api, home, "some", "1")
        await admin.put_secret(key, "two")
        await force_sync(api, home, "some", "2")
        await api.until_holds(home, "some", {"password": "two"})
        expected.append("Updated")
        events = await until_reported(api, home, "some", *expected)
        assert events[-1] == ("Normal", "Updated", "Secret some was updated")

        # However often it fails, it is one failure.
        await admin.update(key, forbidden=True)
        for number in range(3, 6):
            await force_sync(api, home, "some", str(number))
            await api.until_ready(home, "some", "Forbidden")
        expected.append("SyncFailed")
        type_, _, message = (await until_reported(api, home, "some", *expected))[-1]
        assert type_ == "Warning"
        assert message.startswith("Forbidden: ")

        await admin.update(key, forbidden=False)
        await force_sync(api, home, "some", "6")
        await api.until_ready(home, "some", "Synced")
        await api.merge("ExternalSecret", home, "some", {"spec": {"target": {"name": "other"}}})
        await api.until("Secret", home, "some", lambda found: found is None)
        # The recovery has the same message as before: the count of that Event grows, later.
        expected += ["Synced", "SecretDeleted"]
        events = await until_reported(api, home, "some", *expected)
        assert "Secret some was deleted: the target is other now" in str(events)
    before = await reported(api, home, "some")
    async with operator(settings):
        # A restart finds nothing new: it reports an object that comes later, and not this one.
        await api.put(external_secret("later", entry(key)), home)
        await until_reported(api, home, "later", "Synced")
        assert await reported(api, home, "some") == before


async def test_conflict_is_a_warning_and_its_end_is_reported(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("events/conflict", "one")
    await api.put(secret("some", {"theirs": "precious"}), home)
    async with running():
        await api.put(external_secret("some", entry("events/conflict")), home)
        ((type_, _, message),) = await until_reported(api, home, "some", "Conflict")
        assert type_ == "Warning"
        assert message.startswith(f"SecretConflict: Secret {home}/some exists")
        await api.delete("Secret", home, "some")
        await until_reported(api, home, "some", "Conflict", "Synced")


async def test_of_a_key_that_two_entries_write_the_later_one_wins_and_both_are_named(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secrets({"events/loser": "lost", "events/winner": "one"})
    await admin.put_secret("events/document", '{"password": "three", "more": "x"}')
    document = external_secret("some", entry("events/loser"), entry("events/winner"))
    async with running():
        await api.put(document, home)
        await api.until_holds(home, "some", ONE)
        condition = await api.until_ready(home, "some", "Synced")
        assert "password" in condition["message"]
        events = await until_reported(api, home, "some", "Synced", "KeyOverwritten")
        ((type_, message),) = [(t, m) for t, r, m in events if r == "KeyOverwritten"]
        assert type_ == "Warning"
        for word in ("'password'", "'events/loser'", "'events/winner'"):
            assert word in message

        # Not again for the same; and dataProcess comes after data.
        await admin.put_secret("events/winner", "two")
        await force_sync(api, home, "some", "now")
        await until_reported(api, home, "some", "Synced", "KeyOverwritten", "Updated")
        document["spec"]["data"].pop(0)
        document["spec"]["dataProcess"] = [{"extract": {"key": "events/document", **STORE}}]
        await api.put(document, home)
        await api.until_holds(home, "some", {"password": "three", "more": "x"})
        wanted = ("Synced", "Synced", "KeyOverwritten", "KeyOverwritten", "Updated")
        events = await until_reported(api, home, "some", *wanted)
        assert "'events/winner' and by entry 'events/document'" in str(events)


@pytest.mark.parametrize("empty", ["{}", "# nothing\n{}\n"], ids=["JSON", "YAML"])
async def test_documents_without_keys_write_nothing_and_empty_nothing(
    admin: CloudAdmin, api: Api, home: str, empty: str, running: Running
) -> None:
    await admin.put_secret("events/empty", empty)
    document = external_secret("some")
    document["spec"] = {"dataProcess": [{"extract": {"key": "events/empty", **STORE}}]}
    async with running():
        await api.put(document, home)
        condition = await api.until_ready(home, "some", "NoData")
        assert condition["status"] == "False"
        ((type_, _, message),) = await until_reported(api, home, "some", "SyncFailed")
        assert (type_, message.partition(":")[0]) == ("Warning", "NoData")
        assert await api.find("Secret", home, "some") is None

        await admin.put_secret("events/empty", '{"password": "one"}')
        await force_sync(api, home, "some", "1")
        await api.until_holds(home, "some", ONE)
        await api.until_ready(home, "some", "Synced")
        async with Watching(api, home, "some") as watching:
            await admin.put_secret("events/empty", empty)
            await force_sync(api, home, "some", "2")
            await api.until_ready(home, "some", "NoData")
            await watching.check(ONE)


async def test_apply_in_pieces_is_no_warning(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str
) -> None:
    """The ExternalSecret is first, then its store, then the Secret with the AccessKey."""
    await admin.put_secret("events/pieces", "one")
    async with operator(settings_for(cluster, cloud, namespace)):
        await api.put(external_secret("some", entry("events/pieces")), namespace)
        await api.until_ready(namespace, "some", "StoreNotFound")
        await api.put(store(), namespace)
        await api.until_ready(namespace, "some", "AccessKeyNotFound")
        values = {"id": cloud.access_key_id, "secret": cloud.access_key_secret}
        await api.put(secret("access-key", values), namespace)
        await api.until_ready(namespace, "some", "Synced")
        # One that never comes is warned of, later than all that would be held back of the other.
        stray = {**entry("events/pieces"), "secretStoreRef": {"name": "nowhere"}}
        await api.put(external_secret("stray", stray), namespace)
        await until_reported(api, namespace, "stray", "SyncFailed")
        assert [kind for kind, _, _ in await reported(api, namespace, "some")] == ["Normal"]
