"""A cluster of its own that writes down all requests, and people who install there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.integration.deploy.person import Person
from tests.integration.deploy.releases import copy_tree, make_release
from tests.integration.deploy.synced import Synced
from tests.integration.migration.shell import Shell
from tests.support.controlplane import fresh_namespace
from tests.support.identities import Ram
from tests.support.kustomize import Kubectl
from tests.support.operator import (
    Api,
    external_secret,
    install_crds,
    operator,
    running_cloud,
    settings_for,
)
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings


@pytest.fixture(scope="session")
def plane(audited_control_plane: ControlPlane) -> ControlPlane:
    return audited_control_plane


@pytest.fixture(scope="session")
def kubectl(plane: ControlPlane) -> Kubectl:
    return Kubectl(plane)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
async def ram(plane: ControlPlane, admin: CloudAdmin, cloud: CloudInfo) -> Ram:
    """The RAM of the cloud, where this cluster's tokens count."""
    return await Ram.of(plane, admin, cloud)


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    async with Api(plane) as client:
        yield client


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A new namespace of this cluster."""
    yield from fresh_namespace(plane)


class AsAccount(Protocol):
    """Settings to work as a ServiceAccount, in some namespaces or in all."""

    async def __call__(self, namespace: str, name: str, *watched: str) -> Settings: ...


@pytest.fixture
def as_account(plane: ControlPlane, cloud: CloudInfo, tmp_path: Path) -> AsAccount:
    async def make(namespace: str, name: str, *watched: str) -> Settings:
        token = await plane.token_for(namespace, name)
        path = tmp_path / f"{namespace}-{name}"
        config = kubeconfig(path, plane.server, token, str(plane.ca_file))
        return settings_for(plane, cloud, *watched, kubeconfig=config)

    return make


@pytest.fixture
async def synced(
    plane: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> Synced:
    """The Secret ``some``; nobody works any more."""
    await admin.put_secret("deploy/one", "one")
    async with operator(settings_for(plane, cloud, home)):
        await api.put(external_secret("some", {"key": "deploy/one", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        await api.until_ready(home, "some", "Synced")
    made = Synced(api, home)
    await made.remember()
    return made


@pytest.fixture
async def person(plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Person]:
    """Whatever they do to our definitions, the next test has them whole again."""
    yield Person(Shell.in_folder(plane, tmp_path))
    await asyncio.to_thread(install_crds, plane)
    await plane.learn_kinds()


@pytest.fixture(scope="session")
def release(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of a release of this tree."""
    folder = tmp_path_factory.mktemp("release")
    done = make_release(plane, folder, "DIRTY=1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this tree."""
    return copy_tree(tmp_path / "tree")
