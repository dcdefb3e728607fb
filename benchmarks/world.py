"""What is measured against: a control plane and a local Alibaba Cloud, processes of their own."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from benchmarks.process import ControllerProcess
from secret_sync.local.cloud import CloudAdmin, spawn
from secret_sync.local.controlplane.plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from secret_sync.local.cloud.info import CloudInfo

NAMESPACE: Final = "bench"
API_VERSION: Final = "alibabacloud.com/v1alpha1"
STORE: Final = "store"
SECRETS: Final = "/api/v1/namespaces/{}/secrets"
EXTERNAL_SECRETS: Final = "/apis/alibabacloud.com/v1alpha1/namespaces/{}/externalsecrets"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_CRDS: Final = Path(__file__).parents[1] / "crds"
STORES: Final = "/apis/alibabacloud.com/v1alpha1/namespaces/{}/secretstores"
ALL_SECRETS: Final = "/api/v1/secrets"
ALL_EXTERNAL_SECRETS: Final = "/apis/alibabacloud.com/v1alpha1/externalsecrets"
_CLUSTER_STORES: Final = "/apis/alibabacloud.com/v1alpha1/clustersecretstores"
_CREATE_TOGETHER: Final = 32
_SERVED_WITHIN: Final = 20.0
_GONE_WITHIN: Final = 90.0
#: Seconds between two looks at what only the API server knows.
_GLANCE: Final = 0.1
#: Objects that are listed in a second of waiting.
_LISTED: Final = 2000.0
#: Calls a second at which the limiter never makes anybody wait.
_LIMIT_LIFTED: Final = 100_000


class ApiRefusedError(Exception):
    """The API server answered a request of the benchmark with an error."""


@dataclass(frozen=True, slots=True)
class World:
    """A running world.

    Attributes:
        plane: The control plane.
        cloud: Where the local Alibaba Cloud is.
        admin: Its admin API.
        api: A session that is the cluster's administrator.
        directory: For logs.
    """

    plane: ControlPlane
    cloud: CloudInfo
    admin: CloudAdmin
    api: aiohttp.ClientSession
    directory: Path

    @classmethod
    @asynccontextmanager
    async def start(cls, *, audit_log: bool = False) -> AsyncIterator[World]:
        """Start one with the CRDs, and stop all of it in the end.

        Args:
            audit_log: Whether the API server records all requests, at some cost.
        """
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            plane = await ControlPlane.start(
                directory / "plane", audit_log=audit_log, progress=print
            )
            await stack.enter_async_context(plane)
            place = directory / "cloud"
            place.mkdir()
            cloud = await spawn(place)
            stack.push_async_callback(cloud.stop)
            admin = await stack.enter_async_context(CloudAdmin(cloud.info.admin_url))
            api = await stack.enter_async_context(_session(plane))
            await asyncio.to_thread(_apply_crds, plane)
            world = cls(plane, cloud.info, admin, api, directory)
            # Each comes up in its own time.
            for kind in (EXTERNAL_SECRETS, STORES, _CLUSTER_STORES):
                await world.served(kind)
            yield world

    async def served(self, path: str) -> None:
        """Wait until the API server serves a kind that was just defined."""
        async with asyncio.timeout(_SERVED_WITHIN):
            while True:
                async with self.api.get(path.format(NAMESPACE)) as answer:
                    if answer.ok:
                        return
                await asyncio.sleep(_GLANCE)

    async def post(self, path: str, body: dict[str, Any]) -> str:
        """Create one object; return its UID.

        Raises:
            ApiRefusedError: The API server refused.
        """
        async with self.api.post(path, data=orjson.dumps(body)) as answer:
            reply = orjson.loads(await answer.read())
            if not answer.ok:
                raise ApiRefusedError(f"{path}: {reply.get('message')}")
            uid: str = reply["metadata"]["uid"]
            return uid

    async def post_all(self, path: str, bodies: Iterable[dict[str, Any]]) -> list[str]:
        """Create many objects, some at a time; return their UIDs in the same order."""
        gate = asyncio.Semaphore(_CREATE_TOGETHER)

        async def one(body: dict[str, Any]) -> str:
            async with gate:
                return await self.post(path, body)

        return await asyncio.gather(*map(one, bodies))

    async def add_namespace(self, namespace: str = NAMESPACE) -> None:
        """Create a namespace with a SecretStore and the AccessKey it refers to."""
        await self.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
        cloud = self.cloud
        pair = {"id": cloud.access_key_id, "secret": cloud.access_key_secret}
        await self.post(
            SECRETS.format(namespace), {"metadata": {"name": "access-key"}, "stringData": pair}
        )
        auth = {
            "accessKey": {"name": "access-key", "key": "id"},
            "accessKeySecret": {"name": "access-key", "key": "secret"},
        }
        await self.post(
            STORES.format(namespace),
            {
                "apiVersion": API_VERSION,
                "kind": "SecretStore",
                "metadata": {"name": STORE},
                "spec": {"KMS": {"KMSAuth": auth}},
            },
        )

    async def remove_namespace(self, namespace: str) -> None:
        """Delete a namespace and wait until it is gone with all that was in it."""
        path = f"/api/v1/namespaces/{namespace}"
        async with self.api.delete(path) as answer:
            answer.raise_for_status()
        async with asyncio.timeout(_GONE_WITHIN):
            while True:
                async with self.api.get(path) as answer:
                    if answer.status == HTTPStatus.NOT_FOUND:
                        return
                await asyncio.sleep(_GLANCE)

    async def add_objects(
        self, names: Sequence[str], *, namespace: str = NAMESPACE, shared: str = ""
    ) -> list[str]:
        """Create ExternalSecrets with a KMS secret each, or with one for all.

        Args:
            names: Of the objects, and of their KMS secrets unless there is a shared one.
            namespace: Where they go.
            shared: The one KMS secret of all, made here.

        Returns:
            Their UIDs.
        """
        secrets: list[str] = [shared] if shared else list(names)
        await self.admin.put_secrets({name: f"value of {name}" for name in secrets})
        return await self.post_all(
            EXTERNAL_SECRETS.format(namespace), (external_secret(n, shared or n) for n in names)
        )

    async def ready_count(self, namespace: str = NAMESPACE, *, path: str = EXTERNAL_SECRETS) -> int:
        """The number of ExternalSecrets, or of another kind's objects, whose condition is good."""
        items = await self.items(path.format(namespace))
        return sum(
            any(c["status"] == "True" for c in item.get("status", {}).get("conditions", ()))
            for item in items
        )

    async def all_ready(
        self,
        count: int,
        *,
        within: float,
        namespace: str = NAMESPACE,
        path: str = EXTERNAL_SECRETS,
    ) -> None:
        """Wait until that many ExternalSecrets are synced; seconds."""
        # Many are not listed all the time: that would be most of the API server's work.
        glance = max(_GLANCE, count / _LISTED)
        async with asyncio.timeout(within):
            while await self.ready_count(namespace, path=path) < count:  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(glance)

    async def items(self, path: str) -> list[dict[str, Any]]:
        """List the objects at a path."""
        async with self.api.get(path) as answer:
            items: list[dict[str, Any]] = orjson.loads(await answer.read())["items"]
            return items

    async def count(self, path: str) -> int:
        """The number of objects at a path, without reading them."""
        async with self.api.get(path, params={"limit": "1"}) as answer:
            found = orjson.loads(await answer.read())
            return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    def controller(self, *flags: str) -> ControllerProcess:
        """The controller as users run it, with the KMS limit lifted; not started yet.

        Args:
            *flags: Further flags of ``secret-sync run``.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SECRET_SYNC_")}
        environment = {
            **inherited,
            **self.cloud.environment,
            "KUBECONFIG": str(self.plane.kubeconfig),
        }
        arguments = [
            "--region=cn-hangzhou",
            f"--sts-endpoint={self.cloud.endpoint}",
            f"--kms-endpoint={self.cloud.endpoint}",
            f"--max-concurrent-kms-secret-pulls={_LIMIT_LIFTED}",
            "--metrics-bind-address=127.0.0.1:0",
            "--log-format=json",
            *flags,
        ]
        return ControllerProcess(arguments, environment, self.directory)


def external_secret(name: str, secret: str) -> dict[str, Any]:
    """An ExternalSecret with one entry."""
    entry = {"key": secret, "name": "password", "secretStoreRef": {"name": STORE}}
    return {
        "apiVersion": API_VERSION,
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": {"data": [entry]},
    }


def _session(plane: ControlPlane) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        plane.server,
        headers={
            "Authorization": f"Bearer {plane.admin_token}",
            "Content-Type": "application/json",
            "User-Agent": "benchmark",
        },
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=plane.ca_file)),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        read_bufsize=2**18,
    )


def _apply_crds(plane: ControlPlane) -> None:
    subprocess.run(  # noqa: S603 (our own kubectl and files)
        [
            plane.binaries.kubectl,
            f"--kubeconfig={plane.kubeconfig}",
            "apply",
            "--server-side",
            f"--kustomize={_CRDS}",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
