"""A cluster of its own, which ack-secret-manager's definitions came to first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.integration.migration.ack import (
    Ack,
    install_definitions,
    put_objects,
    remove_objects,
    until_definitions,
)
from tests.integration.migration.shell import Shell, steps
from tests.support.blocking import blocking_fails
from tests.support.controlplane import apart, fresh_namespace
from tests.support.operator import Api, running_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.migration.ack import Version
    from tests.support.controlplane import StartPlane


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest, start_plane: StartPlane) -> Iterator[ControlPlane]:
    with start_plane(request) as started:
        apart(_begin(started))
        yield started


async def _begin(plane: ControlPlane) -> None:
    async with Api(plane) as api:
        await install_definitions(api, "0.6")


@pytest.fixture
def shell(plane: ControlPlane, tmp_path: Path) -> Shell:
    """What a person has who follows the document: the folder, kubectl and secret-sync."""
    return Shell.of_reader(plane, tmp_path)


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    async with Api(plane) as client:
        yield client


@pytest.fixture
def home(plane: ControlPlane) -> Iterator[str]:
    """A new namespace."""
    yield from fresh_namespace(plane)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture(scope="module", autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    """As for the controller's own tests, whose kubeconfig is read in a thread."""
    with blocking_fails("secret_sync.local", "secret_sync.kube.access"):
        yield


class Populate(Protocol):
    """Makes a namespace in which ack-secret-manager has synced these values."""

    async def __call__(self, version: Version, values: Mapping[str, str], **more: Any) -> Ack: ...


@pytest.fixture
async def populate(
    plane: ControlPlane, api: Api, home: str, cloud: CloudInfo, admin: CloudAdmin, shell: Shell
) -> AsyncIterator[Populate]:
    """With the older definitions first, and then ours over them, as the document has it."""
    await admin.put_secrets({"migration/user": "shop", "migration/password": "correct horse"})

    async def make(version: Version, values: Mapping[str, str], **more: Any) -> Ack:
        await install_definitions(api, version)
        await until_definitions(api, home, "refreshPolicy", there=False)
        await put_objects(api, cloud, home)
        ack = Ack(api, version, home, **more)
        await ack.visit_store("store")
        await ack.poll("database", values)
        for step in steps("install"):
            await shell.follow(step)
        await until_definitions(api, home, "refreshPolicy", there=True)
        return ack

    yield make
    await remove_objects(api, home)
