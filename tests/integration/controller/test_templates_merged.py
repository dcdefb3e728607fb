"""Labels and annotations that templates merge into Secrets of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.controller.test_templates import LABELS, metadata_of, templated
from tests.support.operator import ready_of, secret
from tests.support.watching import force_sync, post_as

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running

MERGE = {"name": "host", "creationPolicy": "Merge"}


@pytest.fixture(autouse=True)
async def _values(admin: CloudAdmin) -> None:
    await admin.put_secret("templates/user", "alice")
    await admin.put_secret("templates/password", "one")


async def apply(api: Api, home: str, **metadata: Any) -> None:
    """A server-side apply by somebody called ``gitops``."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "host", **metadata}}
    path = f"/api/v1/namespaces/{home}/secrets/host?fieldManager=gitops"
    status, answer = await api.request("PATCH", path, body, "application/apply-patch+yaml")
    assert status in {200, 201}, answer


async def test_merged_labels_are_not_forced(api: Api, home: str, running: Running) -> None:
    host = secret("host", {"theirs": "x"})
    host["metadata"]["labels"] = {"team": "theirs"}
    await post_as(api, "kubectl-create", host, home)
    async with running():
        await api.put(templated({"data": {"a": "b"}, "metadata": LABELS}, **MERGE), home)
        found = await api.until_holds(home, "host", {"theirs": "x", "a": "b"})
        assert metadata_of(found, "labels") == {"team": "theirs", "user": "alice"}
        await api.until_ready(home, "some", "Synced")
        await api.merge("Secret", home, "host", {"metadata": {"labels": {"user": "mallory"}}})
        condition = await api.until_ready(home, "some", "KeyConflict")
        assert "label user" in condition["message"]
        found = await api.get("Secret", home, "host")
        assert metadata_of(found, "labels")["user"] == "mallory"
        await api.merge("Secret", home, "host", {"metadata": {"labels": {"user": None}}})
        await api.until("Secret", home, "host", lambda s: "user" in metadata_of(s, "labels"))
        await api.put(templated({"data": {"a": "b"}}, **MERGE), home)
        await api.until(
            "Secret", home, "host", lambda s: metadata_of(s, "labels") == {"team": "theirs"}
        )


async def test_two_that_merge_one_label_are_in_conflict(
    api: Api, home: str, running: Running
) -> None:
    await post_as(api, "kubectl-create", secret("host", {"theirs": "x"}), home)
    async with running():
        first = templated({"data": {"a": "1"}, "metadata": {"labels": {"team": "x"}}}, **MERGE)
        await api.put(first, home)
        await api.until_ready(home, "some", "Synced")
        template = {"data": {"b": "1"}, "metadata": {"labels": {"team": "x"}}}
        await api.put(templated(template, "other", **MERGE), home)
        both = [await api.get("ExternalSecret", home, name) for name in ("some", "other")]
        # Within one second the uid decides.
        both.sort(key=lambda e: (e["metadata"]["creationTimestamp"], e["metadata"]["uid"]))
        winner, loser = (e["metadata"]["name"] for e in both)
        condition = await api.until_ready(home, loser, "KeyConflict")
        assert "merges label team" in condition["message"]
        await api.until_ready(home, winner, "Synced")


async def said(api: Api, home: str, part: str, *, not_said: bool = False) -> str:
    """Waits for ``some`` to be Synced and to have this part in its message; returns that."""

    def settled(found: dict[str, Any] | None) -> bool:
        ready = ready_of(found)
        return ready.get("reason") == "Synced" and (part in ready["message"]) is not not_said

    return str(ready_of(await api.until("ExternalSecret", home, "some", settled))["message"])


@pytest.mark.parametrize("first", ["they", "we"])
async def test_co_owner_of_a_label_is_reported_before_it_blocks_a_new_value(
    admin: CloudAdmin, api: Api, home: str, running: Running, first: str
) -> None:
    theirs = {"labels": {"user": "alice"}, "annotations": {"example.org/note": "alice"}}
    await post_as(api, "kubectl-create", secret("host", {"theirs": "x"}), home)
    async with running():
        if first == "they":
            await apply(api, home, **theirs)
        await api.put(templated({"data": {"a": "b"}, "metadata": LABELS}, **MERGE), home)
        await api.until_ready(home, "some", "Synced")
        if first == "we":
            await said(api, home, "as well", not_said=True)
            await apply(api, home, **theirs)
        shared = "gitops sets annotation example.org/note, label user as well, to the same value"
        message = await said(api, home, shared)
        assert "secret-sync-merge" not in message
        await admin.put_secret("templates/user", "bob")
        await force_sync(api, home, "some", "now")
        condition = await api.until_ready(home, "some", "KeyConflict")
        named = "gitops set another value for annotation example.org/note, label user"
        assert named in condition["message"]
        found = await api.get("Secret", home, "host")
        assert metadata_of(found, "labels") == {"user": "alice"}
        # As is advised: they let go of both.
        await apply(api, home)
        await api.until(
            "Secret", home, "host", lambda s: metadata_of(s, "labels") == {"user": "bob"}
        )
        await said(api, home, "as well", not_said=True)
