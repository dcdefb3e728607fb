"""A cluster that writes down all requests, and a ServiceAccount that may do everything there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import orjson
import pytest

from tests.support.commands import Done
from tests.support.controlplane import fresh_namespace
from tests.support.operator import Api, running_cloud, settings_for
from tests.support.program import PROGRAM, environment, kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from typing import Any

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings
    from tests.support.commands import Cli

RBAC = "/apis/rbac.authorization.k8s.io/v1"
#: Verbs of requests that may change something.
MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@pytest.fixture(scope="session")
def plane(audited_control_plane: ControlPlane) -> ControlPlane:
    return audited_control_plane


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
async def api(plane: ControlPlane) -> AsyncIterator[Api]:
    async with Api(plane) as client:
        yield client


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(plane)


class Shadow(Protocol):
    """Makes a ServiceAccount that is bound to a ClusterRole; returns a kubeconfig of it."""

    async def __call__(self, name: str, role: str = "cluster-admin") -> str: ...


@pytest.fixture
def account(plane: ControlPlane, api: Api, home: str, tmp_path: Path) -> Shadow:
    async def make(name: str, role: str = "cluster-admin") -> str:
        path = f"/api/v1/namespaces/{home}/serviceaccounts"
        status, body = await api.request("POST", path, {"metadata": {"name": name}})
        assert status == 201, body
        binding = {
            "metadata": {"name": f"{home}-{name}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role,
            },
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
        }
        status, body = await api.request("POST", f"{RBAC}/clusterrolebindings", binding)
        assert status == 201, body
        token = await plane.token_for(home, name)
        return kubeconfig(tmp_path / name, plane.server, token, str(plane.ca_file))

    return make


class DryRun(Protocol):
    """Returns the settings of a dry run as a ServiceAccount, in the namespace of the test."""

    def __call__(self, config: str, **more: Any) -> Settings: ...


@pytest.fixture
def dry_run(plane: ControlPlane, cloud: CloudInfo, home: str) -> DryRun:
    def make(config: str, **more: Any) -> Settings:
        return settings_for(plane, cloud, home, kubeconfig=config, dry_run=True, **more)

    return make


@pytest.fixture
def cli(plane: ControlPlane, cloud: CloudInfo) -> Cli:
    """`secret-sync` with the flags of the controller as environment variables."""
    variables = {
        "KUBECONFIG": str(plane.kubeconfig),
        "SECRET_SYNC_REGION": "cn-hangzhou",
        "SECRET_SYNC_KMS_ENDPOINT": cloud.endpoint,
        "SECRET_SYNC_STS_ENDPOINT": cloud.endpoint,
        "SECRET_SYNC_MAX_CONCURRENT_KMS_SECRET_PULLS": "1000",
        "SSL_CERT_FILE": cloud.ca_file,
    }

    async def run(*arguments: str, **more: str) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(str(PROGRAM), *arguments),
            env=environment({**variables, **more}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run


def requests_of(plane: ControlPlane, user: str) -> list[tuple[str, str]]:
    """Verb and resource, with its subresource, of each request of a user; refused ones, too."""
    found = []
    for line in plane.audit_log.read_bytes().splitlines():
        if user.encode() not in line:
            continue
        entry = orjson.loads(line)
        about = entry.get("objectRef") or {}
        if entry["user"]["username"] == user:
            resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
            found.append((entry["verb"], resource))
    return found
