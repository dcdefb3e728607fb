"""Taking over from ack-secret-manager: whoever reads the Secret meanwhile notices nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApiUnavailableError, ApplyWriter
from tests.support.operator import external_secret, operator, secret, settings_for, values_of
from tests.support.watching import Watching, editors_of, force_sync, post_as, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

OWNER = "secret-sync.alibabacloud.com/owner"
ADOPT = {"secret-sync.alibabacloud.com/adopt": "true"}
FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
KEPT = "example.org/kept"
PAIR = {"user": "one", "password": "one"}
WITH_STALE = {**PAIR, "stale": "x"}

LABELS = {"lastUpdatedAt": "2024-05-01T08.00.00Z"}
#: What a Secret of each version looks like: its labels, and as whom it was written.
VERSIONS: dict[str, tuple[dict[str, str], str]] = {
    "0.5.x": (LABELS, "ack-secret-manager"),
    "0.5.x by an unknown name": (LABELS, "kms-operator"),
    "0.6.x": ({}, "ack-secret-manager"),
    "0.6.x by its default name": ({}, "manager"),
}


@pytest.fixture
async def theirs(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` as ack-secret-manager leaves it, and another one's finalizer."""
    await admin.put_secrets({"adoption/user": "one", "adoption/password": "one"})
    entries = (
        {"key": "adoption/user", "name": "user"},
        {"key": "adoption/password", "name": "password"},
    )
    document = external_secret("some", *entries)
    document["metadata"]["finalizers"] = [KEPT, FINALIZER]
    return document


async def left_by(api: Api, version: str, home: str, values: dict[str, str], **more: Any) -> Any:
    """The Secret ``some`` as ack-secret-manager leaves it."""
    labels, manager = VERSIONS[version]
    document = secret("some", values, **more)
    document["metadata"]["labels"] = labels
    return await post_as(api, manager, document, home)


async def free(api: Api, home: str) -> None:
    """Takes the last finalizer off, for the namespace to go."""
    await api.merge("ExternalSecret", home, "some", {"metadata": {"finalizers": None}})


def adopted(found: dict[str, Any] | None) -> bool:
    metadata = (found or {}).get("metadata") or {}
    return OWNER in (metadata.get("annotations") or {}) and bool(metadata.get("ownerReferences"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_legacy_secret_is_adopted_without_a_reader_noticing(
    api: Api, home: str, theirs: dict[str, Any], version: str, running: Running
) -> None:
    left = await left_by(api, version, home, WITH_STALE)
    await api.put(theirs, home)
    async with Watching(api, home, "some") as watching:
        async with running():
            await api.until_holds(home, "some", PAIR)
            await api.until_ready(home, "some", "Synced")
            await api.until(
                "ExternalSecret",
                home,
                "some",
                lambda e: (e or {})["metadata"]["finalizers"] == [KEPT],
            )
            await until_reported(api, home, "some", "Synced", "FinalizerRemoved")
        await watching.check(WITH_STALE, PAIR)
    held = await api.get("Secret", home, "some")
    assert adopted(held)
    assert held["metadata"]["uid"] == left["metadata"]["uid"]
    if VERSIONS[version][1] == "kms-operator":
        # Who is not known to be ack-secret-manager keeps what it owns, also beside us.
        assert ("secret-sync", "Apply") in editors_of(held)
    else:
        assert editors_of(held) == {("secret-sync", "Apply")}
    await free(api, home)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_adopted_secret_is_like_any_other_of_ours(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    theirs: dict[str, Any],
    version: str,
) -> None:
    await left_by(api, version, home, PAIR)
    await api.put(theirs, home)
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.until("Secret", home, "some", adopted)
        await api.until_ready(home, "some", "Synced")
        # What is given up, goes; what is new, comes.
        one = {"spec": {"data": theirs["spec"]["data"][:1]}}
        await api.merge("ExternalSecret", home, "some", one)
        await api.until_holds(home, "some", {"user": "one"})
        await admin.put_secret("adoption/user", "two")
        await force_sync(api, home, "some", "now")
        held = await api.until_holds(home, "some", {"user": "two"})
    async with operator(settings) as controller:
        # A restart finds nothing to do.
        await api.until(
            "Secret",
            home,
            "some",
            lambda _: controller._metrics.syncs.labels("unchanged").value > 0,
        )
        found = await api.get("Secret", home, "some")
        assert found["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    await free(api, home)


async def test_legacy_secret_stays_until_all_values_are_there(
    admin: CloudAdmin, api: Api, home: str, theirs: dict[str, Any], running: Running
) -> None:
    left = await left_by(api, "0.6.x", home, WITH_STALE)
    await admin.put_secret("adoption/password", "two")
    await admin.update("adoption/password", forbidden=True)
    await api.put(theirs, home)
    try:
        async with (
            Watching(api, home, "some") as watching,
            running(),
        ):
            await api.until_ready(home, "some", "Forbidden")
            assert await api.get("Secret", home, "some") == left
            found = await api.get("ExternalSecret", home, "some")
            assert FINALIZER in found["metadata"]["finalizers"]
            await admin.update("adoption/password", forbidden=False)
            await force_sync(api, home, "some", "now")
            new = {**PAIR, "password": "two"}
            await api.until_holds(home, "some", new)
            await watching.check(WITH_STALE, {**new, "stale": "x"}, new)
    finally:
        await admin.update("adoption/password", forbidden=False)
    await free(api, home)


async def test_an_adoption_that_is_interrupted_is_finished(
    cluster: ControlPlane,
    cloud: CloudInfo,
    api: Api,
    home: str,
    theirs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def transfer_field_ownership(*_: Any) -> Any:
        raise ApiUnavailableError("away")

    await left_by(api, "0.6.x", home, WITH_STALE)
    await api.put(theirs, home)
    settings = settings_for(cluster, cloud, home)
    async with Watching(api, home, "some") as watching:
        with monkeypatch.context() as patched:
            patched.setattr(ApplyWriter, "transfer_field_ownership", transfer_field_ownership)
            async with operator(settings):
                await api.until("Secret", home, "some", adopted)
        async with operator(settings):
            await api.until_holds(home, "some", PAIR)
            await api.until_ready(home, "some", "Synced")
            one = {"spec": {"data": theirs["spec"]["data"][:1]}}
            await watching.check(WITH_STALE, PAIR)
            await api.merge("ExternalSecret", home, "some", one)
            held = await api.until_holds(home, "some", {"user": "one"})
            assert editors_of(held) == {("secret-sync", "Apply")}
    await free(api, home)


async def test_secret_of_another_type_is_reported_and_not_recreated(
    api: Api, home: str, theirs: dict[str, Any], running: Running
) -> None:
    left = await left_by(api, "0.6.x", home, WITH_STALE, type="example.org/pair")
    await api.put(theirs, home)
    async with running():
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert "spec.type" in condition["message"]
        assert await api.get("Secret", home, "some") == left
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "example.org/pair"}})
        held = await api.until_holds(home, "some", PAIR)
        assert held["metadata"]["uid"] == left["metadata"]["uid"]
    await free(api, home)


@pytest.mark.parametrize("target", [{}, {"name": "taken"}], ids=["of its name", "of another name"])
async def test_the_author_of_the_object_may_say_that_a_secret_is_to_be_taken_over(
    api: Api, home: str, theirs: dict[str, Any], target: dict[str, str], running: Running
) -> None:
    name = target.get("name", "some")
    before = {"password": "old", "theirs": "x"}
    left = await api.put(secret(name, before), home)
    theirs["spec"]["target"] = target
    theirs["metadata"] = {"name": "some", "annotations": dict.fromkeys(ADOPT, "no")}
    async with (
        Watching(api, home, name) as watching,
        running(),
    ):
        await api.put(theirs, home)
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert 'secret-sync.alibabacloud.com/adopt: "true"' in condition["message"]
        assert await api.get("Secret", home, name) == left
        await api.merge("ExternalSecret", home, "some", {"metadata": {"annotations": ADOPT}})
        held = await api.until_holds(home, name, PAIR)
        assert adopted(held)
        assert held["metadata"]["uid"] == left["metadata"]["uid"]
        await api.until_ready(home, "some", "Synced")
        await watching.check(before, {**PAIR, "theirs": "x"}, PAIR)


@pytest.mark.parametrize("claim", ["by its finalizer", "by the annotation"])
async def test_a_secret_that_has_a_controller_is_never_adopted(
    api: Api, home: str, theirs: dict[str, Any], claim: str, running: Running
) -> None:
    # The garbage collector looks whether there is such an owner.
    owner = await api.put(secret("owner", {}), home)
    reference = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    document = secret("some", WITH_STALE)
    document["metadata"] |= {"labels": LABELS, "ownerReferences": [reference]}
    left = await post_as(api, "ack-secret-manager", document, home)
    if claim == "by the annotation":
        theirs["metadata"] = {"name": "some", "annotations": ADOPT}
    await api.put(theirs, home)
    async with running():
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert f"Secret {home}/some belongs to Secret owner" in condition["message"]
        assert await api.get("Secret", home, "some") == left
        assert values_of(left) == WITH_STALE
    await free(api, home)
