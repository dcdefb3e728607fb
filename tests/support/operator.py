"""The controller under test, the cloud it talks to, and the API server as its users see it."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import ssl
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from secret_sync import app
from secret_sync.local.cloud import CloudInfo
from secret_sync.settings.model import BindAddress, ProxySettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from secret_sync.local.controlplane.plane import ControlPlane

    #: What the fixture ``running`` gives: the controller for the namespace of a test.
    Running = Callable[..., AbstractAsyncContextManager[app.Controller]]

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
GROUP = "alibabacloud.com/v1alpha1"
MERGE = "application/merge-patch+json"
#: Seconds in which every consequence is due. What the issue promises is one second; the rest is
#: for a machine that is busy with something else.
SOON = 30.0


#: Kinds of Kubernetes itself, and those that are in no namespace.
CORE = frozenset({"Secret", "ConfigMap", "Event", "ServiceAccount", "Namespace"})
KINDS = ("externalsecrets", "secretstores", "clustersecretstores", "clusterexternalsecrets")
CLUSTER_SCOPED = frozenset({"ClusterSecretStore", "ClusterExternalSecret", "Namespace"})


def path_of(kind: str, namespace: str, name: str = "") -> str:
    group = "/api/v1" if kind in CORE else f"/apis/{GROUP}"
    place = "" if kind in CLUSTER_SCOPED else f"/namespaces/{namespace}"
    return f"{group}{place}/{kind.lower()}s/{name}".rstrip("/")


class Api:
    """The API server, as the administrator; an async context manager."""

    def __init__(self, plane: ControlPlane) -> None:
        self._url = plane.server
        self._headers = {"Authorization": f"Bearer {plane.admin_token}"}
        self._ca = plane.ca_file
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=self._ca)
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(ssl=context, limit=20),
                timeout=aiohttp.ClientTimeout(total=30),
            )
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        # As a file: of plain bytes aiohttp warns where they are many.
        data = None if body is None else io.BytesIO(orjson.dumps(body))
        headers = {"Content-Type": content_type}
        async with self._session.request(
            method, self._url + path, data=data, headers=headers
        ) as reply:
            return reply.status, orjson.loads(await reply.read())

    def stream(
        self, path: str, timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Open a watch."""
        return self._session.get(self._url + path, timeout=timeout)

    async def put(self, document: dict[str, Any], namespace: str) -> dict[str, Any]:
        """Creates an object, or gives an existing one this content."""
        kind, name = document["kind"], document["metadata"]["name"]
        status, body = await self.request("POST", path_of(kind, namespace), document)
        if status == 409:
            return await self.replace(path_of(kind, namespace, name), document)
        assert status == 201, body
        return dict(body)

    async def replace(
        self, path: str, document: dict[str, Any], manager: str = ""
    ) -> dict[str, Any]:
        """Gives an existing object this content; metadata that it does not name stays."""
        query = f"?fieldManager={manager}" if manager else ""
        by = time.monotonic() + SOON
        while True:
            status, stored = await self.request("GET", path)
            assert status == 200, stored
            metadata = {**stored["metadata"], **document.get("metadata", {})}
            changed = {**document, "metadata": metadata}
            status, body = await self.request("PUT", f"{path}{query}", changed)
            # Somebody may have written, its status maybe, between our read and our write.
            if status != 409 or time.monotonic() > by:
                assert status == 200, body
                return dict(body)

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        status, body = await self.request("GET", path_of(kind, namespace, name))
        assert status in {200, 404}, body
        return body if status == 200 else None

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        found = await self.find(kind, namespace, name)
        assert found is not None, f"{kind} {name} does not exist"
        return found

    async def merge(
        self, kind: str, namespace: str, name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        """A merge patch, as somebody's kubectl sends it."""
        path = f"{path_of(kind, namespace, name)}?fieldManager=kubectl-edit"
        status, body = await self.request("PATCH", path, patch, MERGE)
        assert status == 200, body
        return dict(body)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        status, body = await self.request("DELETE", path_of(kind, namespace, name))
        assert status in {200, 202}, body

    async def until(
        self,
        kind: str,
        namespace: str,
        name: str,
        settled: Callable[[dict[str, Any] | None], bool],
        within: float = SOON,
    ) -> dict[str, Any]:
        """Waits for an object to be as expected; returns it (an empty dict where it is gone)."""
        found: dict[str, Any] | None = None
        pauses = polling()
        try:
            async with asyncio.timeout(within):
                # The way of a person with kubectl; a watch would be what is under test.
                while not settled(  # noqa: ASYNC110 (as above)
                    found := await self.find(kind, namespace, name)
                ):
                    await asyncio.sleep(next(pauses))
        except TimeoutError:
            raise AssertionError(f"{kind} {name} after {within} s: {found}") from None
        return found or {}

    async def until_ready(
        self, namespace: str, name: str, reason: str, within: float = SOON, kind: str = ""
    ) -> dict[str, Any]:
        """Waits for the reason of an object's condition; returns the condition.

        It has to be about the newest generation.
        """

        def settled(found: dict[str, Any] | None) -> bool:
            ready = ready_of(found)
            return (
                found is not None
                and ready.get("reason") == reason
                and ready["observedGeneration"] == found["metadata"]["generation"]
            )

        return ready_of(
            await self.until(kind or "ExternalSecret", namespace, name, settled, within)
        )

    async def until_holds(
        self, namespace: str, name: str, values: dict[str, str], within: float = SOON
    ) -> dict[str, Any]:
        """Waits for a Secret to hold exactly these values; returns it."""
        return await self.until("Secret", namespace, name, lambda s: values_of(s) == values, within)


def polling() -> Iterator[float]:
    """Return the pauses between looks, which take of the processors, too: ever longer ones."""
    pause = 0.02
    while True:
        yield pause
        pause = min(pause * 1.2, 0.1)


def ready_of(found: dict[str, Any] | None) -> dict[str, Any]:
    conditions = ((found or {}).get("status") or {}).get("conditions") or [{}]
    return dict(conditions[0])


def values_of(secret: dict[str, Any] | None) -> dict[str, str]:
    """What a Secret holds, as text."""
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def version_of(found: dict[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])


def secret(name: str, values: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": values,
        **more,
    }


def store(name: str = "store", access_key: str = "access-key", **ref: str) -> dict[str, Any]:
    """A SecretStore whose AccessKey is in one Secret, under ``id`` and ``secret``."""
    auth = {
        "accessKey": {"name": access_key, "key": "id", **ref},
        "accessKeySecret": {"name": access_key, "key": "secret", **ref},
    }
    return {
        "apiVersion": GROUP,
        "kind": "SecretStore",
        "metadata": {"name": name},
        "spec": {"KMS": {"KMSAuth": auth}},
    }


def external_secret(name: str, *entries: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """An ExternalSecret; its entries use the SecretStore ``store`` where they name none."""
    data = [{"secretStoreRef": {"name": "store"}, **entry} for entry in entries]
    return {
        "apiVersion": GROUP,
        "kind": "ExternalSecret",
        "metadata": {"name": name},
        "spec": {"data": data, **spec},
    }


async def put_store(api: Api, info: CloudInfo, namespace: str) -> None:
    """The SecretStore ``store`` with an AccessKey that may read everything."""
    values = {"id": info.access_key_id, "secret": info.access_key_secret}
    await api.put(secret("access-key", values), namespace)
    await api.put(store(), namespace)


def install_crds(plane: ControlPlane) -> None:
    """Our kinds; they stay, since other tests need them, too."""
    kubectl = [str(plane.binaries.kubectl), "--kubeconfig", str(plane.kubeconfig)]
    subprocess.run(  # noqa: S603 (our own)
        [*kubectl, "apply", "--server-side", "-k", str(CRDS)],
        check=True,
        capture_output=True,
        timeout=90,
    )
    by = time.monotonic() + SOON
    while not all(_is_established(plane, kind) for kind in KINDS):
        assert time.monotonic() < by, "our kinds are not served"
        time.sleep(0.02)


def _is_established(plane: ControlPlane, kind: str) -> bool:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.alibabacloud.com"
    status = plane.admin.request("GET", path).body.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    return conditions.get("Established") == "True"


@contextmanager
def running_cloud(directory: Path) -> Iterator[CloudInfo]:
    """The local Alibaba Cloud in a process of its own."""
    command = [sys.executable, "-m", "secret_sync.local.cloud", "--directory", str(directory)]
    command += ["--parent", str(os.getpid())]
    with (
        (directory / "cloud.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,  # noqa: S603 (our own program)
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the local cloud did not start"
            yield CloudInfo.read(directory)
        finally:
            process.terminate()
            process.wait(10)


def settings_for(plane: ControlPlane, info: CloudInfo, *namespaces: str, **more: Any) -> Settings:
    """As for production, but for where things are; the rate of calls is lifted."""
    return Settings(
        **{
            "kubeconfig": str(plane.kubeconfig),
            "kms_endpoint": info.endpoint,
            "oos_endpoint": info.endpoint,
            "sts_endpoint": info.endpoint,
            "metadata_endpoint": info.metadata_endpoint,
            "ssl_cert_file": info.ca_file,
            "region": "cn-hangzhou",
            "watch_namespaces": namespaces,
            "max_concurrent_kms_secret_pulls": 1000,
            "max_concurrent_oos_secret_pulls": 1000,
            "metrics_bind_address": BindAddress("127.0.0.1", 0),
            **more,
        }
    )


def proxied_settings(
    plane: ControlPlane, info: CloudInfo, *namespaces: str, **more: Any
) -> Settings:
    """The same for calls to the usual endpoints, which the proxy of the local cloud answers."""
    here = "localhost,127.0.0.1,::1"
    nowhere = {"kms_endpoint": "", "oos_endpoint": "", "sts_endpoint": ""}
    proxy = ProxySettings(info.proxy_url, info.proxy_url, here)
    return settings_for(plane, info, *namespaces, **{**nowhere, "proxy": proxy, **more})


@asynccontextmanager
async def operator(settings: Settings, *, ready: bool = True) -> AsyncIterator[app.Controller]:
    """The controller as ``secret-sync run`` composes it, in the loop of the test.

    Args:
        settings: Its own.
        ready: Whether to wait until it is.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        controller = await app.build(settings, stack)
        running = asyncio.create_task(controller.run(stop))
        try:
            async with asyncio.timeout(SOON):
                while ready and controller.unready and not running.done():  # noqa: ASYNC110 (as a probe does)
                    await asyncio.sleep(0.01)
            yield controller
        finally:
            stop.set()
            async with asyncio.timeout(25):
                await running


def syncs_of(controller: app.Controller, result: str) -> float:
    """Return how many reconciles of ExternalSecrets have ended so."""
    found = controller.metrics.registry.get_sample_value(
        "secret_sync_syncs_total", {"result": result}
    )
    assert found is not None, f"no such result: {result}"
    return found
