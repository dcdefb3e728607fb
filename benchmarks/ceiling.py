"""The ceiling: what each object costs at the very least, by a bare loop in its own process.

The KMS call is the project's own, since that is the call to be compared; the applies are
nothing but aiohttp. No controller, no informers, no queue, no logs, nothing looked up.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import uvloop

from secret_sync.cloud.transport import Transport, build_ssl_context
from secret_sync.credentials import CredentialKey, Credentials
from secret_sync.providers.kms import KmsClient, fetch_secret
from secret_sync.sources import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.world import World

_WITHIN: Final = 120.0
_APPLY: Final = {
    "Content-Type": "application/apply-patch+yaml",
    "Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
}
_API_VERSION: Final = "alibabacloud.com/v1alpha1"
_KIND: Final = "ExternalSecret"
_NOW: Final = "2026-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Task:
    """What the loop is told, on its standard input.

    Attributes:
        objects: Name and UID of the ExternalSecrets; the KMS secrets are named as they are.
        connections: To each of the two servers.
    """

    server: str
    ca_file: str
    token: str
    kms_endpoint: str
    kms_ca_file: str
    access_key_id: str
    access_key_secret: str
    namespace: str
    objects: Sequence[tuple[str, str]]
    connections: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How fast the loop was.

    Attributes:
        seconds: From the first request to the last answer.
        cpu_seconds: Of the loop's own process meanwhile.
    """

    objects: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Objects a second."""
        return self.objects / self.seconds

    def __add__(self, other: Ceiling) -> Ceiling:
        """Both taken as one measurement."""
        return Ceiling(
            self.objects + other.objects,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
        )

    @property
    def cpu_ms(self) -> float:
        """The loop's CPU per object, in milliseconds."""
        return 1000 * self.cpu_seconds / self.objects


async def measure(
    world: World,
    namespace: str,
    objects: Sequence[tuple[str, str]],
    connections: int,
    *,
    command: Sequence[str] = ("-m", "benchmarks.ceiling"),
) -> Ceiling:
    """Run the loop in a process of its own.

    Args:
        world: Holds the ExternalSecrets, with their KMS secrets, and none of their Secrets.
        namespace: Where they are.
        objects: Their names and UIDs.
        connections: To each of the two servers.
        command: What runs it.
    """
    task = Task(
        server=world.plane.server,
        ca_file=str(world.plane.ca_file),
        token=world.plane.admin_token,
        kms_endpoint=world.cloud.endpoint,
        kms_ca_file=world.cloud.ca_file,
        access_key_id=world.cloud.access_key_id,
        access_key_secret=world.cloud.access_key_secret,
        namespace=namespace,
        objects=objects,
        connections=connections,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WITHIN):
            answer, _ = await process.communicate(orjson.dumps(asdict(task)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the bare loop ended with {process.returncode}")
    return Ceiling(**orjson.loads(answer))


async def _loop(task: Task) -> Ceiling:
    transport = Transport(ssl_context=build_ssl_context(task.kms_ca_file))
    kms = KmsClient(transport)
    keys = Credentials(task.access_key_id, task.access_key_secret)
    identity = CredentialKey("Environment", ())
    connector = aiohttp.TCPConnector(
        limit=task.connections, ssl=ssl.create_default_context(cafile=task.ca_file)
    )
    headers = {"Authorization": f"Bearer {task.token}"}
    left = iter(task.objects)
    async with aiohttp.ClientSession(task.server, connector=connector, headers=headers) as api:

        async def worker() -> None:
            for name, uid in left:
                source = Source(identity, "kms", task.kms_endpoint, name, "", "")
                value = await fetch_secret(kms, source, keys)
                await _apply(api, task.namespace, _secret(task.namespace, name, uid, value.data))
                status = _status(task.namespace, name, uid, value.version_id)
                await _apply(api, task.namespace, status)

        began, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(task.connections)))
        ended = Ceiling(len(task.objects), time.monotonic() - began, time.process_time() - cpu)
    await transport.close()
    return ended


async def _apply(api: aiohttp.ClientSession, namespace: str, body: dict[str, Any]) -> None:
    name = body["metadata"]["name"]
    if body["kind"] == _KIND:
        path = f"/apis/{_API_VERSION}/namespaces/{namespace}/externalsecrets/{name}/status"
        force = "true"
    else:
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        force = "false"
    async with api.patch(
        f"{path}?fieldManager=secret-sync&force={force}", data=orjson.dumps(body), headers=_APPLY
    ) as answer:
        await answer.read()
        answer.raise_for_status()


def _secret(namespace: str, name: str, uid: str, value: bytes) -> dict[str, Any]:
    owner = {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "name": name,
        "uid": uid,
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": namespace,
            "name": name,
            # Makes it a write that can only create.
            "resourceVersion": "1",
            "annotations": {"secret-sync.alibabacloud.com/owner": f"{name}/{uid}"},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "data": {"password": base64.b64encode(value).decode()},
    }


def _status(namespace: str, name: str, uid: str, version: str) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": f"Secret {name} holds 1 key",
        "lastTransitionTime": _NOW,
        "observedGeneration": 1,
    }
    result = {
        "ExternalSecretKey": name,
        "status": "Succeeded",
        "synchronizationTime": _NOW,
        "versionId": version,
    }
    return {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "status": {
            "observedGeneration": 1,
            "conditions": [ready],
            "dataSyncResults": [result],
            "lastSyncTime": _NOW,
            "target": name,
        },
    }


def main() -> None:
    """Read a task, work it off, write how fast that was."""
    task = Task(**orjson.loads(sys.stdin.buffer.read()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ended = runner.run(_loop(task))
    sys.stdout.buffer.write(orjson.dumps(asdict(ended)))


if __name__ == "__main__":
    main()
