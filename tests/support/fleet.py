"""Namespaces that ClusterExternalSecrets select, and the objects for them."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.support.operator import GROUP, SOON, secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudInfo
    from tests.support.operator import Api

KIND = "ClusterExternalSecret"


class Fleet:
    """Namespaces of one test, with a prefix and a label of their own.

    Attributes:
        prefix: Begins the names of all objects.
        store: The ClusterSecretStore that their children use.
        label: The label that selects a namespace.
    """

    def __init__(self, api: Api, home: str) -> None:
        self.api = api
        self.home = home
        self.prefix = f"fleet-{secrets.token_hex(3)}"
        self.store = f"{self.prefix}-store"
        self.label = f"test/{self.prefix}"
        self._made: list[str] = []
        self._objects: list[str] = []

    @property
    def selector(self) -> dict[str, Any]:
        return {"namespaceSelector": {"matchLabels": {self.label: "yes"}}}

    async def put_store(self, info: CloudInfo) -> None:
        """The AccessKey in the namespace of the test, and the store that refers to it."""
        values = {"id": info.access_key_id, "secret": info.access_key_secret}
        await self.api.put(secret("fleet-key", values), self.home)
        await self.put_cluster_store()

    async def put_cluster_store(self) -> None:
        ref = {"name": "fleet-key", "namespace": self.home}
        auth = {
            "accessKey": {**ref, "key": "id"},
            "accessKeySecret": {**ref, "key": "secret"},
        }
        document = {
            "apiVersion": GROUP,
            "kind": "ClusterSecretStore",
            "metadata": {"name": self.store},
            "spec": {"KMS": {"KMSAuth": auth}},
        }
        await self.api.put(document, "")

    async def namespace(self, suffix: str, *, selected: bool = True) -> str:
        """Create a namespace."""
        name = f"{self.prefix}-{suffix}"
        labels = {self.label: "yes"} if selected else {}
        document = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        }
        status, body = await self.api.request("POST", "/api/v1/namespaces", document)
        assert status == 201, body
        self._made.append(name)
        return name

    async def namespaces(self, *suffixes: str) -> list[str]:
        return [await self.namespace(suffix) for suffix in suffixes]

    async def select(self, namespace: str, *, selected: bool) -> None:
        value = "yes" if selected else None
        await self.api.merge(
            "Namespace", "", namespace, {"metadata": {"labels": {self.label: value}}}
        )

    def document(self, key: str, name: str = "ces", **spec: Any) -> dict[str, Any]:
        """A ClusterExternalSecret whose children write one key of KMS secret ``key``."""
        ref = {"name": self.store, "kind": "ClusterSecretStore"}
        entry = {"key": key, "name": "password", "secretStoreRef": ref}
        child = {"data": [entry], **spec.pop("child", {})}
        full = f"{self.prefix}-{name}"
        if full not in self._objects:
            self._objects.append(full)
        return {
            "apiVersion": GROUP,
            "kind": KIND,
            "metadata": {"name": full},
            "spec": {"externalSecretSpec": child, "conditions": [self.selector], **spec},
        }

    def name_of(self, name: str = "ces") -> str:
        return f"{self.prefix}-{name}"

    async def until_ready(self, reason: str, name: str = "ces", within: float = SOON) -> Any:
        return await self.api.until_ready("", self.name_of(name), reason, within, kind=KIND)

    async def until_count(self, count: str, name: str = "ces", within: float = SOON) -> Any:
        """Wait until the column Namespaces has this."""

        def settled(found: dict[str, Any] | None) -> bool:
            return ((found or {}).get("status") or {}).get("namespaces") == count

        return await self.api.until(KIND, "", self.name_of(name), settled, within)

    async def children(self, name: str = "") -> dict[str, dict[str, Any]]:
        """The ExternalSecrets of that name in the namespaces, by namespace."""
        name = name or self.name_of()
        status, body = await self.api.request("GET", f"/apis/{GROUP}/externalsecrets?limit=5000")
        assert status == 200, body
        return {
            item["metadata"]["namespace"]: item
            for item in body["items"]
            if item["metadata"]["name"] == name
            and item["metadata"]["namespace"].startswith(self.prefix)
        }

    async def clean_up(self) -> None:
        for name in self._objects:
            path = f"/apis/{GROUP}/clusterexternalsecrets/{name}"
            patch = {"metadata": {"finalizers": None}}
            await self.api.request("PATCH", path, patch, "application/merge-patch+json")
            await self.api.request("DELETE", path)
        await self.api.request("DELETE", f"/apis/{GROUP}/clustersecretstores/{self.store}")
        await asyncio.gather(
            *(self.api.request("DELETE", f"/api/v1/namespaces/{name}") for name in self._made)
        )


@asynccontextmanager
async def fleet_of(api: Api, home: str, info: CloudInfo) -> AsyncIterator[Fleet]:
    fleet = Fleet(api, home)
    await fleet.put_store(info)
    try:
        yield fleet
    finally:
        await fleet.clean_up()
