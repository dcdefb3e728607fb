"""Everything that chaos is about: a cluster, a cloud, the way between, and the controller."""

from __future__ import annotations

import asyncio
import secrets
import signal
import uuid
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from secret_sync.local.cloud import CloudAdmin, spawn
from tests.chaos.auditor import Auditor
from tests.chaos.gateway import Gateway
from tests.chaos.holdings import MARK, Cloudful, stores, wishes
from tests.chaos.process import Child
from tests.support.leaks import spellings
from tests.support.operator import GROUP, Api, install_crds, put_store
from tests.support.program import free_port, kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from random import Random

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

_TOGETHER: Final = 16
#: Seconds for which the API server is asked for something; no fault keeps it from answering longer.
INSIST: Final = 60.0


@dataclass(frozen=True)
class PushTarget:
    """Where the controller listens for push refreshes, and the token of its senders."""

    url: str
    token: str
    flags: tuple[str, ...]

    @classmethod
    def make(cls, folder: Path, port: int) -> PushTarget:
        """One with a token of its own, which is written into a folder."""
        token = secrets.token_hex(32)
        folder.mkdir()
        (folder / "token").write_text(token)
        flags = (f"--refresh-bind-address=127.0.0.1:{port}", f"--refresh-token-dir={folder}")
        return cls(f"http://127.0.0.1:{port}/refresh", token, flags)


@dataclass
class ChaosSystem:
    """A running system.

    Attributes:
        child: The controller's present life.
        patience: Seconds for which the controller may keep its loop to one thing.
        complaints: What is wrong with lives that are over.
        role: ARN of the role that some objects are read by.
        namespace: Where all objects are.
        tenant: A namespace of somebody else, who may mean harm; has a store.
        port: Of the controller's metrics, in each of its lives.
        refreshes: Where it is told of rotations.
    """

    plane: ControlPlane
    cloud: CloudInfo
    admin: CloudAdmin
    api: Api
    gateway: Gateway
    cloudful: Cloudful
    auditor: Auditor
    role: str
    namespace: str
    tenant: str
    port: int
    refreshes: PushTarget
    flags: tuple[str, ...]
    variables: dict[str, str]
    random: Random
    child: Child
    patience: float = 0.2
    complaints: list[str] = field(default_factory=list)
    lives: int = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls, plane: ControlPlane, directory: Path, random: Random, count: int
    ) -> AsyncIterator[ChaosSystem]:
        """Starts one in which everything is in sync.

        Args:
            plane: Is broken and repaired; whole again in the end.
            directory: For files.
            random: Chooses the event loop of each life.
            count: Of ExternalSecrets.
        """
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(install_crds, plane)
            cloud = await spawn(directory)
            stack.push_async_callback(cloud.stop)
            admin = await stack.enter_async_context(CloudAdmin(cloud.info.admin_url))
            api = await stack.enter_async_context(Api(plane))
            gateway = await stack.enter_async_context(Gateway(plane, directory, random))
            namespace = await stack.enter_async_context(_namespace(api))
            tenant = await stack.enter_async_context(_namespace(api))
            await put_store(api, cloud.info, tenant)
            cloudful = Cloudful(admin)
            wanted = wishes(count)
            await cloudful.turn(sorted({source for wish in wanted for source in wish.sources}))
            role = await admin.put_role("chaos", trust=[{"account": cloud.info.account}])
            await _fill(api, namespace, cloud.info, role, [wish.document for wish in wanted])
            auditor = Auditor(api, namespace, wanted, cloudful)
            await stack.enter_async_context(auditor)
            config = kubeconfig(
                directory / "kubeconfig", gateway.url, plane.admin_token, str(gateway.ca_file)
            )
            # A name, so that there is something to resolve.
            endpoint = f"localhost:{cloud.info.endpoint.rpartition(':')[2]}"
            port, refresh_port = free_port(), free_port()
            refreshes = PushTarget.make(directory / "refresh", refresh_port)
            flags = (*_flags(f"{namespace},{tenant}", port, endpoint), *refreshes.flags)
            variables = {"KUBECONFIG": config, "SSL_CERT_FILE": cloud.info.ca_file}
            child = await Child.start("uvloop", flags, variables)
            system = cls(
                plane, cloud.info, admin, api, gateway, cloudful, auditor, role,
                namespace, tenant, port, refreshes, flags, variables, random, child,
            )  # fmt: skip
            stack.push_async_callback(system.end_child)
            await child.until_in_sync()
            yield system

    async def start_child(self, loop: str = "") -> None:
        """Another life, with an event loop of this kind or of any."""
        loop = loop or self.random.choice(["uvloop", "uvloop", "asyncio"])
        self.lives += 1
        self.child = await Child.start(loop, self.flags, self.variables)

    async def stop_child(self) -> None:
        """Ends the present life as a kubelet does, and looks at what it leaves."""
        child = self.child
        try:
            code = await child.end(signal.SIGTERM)
        except TimeoutError:
            self.complaints.append("SIGTERM: it did not stop")
            return
        if code != 0:
            self.complaints.append(f"SIGTERM: exit code {code}: {child.lines[-1:]}")
        self.complaints += [f"SIGTERM: {left}" for left in child.leftovers()]
        await self.look_at(child)

    async def end_child(self) -> None:
        """Ends the present life at once."""
        await self.child.end()

    async def look_at(self, child: Child) -> None:
        """What is wrong with what a life said, or with how it ended."""
        if not child.alive and not child.doomed:
            code = child.process.returncode
            self.complaints.append(f"it ended by itself with {code}: {child.lines[-1:]}")
        # asyncio's own TLS is Python; nobody's controller has it.
        patience = self.patience * (2 if child.loop == "asyncio" else 1)
        self.complaints += [f"blocked: {text}" for text in child.blocked(patience)]
        if any(secret in line for secret in await self._hidden() for line in child.lines):
            self.complaints.append("something secret is in its log")
        for line in child.lines:
            # uvloop's own, of a connection that the other side closed while it was written to.
            if "Fatal error on SSL protocol" in line:
                continue
            if '"exception"' in line or '"level":"error"' in line.replace(" ", ""):
                self.complaints.append(f"an error that nobody foresaw: {line.strip()[:2000]}")
        child.answers[:] = [a for a in child.answers if "tasks_left" in a]
        del child.lines[:-1]

    async def insist(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bool:
        """Have the API server do something, however often it has to be asked while in trouble.

        Returns:
            Whether it answered within ``INSIST``, be it with a definite refusal.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(INSIST):
                while True:
                    with suppress(aiohttp.ClientError, TimeoutError, ValueError):
                        status, _ = await self.api.request(method, path, body, content_type)
                        if status in {200, 201, 202, 404, 409, 413, 422}:
                            return True
                    await asyncio.sleep(0.2)
        return False

    async def look_around(self) -> None:
        """Whether anything secret is said elsewhere; for times of calm."""
        said = {**await self._reported(), "its metrics": await self._metrics()}
        hidden = await self._hidden()
        for place, text in said.items():
            if any(secret in text for secret in hidden):
                self.complaints.append(f"something secret is in {place}")

    async def _hidden(self) -> list[str]:
        """What must not be seen anywhere."""
        known = [MARK, self.cloud.access_key_secret, self.plane.admin_token, self.refreshes.token]
        known += await self.admin.issued()
        return [spelt for secret in known for spelt in spellings(secret.encode())]

    async def _reported(self) -> dict[str, str]:
        """All that is said in the cluster."""
        group = f"/apis/{GROUP}/namespaces/{self.namespace}"
        paths = [f"/api/v1/namespaces/{self.namespace}/events"]
        paths += [f"{group}/{plural}" for plural in ("externalsecrets", "secretstores")]
        found = {}
        for path in paths:
            status, body = await self.api.request("GET", path)
            assert status == 200, body
            found[path] = orjson.dumps(body).decode()
        return found

    async def _metrics(self) -> str:
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return await reply.text()


def _flags(namespaces: str, port: int, endpoint: str) -> tuple[str, ...]:
    return (
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        f"--kms-endpoint={endpoint}",
        f"--oos-endpoint={endpoint}",
        f"--sts-endpoint={endpoint}",
        f"--watch-namespaces={namespaces}",
        "--polling-interval=2s",
        "--max-concurrent-kms-secret-pulls=500",
        "--max-concurrent-oos-secret-pulls=500",
        "--log-format=json",
    )


@asynccontextmanager
async def _namespace(api: Api) -> AsyncIterator[str]:
    name = f"chaos-{uuid.uuid4().hex[:12]}"
    status, body = await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201, body
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


async def _fill(
    api: Api, namespace: str, cloud: CloudInfo, role: str, documents: list[dict[str, object]]
) -> None:
    await put_store(api, cloud, namespace)
    for document in stores(role):
        await api.put(document, namespace)
    gate = asyncio.Semaphore(_TOGETHER)

    async def put(document: dict[str, object]) -> None:
        async with gate:
            await api.put(document, namespace)

    await asyncio.gather(*map(put, documents))
