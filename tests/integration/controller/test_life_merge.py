"""``creationPolicy: Merge``: our keys, and nothing but them, in a Secret of somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    ready_of,
    secret,
    values_of,
    version_of,
)
from tests.support.watching import Watching, force_sync, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

THEIRS = {"theirs": "precious", "more": "ünïcode\n"}
ONE = {**THEIRS, "password": "one"}
TWO = {**THEIRS, "password": "two"}


@pytest.fixture
async def host(api: Api, admin: CloudAdmin, home: str) -> dict[str, Any]:
    """Somebody's Secret ``host``, labels and all."""
    await admin.put_secrets({"merge/one": "one", "merge/two": "two"})
    metadata = {"name": "host", "labels": {"team": "a"}, "annotations": {"note": "b"}}
    return await api.put({**secret("host", THEIRS), "metadata": metadata}, home)


def merging(name: str, key: str, *names: str, target: str = "host") -> dict[str, Any]:
    """An ExternalSecret that writes one value under these names into the target."""
    entries = [{"key": key, "name": each} for each in names or ("password",)]
    return external_secret(name, *entries, target={"name": target, "creationPolicy": "Merge"})


async def test_the_target_is_awaited(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("merge/awaiting", "one")
    async with running():
        await api.put(merging("some", "merge/awaiting"), home)
        condition = await api.until_ready(home, "some", "TargetMissing")
        assert f"Secret {home}/host does not exist" in condition["message"]
        await until_reported(api, home, "some", "SyncFailed")
        assert await api.find("Secret", home, "host") is None
        calls = (await admin.counters())["total"]

        for _ in range(2):
            await api.put(secret("host", THEIRS), home)
            await api.until_holds(home, "host", ONE)
            await api.until_ready(home, "some", "Synced")
            await api.delete("Secret", home, "host")
            await api.until_ready(home, "some", "TargetMissing")
        assert (await admin.counters())["total"] == calls


async def test_nothing_of_theirs_is_touched(
    admin: CloudAdmin, api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    async with Watching(api, home, "host") as watching:
        async with running():
            await admin.put_secret("merge/changing", "one")
            await api.put(merging("some", "merge/changing"), home)
            await api.until_holds(home, "host", ONE)
            condition = await api.until_ready(home, "some", "Synced")
            assert condition["message"] == "Secret host holds 1 key of this object"
            await admin.put_secret("merge/changing", "two")
            await force_sync(api, home, "some", "now")
            await api.until_holds(home, "host", TWO)
            # Theirs to change, as ever.
            await api.merge("Secret", home, "host", {"metadata": {"labels": {"team": "b"}}})
            await api.merge("Secret", home, "host", {"stringData": {"more": "less"}})
            await api.until_ready(home, "some", "Synced")
        await watching.check(THEIRS, ONE, TWO, {**TWO, "more": "less"})
    found = await api.get("Secret", home, "host")
    assert found["metadata"]["labels"] == {"team": "b"}
    assert found["metadata"]["annotations"] == {"note": "b"}
    assert found["metadata"]["uid"] == host["metadata"]["uid"]
    assert "ownerReferences" not in found["metadata"]
    assert found["data"] | {"password": "", "more": ""} == host["data"] | {
        "password": "",
        "more": "",
    }


async def test_an_edited_key_is_a_conflict_and_is_not_repaired(
    admin: CloudAdmin,
    api: Api,
    home: str,
    host: dict[str, Any],
    requests: list[str],
    running: Running,
) -> None:
    async with running():
        await api.put(merging("some", "merge/one"), home)
        await api.until_holds(home, "host", ONE)
        await api.until_ready(home, "some", "Synced")
        async with Watching(api, home, "host") as watching:
            edited = await api.merge("Secret", home, "host", {"stringData": {"password": "x"}})
            condition = await api.until_ready(home, "some", "KeyConflict")
            assert "kubectl-edit set another value for password" in condition["message"]
            await until_reported(api, home, "some", "Synced", "Conflict")
            await force_sync(api, home, "some", "now")
            await api.until(
                "ExternalSecret",
                home,
                "some",
                lambda _: requests.count(f"PATCH /api/v1/namespaces/{home}/secrets/host") >= 2,
            )
            found = await api.get("Secret", home, "host")
            assert version_of(found) == version_of(edited)

            # Given up by whoever had it.
            await api.merge("Secret", home, "host", {"data": {"password": None}})
            await api.until_holds(home, "host", ONE)
            await api.until_ready(home, "some", "Synced")
            await watching.check(ONE, {**THEIRS, "password": "x"}, THEIRS)


async def test_a_key_that_was_there_before_is_theirs(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    async with running():
        # All or nothing: the key that nobody has is not written either.
        await api.put(merging("some", "merge/one", "password", "theirs"), home)
        condition = await api.until_ready(home, "some", "KeyConflict")
        assert "another value for theirs," in condition["message"]
        assert await api.get("Secret", home, "host") == host


async def test_two_objects_merge_different_keys(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    both = {**THEIRS, "a": "one", "b": "two"}
    async with running():
        async with Watching(api, home, "host") as watching:
            await api.put(merging("first", "merge/one", "a"), home)
            await api.put(merging("second", "merge/two", "b"), home)
            await api.until_holds(home, "host", both)
            for name in ("first", "second"):
                await api.until_ready(home, name, "Synced")
            await watching.check(THEIRS, both, {**THEIRS, "a": "one"}, {**THEIRS, "b": "two"})
        made = [await api.get("ExternalSecret", home, name) for name in ("first", "second")]
        ages = [(o["metadata"]["creationTimestamp"], o["metadata"]["uid"]) for o in made]
        older, younger = ("first", "second") if ages == sorted(ages) else ("second", "first")
        older_key, younger_value = ("c", "two") if older == "first" else ("b", "one")
        async with Watching(api, home, "host") as watching:
            await api.put(merging("first", "merge/one", "c"), home)
            await api.until_holds(home, "host", {**THEIRS, "c": "one", "b": "two"})
            # A key that an older one has, with another value.
            await api.put(merging(younger, f"merge/{younger_value}", older_key), home)
            condition = await api.until_ready(home, younger, "KeyConflict")
            assert (
                f"ExternalSecret {older}, created before this one, merges {older_key}"
                in (condition["message"])
            )
            await watching.check(both, {**THEIRS, "c": "one", "b": "two"})
        assert (await api.until_ready(home, older, "Synced"))["status"] == "True"


async def test_the_keys_stay_when_the_object_goes_and_the_next_one_of_that_name_has_them(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    async with running() as controller:
        await api.put(merging("some", "merge/one"), home)
        await api.until_holds(home, "host", ONE)
        await api.until_ready(home, "some", "Synced")
        before = await api.get("Secret", home, "host")
        async with Watching(api, home, "host") as watching:
            await api.delete("ExternalSecret", home, "some")
            held = controller.watched.external_secrets.store
            await api.until("Secret", home, "host", lambda _: held.get(f"{home}/some") is None)
            assert await api.get("Secret", home, "host") == before

            await api.put(merging("some", "merge/two"), home)
            await api.until_holds(home, "host", TWO)
            await api.until_ready(home, "some", "Synced")
            await watching.check(ONE, TWO)
            # Its own by now: what it gives up, goes.
            await api.put(merging("some", "merge/two", "renamed"), home)
            await api.until_holds(home, "host", {**THEIRS, "renamed": "two"})


async def test_keys_of_an_object_that_is_gone_are_taken_over_with_the_same_value_too(
    api: Api, home: str, host: dict[str, Any], synced: Synced
) -> None:
    async with synced(merging("some", "merge/one")):
        await api.delete("ExternalSecret", home, "some")
        await api.put(merging("some", "merge/one"), home)
        await api.until_ready(home, "some", "Synced")
        await api.put(merging("some", "merge/one", "renamed"), home)
        await api.until_holds(home, "host", {**THEIRS, "renamed": "one"})


async def test_another_target_takes_the_keys_along(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    await api.put(secret("other", {"other": "x"}), home)
    async with running():
        await api.put(merging("some", "merge/one"), home)
        await api.until_holds(home, "host", ONE)
        await api.until_ready(home, "some", "Synced")
        async with Watching(api, home, "host") as old, Watching(api, home, "other") as new:
            await api.put(merging("some", "merge/one", target="other"), home)
            await api.until_holds(home, "other", {"other": "x", "password": "one"})
            await api.until_holds(home, "host", THEIRS)
            await old.check(ONE, THEIRS)
            await new.check({"other": "x"}, {"other": "x", "password": "one"})
        assert (await api.get("Secret", home, "host"))["metadata"]["labels"] == {"team": "a"}


async def test_the_keys_stay_where_they_are_while_the_new_target_is_missing(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    async with running():
        await api.put(merging("some", "merge/one"), home)
        await api.until_holds(home, "host", ONE)
        await api.until_ready(home, "some", "Synced")
        async with Watching(api, home, "host") as watching:
            await api.put(merging("some", "merge/one", target="absent"), home)
            await api.until_ready(home, "some", "TargetMissing")
            await watching.check(ONE)


async def test_a_secret_of_another_external_secret_is_not_merged_into(
    api: Api, home: str, host: dict[str, Any], synced: Synced
) -> None:
    async with synced(external_secret("owner", {"key": "merge/one", "name": "a"})):
        async with Watching(api, home, "owner") as watching:
            await api.put(merging("some", "merge/two", target="owner"), home)
            condition = await api.until_ready(home, "some", "SecretConflict")
            assert f"Secret {home}/owner belongs to ExternalSecret owner" in condition["message"]
            await watching.check({"a": "one"})
        assert ready_of(await api.get("ExternalSecret", home, "owner"))["status"] == "True"


async def test_immutable_target_is_reported_and_left(
    api: Api, home: str, host: dict[str, Any], running: Running
) -> None:
    frozen = await api.merge("Secret", home, "host", {"immutable": True})
    async with running():
        await api.put(merging("some", "merge/one"), home)
        condition = await api.until_ready(home, "some", "WriteFailed")
        assert "immutable" in condition["message"]
        found = await api.get("Secret", home, "host")
        assert found == frozen
        assert values_of(found) == THEIRS
