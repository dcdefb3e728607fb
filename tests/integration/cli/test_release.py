"""Whatever is deleted after a release: the Secrets stay as they are."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import (
    external_secret,
    operator,
    put_store,
    secret,
    settings_for,
    values_of,
)

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.commands import Cli
    from tests.support.operator import Api

MANAGED_BY = "app.kubernetes.io/managed-by"
OWNER = "secret-sync.alibabacloud.com/owner"
ONE = {"password": "one", "user": "one"}


def example(name: str, **spec: Any) -> dict[str, Any]:
    entry = {"key": "release/one"}
    return external_secret(name, {**entry, "name": "password"}, {**entry, "name": "user"}, **spec)


@pytest.fixture
async def one(admin: CloudAdmin) -> None:
    """What the examples ask for."""
    await admin.put_secret("release/one", "one")


@pytest.fixture
async def made(cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, one: None) -> str:
    """A namespace with the Secrets ``opaque`` and ``typed`` of a controller that has stopped."""
    async with operator(settings_for(cluster, cloud, home)):
        await api.put(example("opaque"), home)
        await api.put(example("typed", type="example.org/some"), home)
        await api.until_ready(home, "opaque", "Synced")
        await api.until_ready(home, "typed", "Synced")
    await api.merge("Secret", home, "opaque", {"metadata": {"labels": {"team": "a"}}})
    return home


def without_marks(stored: dict[str, Any]) -> dict[str, Any]:
    """All of a Secret but what a release may change."""
    metadata = dict(stored["metadata"])
    for mark in ("ownerReferences", "resourceVersion", "managedFields"):
        metadata.pop(mark, None)
    annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k != OWNER}
    labels = {k: v for k, v in metadata.pop("labels", {}).items() if k != MANAGED_BY}
    return {**stored, "metadata": metadata, "annotations": annotations, "labels": labels}


def managers(stored: dict[str, Any]) -> set[str]:
    return {entry["manager"] for entry in stored["metadata"]["managedFields"]}


async def test_secrets_stay_byte_for_byte_when_their_external_secrets_are_deleted(
    cluster: ControlPlane,
    cloud: CloudInfo,
    api: Api,
    made: str,
    elsewhere: str,
    cli: Cli,
) -> None:
    await put_store(api, cloud, elsewhere)
    async with operator(settings_for(cluster, cloud, elsewhere)):
        await api.put(example("not-released"), elsewhere)
        await api.until_ready(elsewhere, "not-released", "Synced")
    before = [await api.get("Secret", made, name) for name in ("opaque", "typed")]

    done = await cli("release", "--keep-secrets", "-n", made, "--yes")
    assert (done.code, done.err) == (0, "")
    assert set(done.out.splitlines()) == {
        f"released {made}/opaque",
        f"released {made}/typed",
        "2 Secrets released",
    }
    after = [await api.get("Secret", made, name) for name in ("opaque", "typed")]
    assert [without_marks(s) for s in after] == [without_marks(s) for s in before]
    assert [values_of(s) for s in after] == [ONE, ONE]
    for stored in after:
        assert "ownerReferences" not in stored["metadata"]
        assert "annotations" not in stored["metadata"]
        assert MANAGED_BY not in stored["metadata"].get("labels", {})
        assert "secret-sync" not in managers(stored)

    for namespace, name in ((made, "opaque"), (made, "typed"), (elsewhere, "not-released")):
        await api.delete("ExternalSecret", namespace, name)
    # Once this one is gone the garbage collector has been at work.
    await api.until("Secret", elsewhere, "not-released", lambda s: s is None, within=60)
    assert [await api.get("Secret", made, name) for name in ("opaque", "typed")] == after


async def test_second_run_changes_nothing(api: Api, made: str, cli: Cli) -> None:
    await cli("release", "--keep-secrets", "-n", made, "--yes")
    before = await api.get("Secret", made, "opaque")
    done = await cli("release", "--keep-secrets", "-n", made, "--yes")
    assert done.code == 0
    assert done.out == f"secret-sync manages no Secret in namespace {made}; nothing to release\n"
    assert await api.get("Secret", made, "opaque") == before


async def test_dry_run_changes_nothing(api: Api, made: str, cli: Cli) -> None:
    before = await api.get("Secret", made, "opaque")
    done = await cli("release", "--keep-secrets", "--all-namespaces", "--dry-run")
    assert f"would release {made}/opaque\n" in done.out
    assert await api.get("Secret", made, "opaque") == before


async def test_release_without_yes_needs_a_terminal(api: Api, made: str, cli: Cli) -> None:
    before = await api.get("Secret", made, "opaque")
    done = await cli("release", "--keep-secrets", "-n", made)
    assert (done.code, done.out) == (2, "")
    assert "--yes" in done.err
    assert await api.get("Secret", made, "opaque") == before


async def test_unmanaged_secret_is_not_touched(api: Api, home: str, cli: Cli) -> None:
    """Not even if it looks managed; Secrets that will be deleted nevertheless are reported."""
    await api.put(secret("plain", {"a": "b"}), home)
    copied = secret("copied", {"a": "b"})
    copied["metadata"]["annotations"] = {OWNER: "some/1234"}
    await api.put(copied, home)
    owner = await api.put(external_secret("some", {"key": "a"}), home)
    owned = secret("owned", {"a": "b"})
    owned["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": "ExternalSecret",
            "name": "some",
            "uid": owner["metadata"]["uid"],
        }
    ]
    await api.put(owned, home)
    names = ("plain", "copied", "owned")
    before = [await api.get("Secret", home, name) for name in names]

    done = await cli("release", "--keep-secrets", "-n", home, "--yes")
    assert done.code == 1
    assert "nothing to release" in done.out
    assert done.err.count("\n") == 1
    assert f"{home}/owned is skipped" in done.err
    assert "ExternalSecret some" in done.err
    assert [await api.get("Secret", home, name) for name in names] == before


async def test_references_and_annotations_of_others_stay(api: Api, made: str, cli: Cli) -> None:
    store = await api.get("SecretStore", made, "store")
    theirs = {
        "apiVersion": store["apiVersion"],
        "kind": "SecretStore",
        "name": "store",
        "uid": store["metadata"]["uid"],
    }
    stored = await api.get("Secret", made, "opaque")
    references = [*stored["metadata"]["ownerReferences"], theirs]
    metadata = {"ownerReferences": references, "annotations": {"team": "a"}}
    await api.merge("Secret", made, "opaque", {"metadata": metadata})

    assert (await cli("release", "--keep-secrets", "-n", made, "--yes")).code == 0
    after = (await api.get("Secret", made, "opaque"))["metadata"]
    assert after["ownerReferences"] == [theirs]
    assert after["annotations"] == {"team": "a"}
    assert "kubectl-edit" in {entry["manager"] for entry in after["managedFields"]}


async def test_secret_without_the_annotation_is_released_too(api: Api, made: str, cli: Cli) -> None:
    await api.merge("Secret", made, "opaque", {"metadata": {"annotations": {OWNER: None}}})
    done = await cli("release", "--keep-secrets", "-n", made, "--yes")
    assert f"released {made}/opaque\n" in done.out
    assert "ownerReferences" not in (await api.get("Secret", made, "opaque"))["metadata"]


async def test_immutable_secret_is_released(api: Api, made: str, cli: Cli) -> None:
    await api.merge("Secret", made, "opaque", {"immutable": True})
    assert (await cli("release", "--keep-secrets", "-n", made, "--yes")).code == 0
    after = await api.get("Secret", made, "opaque")
    assert after["immutable"] is True
    assert "ownerReferences" not in after["metadata"]


async def test_controller_that_still_runs_is_noticed(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, made: str, cli: Cli
) -> None:
    async with operator(settings_for(cluster, cloud, made)):
        done = await cli("release", "--keep-secrets", "-n", made, "--yes")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "a controller is still running" in done.err
    assert f"{made}/opaque" in done.err


async def test_new_install_leaves_a_released_secret_alone(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, made: str, cli: Cli
) -> None:
    await cli("release", "--keep-secrets", "-n", made, "--yes")
    released = await api.get("Secret", made, "opaque")
    async with operator(settings_for(cluster, cloud, made)):
        await api.until_ready(made, "opaque", "SecretConflict")
        assert await api.get("Secret", made, "opaque") == released
        # Also if the ExternalSecret is recreated.
        await api.delete("ExternalSecret", made, "opaque")
        await api.put(example("opaque"), made)
        await api.until_ready(made, "opaque", "SecretConflict")
        assert await api.get("Secret", made, "opaque") == released


async def test_new_install_adopts_a_released_secret_on_request(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, made: str, cli: Cli
) -> None:
    await cli("release", "--keep-secrets", "-n", made, "--yes")
    released = await api.get("Secret", made, "opaque")
    async with operator(settings_for(cluster, cloud, made)):
        await api.until_ready(made, "opaque", "SecretConflict")
        annotations = {"secret-sync.alibabacloud.com/adopt": "true"}
        await api.merge(
            "ExternalSecret", made, "opaque", {"metadata": {"annotations": annotations}}
        )
        await api.until_ready(made, "opaque", "Synced")
        adopted = await api.get("Secret", made, "opaque")
        assert adopted["metadata"]["uid"] == released["metadata"]["uid"]
        assert adopted["data"] == released["data"]
        assert [ref["name"] for ref in adopted["metadata"]["ownerReferences"]] == ["opaque"]


async def test_another_tool_takes_a_released_secret_over_without_a_conflict(
    cluster: ControlPlane, api: Api, made: str, cli: Cli
) -> None:
    await cli("release", "--keep-secrets", "-n", made, "--yes")
    await kubectl_apply(cluster, secret("opaque", {"password": "two", "user": "two"}), made)
    assert values_of(await api.get("Secret", made, "opaque")) == {"password": "two", "user": "two"}
    # It is the only owner: what it leaves out is gone.
    await kubectl_apply(cluster, secret("opaque", {"password": "three"}), made)
    assert values_of(await api.get("Secret", made, "opaque")) == {"password": "three"}


async def kubectl_apply(plane: ControlPlane, document: dict[str, Any], namespace: str) -> None:
    values = document.pop("stringData")
    document["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
    command = [str(plane.binaries.kubectl), "--kubeconfig", str(plane.kubeconfig), "-n", namespace]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "apply", "--server-side", "-f", "-"],
        input=json.dumps(document).encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


async def test_change_in_between_is_seen_and_kept(api: Api, made: str, cli: Cli) -> None:
    """Somebody labels the Secrets all the time."""
    stop = asyncio.Event()

    async def label() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            labels = {"count": str(count)}
            await api.merge("Secret", made, "opaque", {"metadata": {"labels": labels}})
            await asyncio.sleep(0.05)
        return count

    labelling = asyncio.create_task(label())
    done = await cli("release", "--keep-secrets", "-n", made, "--yes")
    stop.set()
    count = await labelling
    assert (done.code, done.err) == (0, "")
    after = await api.get("Secret", made, "opaque")
    assert after["metadata"]["labels"] == {"team": "a", "count": str(count)}
    assert "ownerReferences" not in after["metadata"]
