"""Two installations in one cluster, as docs/install.md has the second one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.deploy.installs import path_of
from tests.integration.deploy.person import fenced
from tests.integration.deploy.rights import Right, may
from tests.support.controlplane import fresh_namespace
from tests.support.documentation import ROOT
from tests.support.kustomize import COMPONENTS, OVERLAYS, environment, write
from tests.support.operator import external_secret, operator, put_store, store, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.deploy.conftest import AsAccount
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/secret-sync"
#: The place of each: namespace, and name of its ServiceAccount.
FIRST = ("secret-sync-system", "secret-sync")
SECOND = ("secret-sync-blue", "secret-sync-blue")


def of_document() -> str:
    """The kustomization of the document that has a suffix."""
    texts = (fenced("yaml kustomization", number) for number in range(20))
    return next(text for text in texts if "nameSuffix" in text)


@pytest.fixture
def second_home(plane: ControlPlane) -> Iterator[str]:
    """A namespace of the second installation."""
    yield from fresh_namespace(plane)


@pytest.fixture
def folders(tmp_path: Path, second_home: str) -> tuple[Path, Path]:
    """Two kustomizations; the second one is for the namespace."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    first = write(tmp_path / "first", resources=[OVERLAYS / "rrsa"], components=[COMPONENTS / "ha"])
    second = tmp_path / "my-cluster"
    second.mkdir()
    text = of_document().replace("value: blue\n", f"value: {second_home}\n")
    (second / "kustomization.yaml").write_text(text)
    return first, second


async def objects_of(kubectl: Kubectl, *folders: Path) -> list[list[dict[str, Any]]]:
    return [await asyncio.to_thread(kubectl.render, folder) for folder in folders]


async def test_two_installations_have_no_object_in_common(
    kubectl: Kubectl, folders: tuple[Path, Path], second_home: str
) -> None:
    first, second = await objects_of(kubectl, *folders)
    assert set(map(path_of, first)).isdisjoint(map(path_of, second))
    assert {o["metadata"].get("namespace", SECOND[0]) for o in second} == {SECOND[0]}
    for item in second:
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == SECOND[0]
        # Each binding binds its own roles to its own account.
        if item["kind"].endswith("Binding"):
            assert item["roleRef"]["name"].endswith("-blue")
            (subject,) = item["subjects"]
            assert (subject["namespace"], subject["name"]) == SECOND
    assert environment(second)["SECRET_SYNC_WATCH_NAMESPACES"] == second_home


async def test_two_installations_work_side_by_side(  # noqa: PLR0913, PLR0917 (a whole cluster)
    api: Api,
    kubectl: Kubectl,
    folders: tuple[Path, Path],
    home: str,
    second_home: str,
    admin: CloudAdmin,
    cloud: CloudInfo,
    as_account: AsAccount,
) -> None:
    _, second = folders
    for folder in folders:
        await asyncio.to_thread(kubectl.apply, folder)
    await put_store(api, cloud, second_home)
    settings = [
        replace(
            await as_account(*account, watched),
            leader_elect=True,
            leader_elect_namespace=account[0],
        )
        for account, watched in ((FIRST, home), (SECOND, second_home))
    ]
    await admin.put_secret("two/one", "one")
    async with operator(settings[1]):
        async with operator(settings[0]):
            for place in (home, second_home):
                await api.put(external_secret("some", {"key": "two/one", "name": "x"}), place)
                await api.until_ready(place, "some", "Synced")
            before = [await api.get("Secret", place, "some") for place in (home, second_home)]
            # Both lead, each by a Lease of its own.
            leases = [await api.request("GET", LEASES.format(a[0])) for a in (FIRST, SECOND)]
            assert [status for status, _ in leases] == [200, 200]
            holders = {lease["spec"]["holderIdentity"] for _, lease in leases}
            assert len(holders - {""}) == 2
            # What both check is written by each of them once, whoever is right.
            shared = {**store(f"two-{home}", namespace=home), "kind": "ClusterSecretStore"}
            await api.put(shared, "")
            await asyncio.sleep(2)
            checked = version_of(await api.get("ClusterSecretStore", "", f"two-{home}"))
            await asyncio.sleep(2)
            found = await api.get("ClusterSecretStore", "", f"two-{home}")
            assert version_of(found) == checked
            assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
            await api.delete("ClusterSecretStore", "", f"two-{home}")
            after = [await api.get("Secret", place, "some") for place in (home, second_home)]
            assert list(map(version_of, after)) == list(map(version_of, before))
        # Without the first one, the second one goes on, and leaves the other's alone.
        await admin.put_secret("two/one", "two")
        force = {"metadata": {"annotations": {"secret-sync.alibabacloud.com/force-sync": "2"}}}
        for place in (home, second_home):
            await api.merge("ExternalSecret", place, "some", force)
        await api.until_holds(second_home, "some", {"x": "two"})
        await asyncio.sleep(0.5)
        assert version_of(await api.get("Secret", home, "some")) == version_of(before[0])

    await asyncio.to_thread(kubectl.delete, second)
    secrets = Right("", "secrets", "list")
    assert await may(api, "system:serviceaccount:{}:{}".format(*FIRST), secrets, "")
    assert not await may(api, "system:serviceaccount:{}:{}".format(*SECOND), secrets, "")
    async with operator(settings[0]):
        await api.until_holds(home, "some", {"x": "two"})
