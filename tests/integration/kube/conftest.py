"""Clients of the real API server, one of them on a wire that can be cut."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import (
    METADATA,
    SECRETS,
    Answer,
    ApplyWriter,
    ClusterAccess,
    ConfirmedOwner,
    KubeClient,
    Ref,
)
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.controlplane.plane import ControlPlane


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    access = await ClusterAccess.find(str(control_plane.kubeconfig))
    async with KubeClient(access) as client:
        yield client


@pytest.fixture
async def breakable_client(breakable_control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    access = await ClusterAccess.find(str(breakable_control_plane.kubeconfig))
    async with KubeClient(access) as client:
        yield client


@pytest.fixture
async def wire(breakable_control_plane: ControlPlane) -> AsyncIterator[Wire]:
    wire = Wire(breakable_control_plane.server)
    await wire.restore()
    yield wire
    await wire.cut()


@pytest.fixture
async def wired_client(
    breakable_control_plane: ControlPlane, wire: Wire, tmp_path: Path
) -> AsyncIterator[KubeClient]:
    text = breakable_control_plane.kubeconfig.read_text()
    assert breakable_control_plane.server in text
    path = tmp_path / "kubeconfig"
    path.write_text(text.replace(breakable_control_plane.server, wire.url))
    async with KubeClient(await ClusterAccess.find(str(path))) as client:
        yield client


@pytest.fixture
def writer(client: KubeClient) -> ApplyWriter:
    return ApplyWriter(client, "secret-sync")


class Secrets:
    """One namespace's Secrets, from the point of view of somebody else."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    @property
    def confirmed(self) -> ConfirmedOwner:
        """On whose behalf, where that has no part in a test."""
        return ConfirmedOwner(self.namespace, "some", "es-uid")

    def intent(self, name: str = "target", of_type: str = "Opaque", **data: str) -> Any:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": self.namespace, "name": name},
            "type": of_type,
            "data": {key: encoded(value) for key, value in data.items()},
        }

    def merge(self, **data: str) -> Any:
        """An intent for some keys of a Secret that is somebody else's."""
        intent = self.intent(**data)
        del intent["type"]
        return intent

    def ref(self, reply: dict[str, Any], name: str = "target") -> Ref:
        metadata = reply["metadata"]
        return Ref(self.namespace, name, metadata["uid"], metadata["resourceVersion"])

    async def data(self, name: str = "target") -> dict[str, str]:
        reply = await self.client.request("GET", SECRETS.path(self.namespace, name))
        return reply.get("data") or {}

    async def fields(self, name: str = "target") -> list[dict[str, Any]]:
        path = SECRETS.path(self.namespace, name)
        reply = await self.client.request("GET", path, accept=METADATA)
        found: list[dict[str, Any]] = reply["metadata"]["managedFields"]
        return found

    async def edit(self, name: str = "target", **data: str) -> dict[str, Any]:
        """As ``kubectl edit`` does it."""
        return await self.client.request(
            "PATCH",
            SECRETS.path(self.namespace, name),
            params={"fieldManager": "kubectl-edit"},
            body={"data": {key: encoded(value) for key, value in data.items()}},
            content_type="application/merge-patch+json",
        )

    async def create(self, body: dict[str, Any], manager: str = "somebody") -> dict[str, Any]:
        return await self.client.request(
            "POST", SECRETS.path(self.namespace), params={"fieldManager": manager}, body=body
        )

    async def owner(self, name: str) -> dict[str, str]:
        """An ownerReference to something that exists."""
        body = {"metadata": {"name": name}}
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        made = await self.client.request("POST", path, body=body)
        uid = made["metadata"]["uid"]
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid}

    async def delete(self, name: str = "target") -> None:
        await self.client.request("DELETE", SECRETS.path(self.namespace, name), expected=Answer.ANY)


def encoded(value: str) -> str:
    return b64encode(value.encode()).decode()


@pytest.fixture
def secrets(client: KubeClient, namespace: str) -> Secrets:
    return Secrets(client, namespace)
