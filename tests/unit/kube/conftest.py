"""The scripted API server, and a client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.kube import ClusterAccess, KubeClient
from tests.unit.kube.scripted import Recorder, ScriptedServer, kubeconfig_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def kubeconfig(server: ScriptedServer, tmp_path: Path) -> Path:
    """For the scripted server; the token is in a file beside it."""
    (tmp_path / "token").write_text("token-1")
    path = tmp_path / "config"
    path.write_text(kubeconfig_text(server.url, tokenFile=str(tmp_path / "token")))
    return path


@pytest.fixture
async def access(kubeconfig: Path) -> ClusterAccess:
    return await ClusterAccess.find(str(kubeconfig))


@pytest.fixture
async def client(access: ClusterAccess) -> AsyncIterator[KubeClient]:
    async with KubeClient(access) as client:
        yield client


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
