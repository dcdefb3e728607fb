"""The scripted API server, and a client for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.backoff import Backoff
from secret_sync.kube import ClusterAccess, Informer, KubeClient
from secret_sync.kube import reflector as reflector_module
from secret_sync.kube import watch as watch_module
from secret_sync.kube.kubeconfig import Connection, Login, Server
from tests.unit.kube.fakes import ReflectorRecorder, ScriptedServer
from tests.unit.kube.informing import CONFIG_MAPS, Diary, thing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.unit.kube.informing import ColoredMap


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


@pytest.fixture
async def informer(client: KubeClient, recorder: ReflectorRecorder) -> Informer[ColoredMap]:
    return Informer(client, CONFIG_MAPS, thing, recorder, indexes={"color": lambda t: (t.color,)})


@pytest.fixture
def diary(informer: Informer[ColoredMap]) -> Diary:
    diary = Diary(informer)
    informer.add_handler(diary)
    return diary


@pytest.fixture
async def running(
    informer: Informer[ColoredMap], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], None]]:
    monkeypatch.setattr(watch_module, "TOO_SHORT", 0.0)
    monkeypatch.setattr(reflector_module, "BACKOFF", Backoff(base=1e-6))
    tasks: list[asyncio.Task[None]] = []
    yield lambda: tasks.append(asyncio.create_task(informer.run()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
