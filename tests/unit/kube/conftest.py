"""The scripted API server, and a client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from secret_sync.kube import ClusterAccess, KubeClient
from secret_sync.kube.kubeconfig import Connection, Login, Server
from tests.unit.kube.fakes import ReflectorRecorder, ScriptedServer

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
async def access(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[ClusterAccess]:
    """To the scripted server; the token is in a file beside it.

    A kubeconfig would not do: without TLS none says who asks.
    """
    (tmp_path / "token").write_text("token-1")

    def read(_: str) -> Connection:
        token = (tmp_path / "token").read_text().strip()
        return Connection(Server(server.url), Login(f"Bearer {token}"))

    access = ClusterAccess(read, "a test")
    await access.open()
    yield access
    await access.close()


@pytest.fixture
async def client(access: ClusterAccess) -> AsyncIterator[KubeClient]:
    async with KubeClient(access) as client:
        yield client


@pytest.fixture
def recorder() -> ReflectorRecorder:
    return ReflectorRecorder()
