"""A cluster of its own, in which the External Secrets Operator is at work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.integration.migration.shell import Shell
from tests.integration.takeover.eso import HOME, KINDS, Eso, definitions, deployment, path_to
from tests.support.blocking import blocking_fails
from tests.support.controlplane import apart
from tests.support.operator import Api, install_crds, running_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.controlplane import StartPlane

SHOP = "shop"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest, start_plane: StartPlane) -> Iterator[ControlPlane]:
    with start_plane(request) as started:
        install_crds(started)
        apart(_begin(started))
        # So that the garbage collector knows the operator's kinds at once.
        apart(started.learn_kinds())
        yield started


async def _begin(plane: ControlPlane) -> None:
    async with Api(plane) as api:
        for definition in definitions():
            status, body = await api.request("POST", CRDS, definition)
            assert status == 201, body
        for kind in KINDS:
            async with asyncio.timeout(20):
                while (await api.request("GET", path_to(kind, SHOP)))[0] != 200:  # noqa: ASYNC110 (as kubectl does)
                    await asyncio.sleep(0.05)
        for namespace, name in ((HOME, "external-secrets"), ("secret-sync-system", "secret-sync")):
            place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            await api.put(place, "")
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
            status, body = await api.request("POST", path, deployment(name))
            assert status == 201, body


@pytest.fixture
def shell(plane: ControlPlane, tmp_path: Path) -> Shell:
    return Shell.in_folder(plane, tmp_path)


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    async with Api(plane) as client:
        yield client


@pytest.fixture
async def eso(api: Api) -> AsyncIterator[Eso]:
    """In the namespace of the document."""
    await api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}, "")
    yield Eso(api, SHOP)
    for kind in KINDS:
        status, found = await api.request("GET", path_to(kind, SHOP))
        assert status == 200, found
        for item in found["items"]:
            path = path_to(kind, SHOP, item["metadata"]["name"])
            await api.request(
                "PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json"
            )
            await api.request("DELETE", path)
    await api.delete("Namespace", "", SHOP)
    await api.until("Namespace", "", SHOP, lambda found: found is None, within=60)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
async def kms(cloud: CloudInfo) -> AsyncIterator[CloudAdmin]:
    async with CloudAdmin(cloud.admin_url) as admin:
        yield admin


@pytest.fixture(scope="module", autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    """As for the controller's own tests, whose kubeconfig is read in a thread."""
    with blocking_fails("secret_sync.local", "secret_sync.kube.access"):
        yield
