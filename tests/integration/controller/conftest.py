"""The controller on the real API server, with the local Alibaba Cloud beside it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import KubeClient
from tests.support.blocking import blocking_fails
from tests.support.controlplane import apart
from tests.support.fleet import fleet_of
from tests.support.operator import Api, install_crds, operator, running_cloud, settings_for
from tests.support.watching import Watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from secret_sync.app import Controller
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.fleet import Fleet
    from tests.support.operator import Running
    from tests.support.watching import Synced


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The shared control plane, with our kinds."""
    install_crds(control_plane)
    # So that what goes with its owner goes at once.
    apart(control_plane.learn_kinds())
    return control_plane


@pytest.fixture
def breakable_cluster(breakable_control_plane: ControlPlane) -> ControlPlane:
    """The control plane that may be broken, with our kinds."""
    install_crds(breakable_control_plane)
    return breakable_control_plane


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    """Shared: use secret names of your own, and set faults for those names only."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
def own_cloud(tmp_path: Path) -> Iterator[CloudInfo]:
    """For tests that change the cloud as a whole."""
    with running_cloud(tmp_path) as info:
        yield info


@pytest.fixture
async def api(cluster: ControlPlane) -> AsyncIterator[Api]:
    async with Api(cluster) as client:
        yield client


@pytest.fixture
def running(cluster: ControlPlane, cloud: CloudInfo, home: str) -> Running:
    """The controller for the namespace of the test, with the settings that are given."""

    def run(*, ready: bool = True, **settings: Any) -> AbstractAsyncContextManager[Controller]:
        return operator(settings_for(cluster, cloud, home, **settings), ready=ready)

    return run


@pytest.fixture
def synced(running: Running, api: Api, home: str) -> Synced:
    """The controller with this object, synced; gives the watch of its Secret from then on."""

    @asynccontextmanager
    async def run(
        document: dict[str, Any], *, watch: str = "", **settings: Any
    ) -> AsyncIterator[Watching]:
        name = document["metadata"]["name"]
        async with running(**settings):
            await api.put(document, home)
            await api.until_ready(home, name, "Synced")
            async with Watching(api, home, watch or name) as watching:
                yield watching

    return run


@pytest.fixture
async def fleet(api: Api, namespace: str, cloud: CloudInfo) -> AsyncIterator[Fleet]:
    """Namespaces for ClusterExternalSecrets, with a store for all of them."""
    async with fleet_of(api, namespace, cloud) as made:
        yield made


@pytest.fixture
async def key(admin: CloudAdmin, namespace: str) -> str:
    """Of a KMS secret that holds ``one``."""
    await admin.put_secret(f"fleet/{namespace}", "one")
    return f"fleet/{namespace}"


@pytest.fixture
def everywhere(cluster: ControlPlane, cloud: CloudInfo) -> Any:
    """The controller for all namespaces."""

    def run(**more: Any) -> AbstractAsyncContextManager[Controller]:
        return operator(settings_for(cluster, cloud, **more))

    return run


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every unary request of the controllers in this process: ``METHOD path``."""
    seen: list[str] = []
    send = KubeClient.request

    async def request(client: KubeClient, method: str, path: str, **more: Any) -> Any:
        seen.append(f"{method} {path}")
        return await send(client, method, path, **more)

    monkeypatch.setattr(KubeClient, "request", request)
    return seen


@pytest.fixture(scope="module", autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    """As for every test, but the kubeconfig is read in a loop of its own, in a thread."""
    with blocking_fails("secret_sync.local", "secret_sync.kube.access"):
        yield
