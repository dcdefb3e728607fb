"""Which Secrets are ours, and what happens to those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    secret,
    values_of,
    version_of,
)

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

OWNER = "secret-sync.alibabacloud.com/owner"
ONE = {"password": "one"}

FOREIGN: dict[str, dict[str, Any]] = {
    "other keys": secret("some", {"theirs": "precious"}),
    "same keys and values": secret("some", ONE),
    "another type": secret("some", {"username": "a"}, type="kubernetes.io/basic-auth"),
    "immutable": secret("some", {"theirs": "precious"}, immutable=True),
    "our annotation, copied": {
        **secret("some", {"theirs": "precious"}),
        "metadata": {"name": "some", "annotations": {OWNER: "some/1234"}},
    },
    "empty": secret("some", {}),
}


@pytest.fixture
async def one(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` with one entry."""
    await admin.put_secret("ownership/one", "one")
    return external_secret("some", {"key": "ownership/one", "name": "password"})


@pytest.mark.parametrize("theirs", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_foreign_secret_is_not_touched_and_ours_takes_its_place_when_it_goes(
    api: Api, home: str, one: dict[str, Any], theirs: dict[str, Any], running: Running
) -> None:
    stored = await api.put(theirs, home)
    async with running():
        await api.put(one, home)
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert condition["status"] == "False"
        assert condition["message"].startswith(f"Secret {home}/some ")
        assert "so it was not touched" in condition["message"]
        # Byte for byte, managed fields among it.
        assert await api.get("Secret", home, "some") == stored

        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", ONE)
        await api.until_ready(home, "some", "Synced")


async def test_a_foreign_secret_that_appears_in_our_place_is_not_touched(
    api: Api, home: str, one: dict[str, Any], synced: Synced
) -> None:
    async with synced(one):
        await api.merge("Secret", home, "some", {"metadata": {"finalizers": ["test/hold"]}})
        await api.delete("Secret", home, "some")
        # While it is on its way out, nothing can be done.
        await api.until_ready(home, "some", "WriteFailed")
        await api.merge("Secret", home, "some", {"metadata": {"finalizers": None}})
        await api.until("Secret", home, "some", lambda found: values_of(found) == ONE)
        await api.until_ready(home, "some", "Synced")


async def test_a_secret_from_before_is_adopted(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    first = external_secret(
        "some", {"key": "ownership/one", "name": "old"}, {"key": "ownership/one", "name": "both"}
    )
    async with running():
        await api.put(first, home)
        before = await api.until_holds(home, "some", {"old": "one", "both": "one"})
    # Kept beyond its ExternalSecret, as `kubectl delete --cascade=orphan` does.
    await api.merge("Secret", home, "some", {"metadata": {"ownerReferences": None}})
    await api.delete("ExternalSecret", home, "some")
    async with running():
        again = await api.put(one, home)
        after = await api.until_holds(home, "some", ONE)
        uid = again["metadata"]["uid"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["metadata"]["annotations"] == {OWNER: f"some/{uid}"}
        assert [ref["uid"] for ref in after["metadata"]["ownerReferences"]] == [uid]
        await api.until_ready(home, "some", "Synced")


async def test_another_type_re_creates_the_secret(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    async with running():
        await api.put(one, home)
        before = await api.until_holds(home, "some", ONE)
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "example.org/some"}})
        after = await api.until(
            "Secret", home, "some", lambda s: s is not None and s["type"] == "example.org/some"
        )
        assert values_of(after) == ONE
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        await api.until_ready(home, "some", "Synced")


async def test_a_secret_that_was_made_immutable_is_re_created_when_the_value_changes(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    await admin.put_secret("ownership/frozen", "one")
    document = external_secret("some", {"key": "ownership/frozen", "name": "password"})
    async with running():
        await api.put(document, home)
        before = await api.until_holds(home, "some", ONE)
        await api.merge("Secret", home, "some", {"immutable": True})
        await admin.put_secret("ownership/frozen", "two")
        annotations = {"secret-sync.alibabacloud.com/force-sync": "now"}
        await api.merge("ExternalSecret", home, "some", {"metadata": {"annotations": annotations}})
        after = await api.until_holds(home, "some", {"password": "two"})
        assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_type_that_the_api_server_refuses_leaves_the_secret_as_it_was(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    async with running():
        await api.put(one, home)
        await api.until_holds(home, "some", ONE)
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "kubernetes.io/tls"}})
        condition = await api.until_ready(home, "some", "WriteFailed")
        assert "tls.crt" in condition["message"]
        assert values_of(await api.find("Secret", home, "some")) == ONE


async def test_recreated_external_secret_keeps_its_secret(
    api: Api, home: str, one: dict[str, Any], synced: Synced
) -> None:
    async with synced(one):
        await api.delete("ExternalSecret", home, "some")
        again = await api.put(one, home)
        uid = again["metadata"]["uid"]

        def belongs(found: dict[str, Any] | None) -> bool:
            refs = (found or {"metadata": {}})["metadata"].get("ownerReferences") or []
            return [ref["uid"] for ref in refs] == [uid]

        held = await api.until("Secret", home, "some", belongs)
        assert values_of(held) == ONE
        assert version_of(await api.get("Secret", home, "some")) == version_of(held)
