"""ExternalSecrets that merge into one Secret: whose key is it, and what stays?"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApplyWriter
from tests.support.operator import external_secret, secret, store, values_of
from tests.support.watching import Watching, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

THEIRS = {"theirs": "precious"}
ONE = {**THEIRS, "password": "one"}
TWO = {**THEIRS, "password": "two"}


@pytest.fixture(autouse=True)
async def _host(api: Api, admin: CloudAdmin, home: str) -> None:
    """Somebody's Secret ``host``."""
    values = {"together/one": "one", "together/same": "one", "together/two": "two"}
    await admin.put_secrets(values)
    await api.put(secret("host", THEIRS), home)


def merging(name: str, *keys: str, of: str = "together/one", target: str = "host") -> Any:
    """An ExternalSecret that merges one value under these keys."""
    entries = [{"key": of, "name": key} for key in keys]
    return external_secret(name, *entries, target={"name": target, "creationPolicy": "Merge"})


async def in_order(api: Api, home: str, *names: str) -> list[str]:
    """Those ExternalSecrets, the first one first."""
    made = [(await api.get("ExternalSecret", home, name))["metadata"] for name in names]
    return [m["name"] for m in sorted(made, key=lambda m: (m["creationTimestamp"], m["uid"]))]


async def remove(api: Api, home: str, name: str) -> None:
    await api.delete("ExternalSecret", home, name)
    await api.until("ExternalSecret", home, name, lambda found: found is None)


@pytest.mark.parametrize("of", ["together/same", "together/two"], ids=["equal", "different"])
async def test_keys_merged_by_a_deleted_object_stay(
    api: Api, home: str, of: str, synced: Synced
) -> None:
    value = {"together/same": "one", "together/two": "two"}[of]
    before = {**ONE, "user": "one", "port": "one"}
    async with synced(merging("gone", "password", "user", "port")):
        async with Watching(api, home, "host") as watching:
            await remove(api, home, "gone")
            await api.put(merging("heir", "password", of=of), home)
            await api.until_ready(home, "heir", "Synced")
            after = {**before, "password": value}
            await api.until_holds(home, "host", after)
            await watching.check(before, after)
        # One more of them becomes its own; what it leaves out goes, and nothing else.
        await api.put(merging("heir", "user", of=of), home)
        left = {**after, "user": value}
        del left["password"]
        await api.until_holds(home, "host", left)


async def test_many_that_merge_into_one_secret_write_it_once_each(
    api: Api, home: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, they would refuse each other's writes again and again."""
    writers: Counter[str] = Counter()
    update = ApplyWriter.update

    async def counted(self: Any, resource: Any, body: Any, ref: Any, **more: Any) -> Any:
        writers[body["metadata"]["name"]] += 1
        return await update(self, resource, body, ref, **more)

    monkeypatch.setattr(ApplyWriter, "update", counted)
    names = [f"many-{number}" for number in range(40)]
    async with running():
        # They wait for their store, and go all at once when it is there.
        for name in names:
            document = merging(name, name)
            document["spec"]["data"][0]["secretStoreRef"] = {"name": "late"}
            await api.put(document, home)
        for name in names:
            await api.until_ready(home, name, "StoreNotFound")
        await api.put(store("late"), home)
        await api.until_holds(home, "host", {**THEIRS, **dict.fromkeys(names, "one")})
        for name in names:
            await api.until_ready(home, name, "Synced")
    assert writers["host"] == len(names)


async def test_second_object_that_wants_a_key_is_reported_at_once(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    async with running():
        await api.put(merging("a", "password"), home)
        await api.put(merging("b", "password", of="together/same"), home)
        first, second = await in_order(api, home, "a", "b")
        condition = await api.until_ready(home, second, "KeyConflict")
        assert (
            f"ExternalSecret {first}, created before this one, merges password"
            in (condition["message"])
        )
        assert "secret-sync-merge-" not in condition["message"]
        await api.until_ready(home, first, "Synced")
        await api.until_holds(home, "host", ONE)

        # The first one is not held up by the second one, nor by what that had written.
        await admin.put_secrets({"together/one": "two", "together/same": "two"})
        for name in (first, second):
            await force_sync(api, home, name, "now")
        await api.until_holds(home, "host", TWO)
        await api.until_ready(home, first, "Synced")
        await api.until_ready(home, second, "KeyConflict")


async def leaves(api: Api, home: str, first: str) -> None:
    """It is deleted."""
    await remove(api, home, first)


async def drops_the_key(api: Api, home: str, first: str) -> None:
    """It merges another key."""
    await api.put(merging(first, "other", of="together/same"), home)


async def goes_elsewhere(api: Api, home: str, first: str) -> None:
    """It merges into another Secret."""
    await api.put(secret("elsewhere", THEIRS), home)
    await api.put(merging(first, "password", of="together/same", target="elsewhere"), home)


async def waits_elsewhere(api: Api, home: str, first: str) -> None:
    """It merges into another Secret, which does not exist."""
    await api.put(merging(first, "password", of="together/same", target="absent"), home)


async def becomes_an_owner(api: Api, home: str, first: str) -> None:
    """It would have the Secret as its own."""
    spec = {"target": {"creationPolicy": "Owner"}}
    await api.merge("ExternalSecret", home, first, {"spec": spec})


@pytest.mark.parametrize(
    "way", [leaves, drops_the_key, goes_elsewhere, waits_elsewhere, becomes_an_owner]
)
async def test_key_passes_from_the_first_object_to_the_second_without_a_gap(
    admin: CloudAdmin, api: Api, home: str, way: Any, running: Running
) -> None:
    async with running():
        for name in ("a", "b"):
            await api.put(merging(name, "password", of="together/same"), home)
        first, second = await in_order(api, home, "a", "b")
        await api.until_ready(home, first, "Synced")
        await api.until_ready(home, second, "KeyConflict")
        async with Watching(api, home, "host") as watching:
            await way(api, home, first)
            await api.until_ready(home, second, "Synced")
            await admin.put_secret("together/same", "two")
            await force_sync(api, home, second, "now")
            found = await api.until(
                "Secret", home, "host", lambda s: values_of(s).get("password") == "two"
            )
            await api.until_ready(home, second, "Synced")
            await watching.seen_all()
        assert all("password" in (state or {}) for state in watching.states), watching.states
        managers = {e["manager"] for e in found["metadata"]["managedFields"] if has(e, "password")}
        uid = (await api.get("ExternalSecret", home, second))["metadata"]["uid"]
        assert managers == {f"secret-sync-merge-{uid}"}


def has(entry: dict[str, Any], key: str) -> bool:
    return f"f:{key}" in entry["fieldsV1"].get("f:data", {})


async def test_the_first_takes_a_key_that_it_comes_to_want(
    api: Api, home: str, running: Running
) -> None:
    async with running():
        await api.put(merging("a", "x"), home)
        await api.put(merging("b", "y"), home)
        first, second = await in_order(api, home, "a", "b")
        await api.put(merging(second, "password", of="together/one"), home)
        await api.until_holds(home, "host", {**ONE, "x" if first == "a" else "y": "one"})
        await api.put(merging(first, "password", of="together/two"), home)
        condition = await api.until_ready(home, second, "KeyConflict")
        assert f"ExternalSecret {first}, created before" in condition["message"]
        await api.until_holds(home, "host", TWO)
        await api.until_ready(home, first, "Synced")


async def test_two_that_share_a_key_since_an_earlier_release_are_parted(
    api: Api, home: str, running: Running
) -> None:
    for name in ("a", "b"):
        await api.put(merging(name, "password", of="together/same"), home)
        uid = (await api.get("ExternalSecret", home, name))["metadata"]["uid"]
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "host"}}
        path = f"/api/v1/namespaces/{home}/secrets/host?fieldManager=secret-sync-merge-{uid}"
        content = {**body, "data": {"password": "b25l"}}
        status, answer = await api.request("PATCH", path, content, "application/apply-patch+yaml")
        assert status == 200, answer
    first, second = await in_order(api, home, "a", "b")
    async with (
        running(),
        Watching(api, home, "host") as watching,
    ):
        await api.until_ready(home, second, "KeyConflict")
        await api.until_ready(home, first, "Synced")
        await watching.check(ONE)
        uid = (await api.get("ExternalSecret", home, first))["metadata"]["uid"]

        def parted(found: dict[str, Any] | None) -> bool:
            entries = (found or {"metadata": {}})["metadata"].get("managedFields") or []
            return {e["manager"] for e in entries if has(e, "password")} == {
                f"secret-sync-merge-{uid}"
            }

        await api.until("Secret", home, "host", parted)
