"""Two replicas as processes, each with a name of its own in the API server's audit log."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.controlplane import fresh_namespace
from tests.support.operator import Api, running_cloud
from tests.support.program import kubeconfig, running
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.program import Running

RBAC = "/apis/rbac.authorization.k8s.io/v1"
WRITES = {"create", "update", "patch", "delete"}


@pytest.fixture(scope="session")
def audited(audited_control_plane: ControlPlane) -> ControlPlane:
    return audited_control_plane


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudInfo]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as info:
        yield info


@pytest.fixture
async def api(audited: ControlPlane) -> AsyncIterator[Api]:
    async with Api(audited) as client:
        yield client


@pytest.fixture
def namespace(audited: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(audited)


@dataclass(frozen=True)
class Record:
    """A line of the audit log: a request that was answered."""

    at: str
    user: str
    verb: str
    resource: str
    name: str
    code: int
    #: Whether no rule allows it; other refusals have the same code.
    denied: bool

    @property
    def took_effect(self) -> bool:
        return self.verb in WRITES and self.code < 300


async def records(plane: ControlPlane, home: str) -> list[Record]:
    """What the log has by now of the ServiceAccounts of a namespace, the oldest first."""
    text = await asyncio.to_thread(plane.audit_log.read_bytes)
    found = []
    prefix = f"system:serviceaccount:{home}:"
    for line in text.splitlines():
        # There are many of others, and reading one takes longer than looking.
        if prefix.encode() not in line:
            continue
        value = orjson.loads(line)
        user = value["user"]["username"]
        about = value.get("objectRef") or {}
        annotations = value.get("annotations") or {}
        if value["stage"] != "ResponseComplete" or not user.startswith(prefix):
            continue
        # Questions, though one creates them.
        if about.get("apiGroup") in {"authentication.k8s.io", "authorization.k8s.io"}:
            continue
        found.append(
            Record(
                value["stageTimestamp"],
                user.removeprefix(prefix),
                value["verb"],
                about.get("resource", ""),
                about.get("name", ""),
                value["responseStatus"]["code"],
                annotations.get("authorization.k8s.io/decision") == "forbid",
            )
        )
    return sorted(found, key=lambda record: record.at)


@dataclass
class Replicas:
    """Starts replicas of one namespace."""

    plane: ControlPlane
    cloud: CloudInfo
    api: Api
    home: str
    folder: Path
    stack: AsyncExitStack

    async def start(self, name: str, server: str = "", ca_file: str = "") -> Running:
        """A replica under this name, in sync before this returns.

        Args:
            name: Of its ServiceAccount.
            server: Where it finds the API server; ``""`` for the real address.
            ca_file: Whom it trusts as it; ``""`` for the real one.
        """
        await self._account(name)
        token = await self.plane.token_for(self.home, name)
        config = kubeconfig(
            self.folder / name,
            server or self.plane.server,
            token,
            ca_file or str(self.plane.ca_file),
        )
        child = await self.stack.enter_async_context(
            running(
                "--leader-elect",
                f"--leader-elect-namespace={self.home}",
                "--metrics-bind-address=0",
                "--region=cn-hangzhou",
                f"--kms-endpoint={self.cloud.endpoint}",
                f"--sts-endpoint={self.cloud.endpoint}",
                f"--watch-namespaces={self.home}",
                "--polling-interval=1s",
                "--max-concurrent-kms-secret-pulls=1000",
                "--log-format=json",
                KUBECONFIG=config,
                SSL_CERT_FILE=self.cloud.ca_file,
            )
        )
        await child.until_says('"in sync"', 30)
        return child

    async def lease(self) -> dict[str, Any]:
        group = "/apis/coordination.k8s.io/v1"
        path = f"{group}/namespaces/{self.home}/leases/secret-sync"
        _, found = await self.api.request("GET", path)
        return dict(found["spec"])

    async def records(self) -> list[Record]:
        return await records(self.plane, self.home)

    async def _account(self, name: str) -> None:
        account = {"metadata": {"name": name}}
        path = f"/api/v1/namespaces/{self.home}/serviceaccounts"
        status, body = await self.api.request("POST", path, account)
        assert status == 201, body
        binding = {
            "metadata": {"name": f"ha-{self.home}-{name}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.home}],
        }
        status, body = await self.api.request("POST", f"{RBAC}/clusterrolebindings", binding)
        assert status == 201, body


@pytest.fixture
async def replicas(
    audited: ControlPlane, cloud: CloudInfo, api: Api, home: str, tmp_path: Path
) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        yield Replicas(audited, cloud, api, home, tmp_path, stack)


@pytest.fixture
async def slow_wire(audited: ControlPlane) -> AsyncIterator[Wire]:
    wire = Wire(audited.server)
    await wire.restore()
    yield wire
    await wire.cut()
