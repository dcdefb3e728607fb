"""The program as people call it, on the real API server, with Secrets of a real controller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import Done
from tests.support.controlplane import fresh_namespace
from tests.support.operator import Api, install_crds, running_cloud
from tests.support.program import PROGRAM, environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.commands import Cli


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The shared control plane, with our kinds."""
    install_crds(control_plane)
    return control_plane


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
async def api(cluster: ControlPlane) -> AsyncIterator[Api]:
    async with Api(cluster) as client:
        yield client


@pytest.fixture
def elsewhere(cluster: ControlPlane) -> Iterator[str]:
    """Another namespace, without anything in it."""
    yield from fresh_namespace(cluster)


@pytest.fixture
def cli(cluster: ControlPlane) -> Cli:
    async def run(*arguments: str, **more: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            *arguments,
            env=environment({"KUBECONFIG": str(cluster.kubeconfig), **more}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run
