"""Metadata that others set on a Secret survives its recreation, and stays theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApiUnavailableError, ApplyWriter
from tests.support.operator import (
    external_secret,
    operator,
    secret,
    settings_for,
    values_of,
    version_of,
)
from tests.support.watching import Watching, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

ONE, TWO = {"password": "one"}, {"password": "two"}
MANAGED = {"app.kubernetes.io/managed-by": "secret-sync"}
LABELS = {"argocd.argoproj.io/secret-type": "repository"}
NOTE = {"replicator.v1.mittwald.de/replicate-to": "other"}
LAST_APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"password":"b25l"}}'}
OWNER = "secret-sync.alibabacloud.com/owner"
KEPT = "example.org/kept"


@pytest.fixture
def settings(cluster: ControlPlane, cloud: CloudInfo, home: str) -> Settings:
    return settings_for(cluster, cloud, home)


@pytest.fixture
async def some(admin: CloudAdmin) -> dict[str, Any]:
    await admin.put_secret("carried/one", "one")
    entry = {"key": "carried/one", "name": "password"}
    return external_secret("some", entry, target={"immutable": True})


async def reference_to(api: Api, home: str, *, controller: bool) -> dict[str, Any]:
    """Of a Secret that exists: the garbage collector looks."""
    owner = await api.put(secret("owner", {}), home)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
        **({"controller": True} if controller else {}),
    }


async def spoken_of(api: Api, home: str) -> dict[str, Any]:
    """Secret ``some`` after others said something of it."""
    found = await api.get("Secret", home, "some")
    references = [
        *found["metadata"]["ownerReferences"],
        await reference_to(api, home, controller=False),
    ]
    said = {"labels": LABELS, "annotations": NOTE | LAST_APPLIED, "ownerReferences": references}
    return await api.merge("Secret", home, "some", {"metadata": said})


def carried(found: dict[str, Any] | None) -> bool:
    metadata = (found or {})["metadata"]
    return (
        metadata.get("labels") == LABELS | MANAGED
        and metadata["annotations"].keys() == {*NOTE, OWNER}
        and sorted(r["name"] for r in metadata["ownerReferences"]) == ["owner", "some"]
    )


def owned_by(found: dict[str, Any], manager: str) -> set[str]:
    """What a field manager owns of the labels, annotations and ownerReferences."""
    return {
        field
        for entry in found["metadata"]["managedFields"]
        if entry["manager"] == manager
        for below in entry["fieldsV1"].get("f:metadata", {}).values()
        for field in below
        if field != "."
    }


async def given_back(api: Api, home: str) -> dict[str, Any]:
    """Waits for nothing of what others say to be secret-sync's."""
    said = {f"f:{name}" for name in LABELS | NOTE}
    return await api.until(
        "Secret", home, "some", lambda s: not said & owned_by(s or {}, "secret-sync")
    )


async def rotate(api: Api, admin: CloudAdmin, home: str, value: str) -> dict[str, Any]:
    await admin.put_secret("carried/one", value)
    await force_sync(api, home, "some", value)
    await api.until_holds(home, "some", {"password": value})
    await api.until_ready(home, "some", "Synced")
    return await given_back(api, home)


async def test_each_rotation_of_an_immutable_secret(
    api: Api, admin: CloudAdmin, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        before = await spoken_of(api, home)
        async with Watching(api, home, "some") as watching:
            for value in ("two", "three"):
                after = await rotate(api, admin, home, value)
                assert after["metadata"]["uid"] != before["metadata"]["uid"]
                assert carried(after)
                theirs = owned_by(after, "kubectl-edit")
                assert {f"f:{name}" for name in LABELS | NOTE} <= theirs
                assert owned_by(after, "secret-sync") == {
                    *(f"f:{name}" for name in (OWNER, *MANAGED)),
                    *(f for f in owned_by(before, "secret-sync") if f.startswith("k:")),
                }
            await watching.check(ONE, TWO, {"password": "three"}, absences=2)
            # Whoever looks sees all of it at once.
            there = [f for f in watching.history[1:] if f is not None]
            assert all(carried(f) for f in there)
        # What they withdraw is gone for good.
        await api.merge("Secret", home, "some", {"metadata": {"labels": None}})
        after = await rotate(api, admin, home, "four")
        assert after["metadata"]["labels"] == MANAGED
    async with operator(settings):
        await api.until_ready(home, "some", "Synced")
        found = await rotate(api, admin, home, "five")
        assert found["metadata"]["annotations"].keys() == {*NOTE, OWNER}


async def test_a_change_of_type(
    api: Api, admin: CloudAdmin, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    del some["spec"]["target"]
    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        await spoken_of(api, home)
        await api.merge(
            "ExternalSecret", home, "some", {"spec": {"type": "kubernetes.io/basic-auth"}}
        )
        changed = await api.until(
            "Secret", home, "some", lambda s: (s or {}).get("type") == "kubernetes.io/basic-auth"
        )
        assert carried(changed)
        # The next apply is not the end of it.
        after = await rotate(api, admin, home, "two")
        assert carried(after)
        assert after["metadata"]["uid"] == changed["metadata"]["uid"]


async def test_a_failure_between_the_two_writes(
    api: Api,
    admin: CloudAdmin,
    home: str,
    settings: Settings,
    some: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: Any) -> Any:
        raise ApiUnavailableError("away")

    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        await spoken_of(api, home)
        with monkeypatch.context() as patched:
            patched.setattr(ApplyWriter, "set_managed_fields", away)
            await admin.put_secret("carried/one", "two")
            await force_sync(api, home, "some", "two")
            assert carried(await api.until_holds(home, "some", TWO))
        await api.until_ready(home, "some", "Synced", within=30)
        assert carried(await rotate(api, admin, home, "three"))


async def test_a_restart_between_the_two_writes(
    api: Api,
    admin: CloudAdmin,
    home: str,
    settings: Settings,
    some: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(*_: Any) -> Any:
        raise ApiUnavailableError("away")

    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        await spoken_of(api, home)
        monkeypatch.setattr(ApplyWriter, "set_managed_fields", away)
        await admin.put_secret("carried/one", "two")
        await force_sync(api, home, "some", "two")
        assert carried(await api.until_holds(home, "some", TWO))
    monkeypatch.undo()
    async with operator(settings):
        # Who said it is not known any more; it stays all the same.
        assert carried(await given_back(api, home))
        assert carried(await rotate(api, admin, home, "three"))


async def test_secret_that_waits_for_a_finalizer_is_left(
    api: Api, admin: CloudAdmin, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        await spoken_of(api, home)
        await api.merge("Secret", home, "some", {"metadata": {"finalizers": [KEPT]}})
        await admin.put_secret("carried/one", "two")
        await force_sync(api, home, "some", "two")
        await api.until(
            "Secret", home, "some", lambda s: "deletionTimestamp" in (s or {})["metadata"]
        )
        await api.merge("Secret", home, "some", {"metadata": {"finalizers": None}})
        held = await api.until_holds(home, "some", TWO)
        assert carried(held)
        assert "finalizers" not in held["metadata"]


@pytest.mark.parametrize("target", [{}, {"immutable": True}], ids=["in place", "recreated"])
async def test_another_controller_is_named_and_rotations_still_arrive(
    api: Api,
    admin: CloudAdmin,
    home: str,
    settings: Settings,
    some: dict[str, Any],
    target: dict[str, Any],
) -> None:
    some["spec"]["target"] = target
    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        other = await reference_to(api, home, controller=True)
        await api.merge("Secret", home, "some", {"metadata": {"ownerReferences": [other]}})

        def named(found: dict[str, Any] | None) -> bool:
            conditions = ((found or {}).get("status") or {}).get("conditions") or [{}]
            return "its controller is Secret owner" in conditions[0].get("message", "")

        await api.until("ExternalSecret", home, "some", named)
        ours: list[dict[str, Any]] = []
        for value in ("two", "three"):
            after = await rotate(api, admin, home, value)
            references = {r["name"]: r for r in after["metadata"]["ownerReferences"]}
            assert references["owner"]["controller"] is True
            assert not references["some"].get("controller")
            ours = [references["some"]]
        await api.until("ExternalSecret", home, "some", named)

        # It is ours again as soon as the other one lets go of it.
        await api.merge("Secret", home, "some", {"metadata": {"ownerReferences": ours}})
        after = await rotate(api, admin, home, "four")
        await api.until("ExternalSecret", home, "some", lambda e: not named(e))
        assert [r["name"] for r in after["metadata"]["ownerReferences"]] == ["some"]
        assert after["metadata"]["ownerReferences"][0]["controller"] is True


async def test_other_controller_is_named_under_retain(
    api: Api, admin: CloudAdmin, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    some["spec"]["target"] = {"deletionPolicy": "Retain"}
    async with operator(settings):
        await api.put(some, home)
        await api.until_ready(home, "some", "Synced")
        other = await reference_to(api, home, controller=True)
        reported = await api.merge(
            "Secret", home, "some", {"metadata": {"ownerReferences": [other]}}
        )
        await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda e: "Secret owner" in (e or {})["status"]["conditions"][0]["message"],
        )
        assert version_of(await api.get("Secret", home, "some")) == version_of(reported)
        assert values_of(await rotate(api, admin, home, "two")) == TWO
