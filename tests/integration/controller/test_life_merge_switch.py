"""From ``Owner`` to ``Merge`` and back: no key is missing, and nobody's Secret changes hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import external_secret, operator, secret, settings_for, values_of
from tests.support.watching import Watching

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

OWNER = "secret-sync.alibabacloud.com/owner"
MERGE: dict[str, Any] = {"spec": {"target": {"creationPolicy": "Merge"}}}
OWN: dict[str, Any] = {"spec": {"target": {"creationPolicy": "Owner"}}}
PAIR = {"user": "one", "password": "two"}
THEIRS = {"theirs": "precious"}


@pytest.fixture
async def pair(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` with two keys."""
    await admin.put_secrets({"switch/user": "one", "switch/password": "two"})
    entries = (
        {"key": "switch/user", "name": "user"},
        {"key": "switch/password", "name": "password"},
    )
    return external_secret("some", *entries)


def given_up(found: dict[str, Any] | None) -> bool:
    """Whether a Secret is nobody's: neither marked nor to be collected."""
    metadata = (found or {"metadata": {}})["metadata"]
    marked = OWNER in (metadata.get("annotations") or {})
    return bool(metadata) and not marked and not metadata.get("ownerReferences")


@pytest.mark.parametrize("target", [{}, {"deletionPolicy": "Retain"}], ids=["Delete", "Retain"])
async def test_from_owner_to_merge_no_key_is_missing(
    api: Api, home: str, pair: dict[str, Any], target: dict[str, Any], synced: Synced
) -> None:
    pair["spec"]["target"] = target
    async with synced(pair) as watching:
        await api.merge("ExternalSecret", home, "some", MERGE)
        await api.until("Secret", home, "some", given_up)
        await api.until_ready(home, "some", "Synced")
        await watching.check(PAIR)
        # Somebody else's keys are at home in it now.
        await api.merge("Secret", home, "some", {"stringData": THEIRS})
        await api.delete("ExternalSecret", home, "some")
        await api.put({**pair, "spec": {**pair["spec"], **MERGE["spec"]}}, home)
        await api.until_ready(home, "some", "Synced")
        await watching.check(PAIR, {**PAIR, **THEIRS})


async def test_from_owner_to_merge_of_an_immutable_secret_has_an_end(
    api: Api, home: str, pair: dict[str, Any], synced: Synced
) -> None:
    pair["spec"]["target"] = {"immutable": True}
    async with synced(pair) as watching:
        patch = {"spec": {"target": {"creationPolicy": "Merge", "immutable": None}}}
        await api.merge("ExternalSecret", home, "some", patch)

        def reported(found: dict[str, Any] | None) -> bool:
            status = (found or {}).get("status") or {}
            return bool(status.get("observedGeneration") == 2)

        # Given up, or the reason is reported.
        await api.until("ExternalSecret", home, "some", reported)
        await watching.check(PAIR)


async def test_unmanaged_secret_stays_unmanaged_from_merge_to_owner(
    api: Api, home: str, pair: dict[str, Any], running: Running
) -> None:
    await api.put(secret("some", THEIRS), home)
    pair["spec"] |= MERGE["spec"]
    async with running():
        await api.put(pair, home)
        merged = await api.until_holds(home, "some", {**PAIR, **THEIRS})
        await api.until_ready(home, "some", "Synced")
        async with Watching(api, home, "some") as watching:
            await api.merge("ExternalSecret", home, "some", OWN)
            condition = await api.until_ready(home, "some", "SecretConflict")
            assert "was not touched" in condition["message"]
            await watching.check({**PAIR, **THEIRS})
        assert await api.get("Secret", home, "some") == merged


async def test_unmanaged_secret_stays_unmanaged_from_merge_to_owner_after_a_conflict(
    api: Api, home: str, pair: dict[str, Any], running: Running
) -> None:
    await api.put(secret("some", THEIRS), home)
    pair["spec"] |= MERGE["spec"]
    async with running():
        await api.put(pair, home)
        await api.until_holds(home, "some", {**PAIR, **THEIRS})
        await api.until_ready(home, "some", "Synced")
        # All of our keys belong to others by now: nothing in it shows us.
        mine = {"stringData": dict.fromkeys(PAIR, "mine")}
        edited = await api.merge("Secret", home, "some", mine)
        await api.until_ready(home, "some", "KeyConflict")
        await api.merge("ExternalSecret", home, "some", OWN)
        await api.until_ready(home, "some", "SecretConflict")
        assert await api.get("Secret", home, "some") == edited


async def test_unmanaged_secret_stays_unmanaged_from_merge_to_owner_after_a_restart(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, pair: dict[str, Any]
) -> None:
    await api.put(secret("some", THEIRS), home)
    pair["spec"] |= MERGE["spec"]
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(pair, home)
        await api.until_holds(home, "some", {**PAIR, **THEIRS})
        await api.until_ready(home, "some", "Synced")
    await api.merge("ExternalSecret", home, "some", OWN)
    merged = await api.get("Secret", home, "some")
    async with operator(settings):
        await api.until_ready(home, "some", "SecretConflict")
        assert await api.get("Secret", home, "some") == merged


async def test_from_merge_to_owner_with_the_word_of_its_author(
    api: Api, home: str, pair: dict[str, Any], synced: Synced
) -> None:
    async with synced(pair) as watching:
        await api.merge("ExternalSecret", home, "some", MERGE)
        await api.until("Secret", home, "some", given_up)
        adopt = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
        await api.merge("ExternalSecret", home, "some", {**OWN, "metadata": adopt})
        await api.until("Secret", home, "some", lambda found: not given_up(found))
        await api.until_ready(home, "some", "Synced")
        await watching.check(PAIR)
        # It is its own with all that this means: what it gives up, goes.
        spec = {"data": pair["spec"]["data"][:1]}
        await api.merge("ExternalSecret", home, "some", {"spec": spec})
        await api.until_holds(home, "some", {"user": "one"})


async def test_from_an_own_secret_to_merging_into_another_one(
    api: Api, home: str, pair: dict[str, Any], synced: Synced
) -> None:
    await api.put(secret("host", THEIRS), home)
    async with synced(pair):
        async with Watching(api, home, "some") as old, Watching(api, home, "host") as new:
            spec = {"target": {"name": "host", "creationPolicy": "Merge"}}
            await api.merge("ExternalSecret", home, "some", {"spec": spec})
            await api.until_holds(home, "host", {**PAIR, **THEIRS})
            await api.until("Secret", home, "some", lambda found: found is None)
            await old.check(PAIR, absences=1)
            await new.check(THEIRS, {**PAIR, **THEIRS})
        born = next(o for o in new.history if values_of(o) == {**PAIR, **THEIRS})
        assert born is not None
        assert int(born["metadata"]["resourceVersion"]) < old.deleted_at
