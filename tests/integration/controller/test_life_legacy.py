"""The finalizers that ack-secret-manager left behind, and itself, still running beside us."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    operator,
    secret,
    settings_for,
    store,
    values_of,
    version_of,
)
from tests.support.watching import Watching, post_as, put_as

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
KEPT = "example.org/kept"
LEGACY = "ack-secret-manager"
ONE = {"password": "one"}


@pytest.fixture
async def theirs(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` with the finalizer."""
    await admin.put_secret("legacy/one", "one")
    document = external_secret("some", {"key": "legacy/one", "name": "password"})
    document["metadata"]["finalizers"] = [FINALIZER]
    return document


def finalizers(found: dict[str, Any] | None) -> list[str]:
    return list((found or {"metadata": {}})["metadata"].get("finalizers") or ())


async def put_deleted(api: Api, home: str, document: dict[str, Any]) -> None:
    """An object that has been waiting for its finalizers since before we came."""
    name = document["metadata"]["name"]
    await api.put(document, home)
    await api.delete(document["kind"], home, name)
    assert "deletionTimestamp" in (await api.get(document["kind"], home, name))["metadata"]


async def test_an_object_being_deleted_goes_and_its_secret_before_it(
    admin: CloudAdmin, api: Api, home: str, theirs: dict[str, Any], running: Running
) -> None:
    await post_as(api, LEGACY, secret("some", {"password": "old"}), home)
    theirs["metadata"]["finalizers"] = [KEPT, FINALIZER]
    await put_deleted(api, home, theirs)
    calls = (await admin.counters())["total"]
    async with (
        Watching(api, home, "some") as watching,
        running(),
    ):
        found = await api.until(
            "ExternalSecret", home, "some", lambda e: FINALIZER not in finalizers(e)
        )
        # Another one's stays, and the object with it.
        assert finalizers(found) == [KEPT]
        await watching.check({"password": "old"}, absences=1)
        assert watching.absences == 1
        assert watching.deleted_at < int(version_of(found))
        await api.merge("ExternalSecret", home, "some", {"metadata": {"finalizers": None}})
        await api.until("ExternalSecret", home, "some", lambda e: e is None)
    assert (await admin.counters())["total"] == calls


@pytest.mark.parametrize("kept", ["somebody else's", "retained", "merged into"])
async def test_an_object_being_deleted_leaves_what_is_not_to_go_with_it(
    api: Api, home: str, theirs: dict[str, Any], kept: str, running: Running
) -> None:
    manager = "kubectl-create" if kept == "somebody else's" else LEGACY
    left = await post_as(api, manager, secret("some", {"password": "old"}), home)
    target = {
        "retained": {"deletionPolicy": "Retain"},
        "merged into": {"creationPolicy": "Merge"},
    }
    theirs["spec"]["target"] = target.get(kept, {})
    await put_deleted(api, home, theirs)
    async with running():
        await api.until("ExternalSecret", home, "some", lambda found: found is None)
        assert await api.get("Secret", home, "some") == left


async def test_an_object_that_was_taken_over_and_got_the_finalizer_back_goes_with_its_secret(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, theirs: dict[str, Any]
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(theirs, home)
        await api.until("ExternalSecret", home, "some", lambda e: not finalizers(e))
    await put_deleted(api, home, theirs)
    async with operator(settings):
        await api.until("ExternalSecret", home, "some", lambda found: found is None)
        assert await api.find("Secret", home, "some") is None


async def test_the_finalizer_of_stores_goes_also_where_one_is_being_deleted(
    api: Api, home: str, running: Running
) -> None:
    both = {"metadata": {"finalizers": [FINALIZER, KEPT]}}
    await api.merge("SecretStore", home, "store", both)
    going = store("going")
    going["metadata"]["finalizers"] = [FINALIZER]
    await put_deleted(api, home, going)
    broken = store("broken", access_key="absent")
    broken["metadata"]["finalizers"] = [FINALIZER]
    await api.put(broken, home)
    async with running():
        await api.until("SecretStore", home, "store", lambda s: finalizers(s) == [KEPT])
        await api.until("SecretStore", home, "going", lambda s: s is None)
        await api.until("SecretStore", home, "broken", lambda s: not finalizers(s))
        await api.until_ready(home, "store", "Ready", kind="SecretStore")
    await api.merge("SecretStore", home, "store", {"metadata": {"finalizers": None}})


async def test_finalizer_that_keeps_coming_back_is_left(
    api: Api, home: str, theirs: dict[str, Any], running: Running
) -> None:
    put_back = {"metadata": {"finalizers": [FINALIZER]}}
    async with running():
        await api.put(theirs, home)
        held = await api.until_holds(home, "some", ONE)
        for _ in range(3):
            await api.until("ExternalSecret", home, "some", lambda e: not finalizers(e))
            await api.merge("ExternalSecret", home, "some", put_back)
        # It has seen the last one, since it tells of a generation that came later.
        await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1h"}})
        await api.until_ready(home, "some", "Synced")
        assert finalizers(await api.get("ExternalSecret", home, "some")) == [FINALIZER]
        assert version_of(await api.get("Secret", home, "some")) == version_of(held)
        # It does not keep the object from going.
        await api.delete("ExternalSecret", home, "some")
        await api.until("ExternalSecret", home, "some", lambda found: found is None)


class StillRunning:
    """ack-secret-manager beside us: it puts its own value back whenever there is another one."""

    def __init__(self, api: Api, home: str, values: dict[str, str]) -> None:
        self._api = api
        self._home = home
        self._data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        self.writes = 0

    async def run(self) -> None:
        while True:
            found = await self._api.get("Secret", self._home, "some")
            if found.get("data") != self._data and await put_as(
                self._api, LEGACY, {**found, "data": self._data}, self._home
            ):
                self.writes += 1
            await asyncio.sleep(0.02)


async def test_ack_secret_manager_that_still_runs_causes_no_flapping(
    admin: CloudAdmin,
    api: Api,
    home: str,
    theirs: dict[str, Any],
    requests: list[str],
    running: Running,
) -> None:
    await admin.put_secret("legacy/user", "one")
    theirs["spec"]["data"].append(
        {"key": "legacy/user", "name": "user", "secretStoreRef": {"name": "store"}}
    )
    old, new = {"password": "old", "user": "old"}, {"password": "one", "user": "one"}
    await post_as(api, LEGACY, secret("some", old), home)
    await api.put(theirs, home)
    other = StillRunning(api, home, old)
    async with (
        Watching(api, home, "some") as watching,
        running(),
    ):
        opponent = asyncio.create_task(other.run())
        try:
            condition = await api.until_ready(home, "some", "WriteConflict", within=10)
            assert LEGACY in condition["message"]
            await api.until_holds(home, "some", old)
            await watching.seen_all()
            ours = len([r for r in requests if f"{home}/secrets/some" in r and "PATCH" in r])
            left, writes = await api.get("Secret", home, "some"), other.writes
            # The adoption and three repairs were undone; each may have had to start again, four
            # times at most, and takes three writes at most.
            assert writes <= 4 * 4
            assert ours <= 3 * 4 * 4
            # Long enough for it to come round dozens of times.
            await asyncio.sleep(1)
            assert other.writes == writes
            assert version_of(await api.get("Secret", home, "some")) == version_of(left)
            assert values_of(left) == old
            await watching.check(old, new)
        finally:
            opponent.cancel()


async def test_ack_secret_manager_that_agrees_causes_no_write(
    api: Api, home: str, theirs: dict[str, Any], requests: list[str], running: Running
) -> None:
    await post_as(api, LEGACY, secret("some", ONE), home)
    await api.put(theirs, home)
    async with running() as controller:
        await api.until_ready(home, "some", "Synced")
        requests.clear()
        version = ""
        for number in range(5):
            found = await api.get("Secret", home, "some")
            found["metadata"].setdefault("labels", {})["lastUpdatedAt"] = str(number)
            put = await put_as(api, LEGACY, found, home)
            assert put is not None
            version = version_of(put)
        held = controller.watched.secrets.store
        await api.until(
            "Secret",
            home,
            "some",
            lambda _: getattr(held.get(f"{home}/some"), "resource_version", "") == version,
        )
        await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1h"}})
        await api.until_ready(home, "some", "Synced")
        assert not [r for r in requests if f"{home}/secrets" in r]
