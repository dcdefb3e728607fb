"""The controller on the real API server, with the local Alibaba Cloud beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import KubeClient
from tests.support.blocking import blocking_fails
from tests.support.operator import Api, install_crds, running_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The shared control plane, with our kinds."""
    install_crds(control_plane)
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
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every unary request of the controllers in this process: ``METHOD path``."""
    seen: list[str] = []
    send = KubeClient.request

    async def request(client: KubeClient, method: str, path: str, **more: Any) -> Any:
        seen.append(f"{method} {path}")
        return await send(client, method, path, **more)

    monkeypatch.setattr(KubeClient, "request", request)
    return seen


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    """As for every test, but the kubeconfig is read in a loop of its own, in a thread."""
    with blocking_fails("secret_sync.local", "secret_sync.kube.access"):
        yield
