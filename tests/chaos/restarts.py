"""Workloads that restart, while the controller is killed and the API server goes away.

No restart without a change of the data, at most one in a row of seconds, and none is lost.
``python -m tests.chaos.restarts --seconds 120`` runs it on a control plane of its own.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from secret_sync.local.cloud import CloudAdmin
from tests.chaos.command import run
from tests.chaos.process import Child
from tests.support.operator import (
    Api,
    external_secret,
    put_store,
    values_of,
)
from tests.support.program import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

#: Seconds that stand for the minute between two restarts.
GAP: Final = 6.0
#: Seconds within which everything has restarted: the longest delay of a row, and a process.
RIGHT_WITHIN: Final = 90.0
_RESTARTED_FOR: Final = "secret-sync.alibabacloud.com/restarted-for"
_MANAGER: Final = "secret-sync-restart"
#: The Deployments that each ExternalSecret restarts, and what is special about its Secret.
OBJECTS: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "a": (("one",), {}),
    "b": (("one", "two"), {}),
    "c": (("two",), {"immutable": True}),
    "d": (("three",), {"template": {"data": {"url": "x://{{ .v }}"}}}),
}
DEPLOYMENTS: Final = ("one", "two", "three")


class RestartAuditor:
    """Watches the pod templates, past all faults.

    Attributes:
        turns: How often the value of each object was rotated.
        complaints: What restarted, and should not have.
        restarts: How many there were.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.turns = dict.fromkeys(OBJECTS, 0)
        self.complaints: list[str] = []
        self.restarts = 0
        self._digests: dict[tuple[str, str], str] = {}
        self._at: dict[str, datetime] = {}

    async def watch(self) -> None:
        version = ""
        forever = aiohttp.ClientTimeout(total=None)
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                if not version:
                    status, found = await self._api.request("GET", self._path)
                    version = found["metadata"]["resourceVersion"] if status == 200 else ""
                path = f"{self._path}?watch=true&resourceVersion={version}"
                async with self._api.stream(path, forever) as reply:
                    async for line in reply.content:
                        found = orjson.loads(line)["object"]
                        version = found["metadata"].get("resourceVersion", "")
                        self._saw(found)
            await asyncio.sleep(0.1)

    def _saw(self, found: dict[str, Any]) -> None:
        if found.get("kind") != "Deployment":
            return
        name = found["metadata"]["name"]
        digests = dict(pair.split("=") for pair in annotation_of(found).split())
        changed = {
            es: digest
            for es, digest in digests.items()
            if digest != self._digests.get((name, es), "")
        }
        if not changed:
            return
        self.restarts += 1
        (at,) = (
            datetime.fromisoformat(entry["time"])
            for entry in found["metadata"]["managedFields"]
            if entry["manager"] == _MANAGER
        )
        last = self._at.get(name)
        # Whole seconds.
        if last is not None and (at - last).total_seconds() < GAP - 1:
            self.complaints.append(f"{name} restarted twice in {(at - last).total_seconds()} s")
        self._at[name] = at
        for es, digest in changed.items():
            before = self._digests.get((name, es), "")
            # A value never comes back, so each restart is for another digest of the data.
            if not self.turns[es] or _data_of(digest) == _data_of(before):
                self.complaints.append(f"{name} restarted for {es}, which has not changed")
            self._digests[name, es] = digest


def _data_of(mark: str) -> str:
    """Return the digest of the data; behind it is what tells one restart from another."""
    return mark.rpartition(".")[0]


def annotation_of(deployment: dict[str, Any]) -> str:
    annotations = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    return str(annotations.get(_RESTARTED_FOR, ""))


class RestartChaos:
    """The system, and what is done to it."""

    def __init__(
        self, plane: ControlPlane, info: CloudInfo, api: Api, admin: CloudAdmin, rng: random.Random
    ) -> None:
        self._plane, self._info, self._api, self._admin = plane, info, api, admin
        self._rng = rng
        self.namespace = f"restarts-{uuid.uuid4().hex[:8]}"
        self.auditor = RestartAuditor(api, self.namespace)
        self.counts: dict[str, int] = {}
        self._child: Child
        self._lives = 0
        #: Digest and turn of each object when all was right last.
        self._calm: dict[str, tuple[str, int]] = {}

    async def start(self) -> None:
        name = self.namespace
        status, body = await self._api.request(
            "POST", "/api/v1/namespaces", {"metadata": {"name": name}}
        )
        assert status == 201, body
        await put_store(self._api, self._info, name)
        for deployment in DEPLOYMENTS:
            path = f"/apis/apps/v1/namespaces/{name}/deployments"
            status, body = await self._api.request("POST", path, _deployment(deployment))
            assert status == 201, body
        for es, (workloads, more) in OBJECTS.items():
            await self._put_value(es)
            wanted = [{"kind": "Deployment", "name": workload} for workload in workloads]
            entry = {"key": f"restarts/{es}", "name": "v"}
            target = {"rolloutRestart": wanted, **more}
            await self._api.put(external_secret(es, entry, target=target), name)
        await self._begin()

    async def _begin(self) -> None:
        flags = (
            f"--metrics-bind-address=127.0.0.1:{free_port()}",
            "--region=cn-hangzhou",
            f"--kms-endpoint={self._info.endpoint}",
            f"--watch-namespaces={self.namespace}",
            "--polling-interval=1s",
            "--max-concurrent-kms-secret-pulls=100",
            "--log-format=json",
        )
        variables = {
            "KUBECONFIG": str(self._plane.kubeconfig),
            "SSL_CERT_FILE": self._info.ca_file,
            "CHAOS_RESTART_GAP": str(GAP),
        }
        self._lives += 1
        self._child = await Child.start("uvloop", flags, variables)

    async def stop(self) -> None:
        await self._child.end()
        await self._api.request("DELETE", f"/api/v1/namespaces/{self.namespace}")

    async def _put_value(self, es: str) -> None:
        value = f"value {self.auditor.turns[es]} of {es}"
        await self._admin.put_secret(f"restarts/{es}", value)

    # -- Faults ---------------------------------------------------------------------------

    async def value_is_rotated(self) -> None:
        es = self._rng.choice(list(OBJECTS))
        # Before, so that nothing is taken for a restart without a change.
        self.auditor.turns[es] += 1
        await self._put_value(es)

    async def controller_is_killed(self) -> None:
        await self._child.end()
        await asyncio.sleep(self._rng.uniform(0, 2))
        await self._begin()

    async def api_server_is_killed(self) -> None:
        await self._plane.kill_api_server()
        await asyncio.sleep(self._rng.uniform(0, 3))
        await self._plane.start_api_server()

    async def secret_is_edited(self) -> None:
        es = self._rng.choice([name for name in OBJECTS if name != "c"])
        patch = {"data": {"v": "eA=="}, "metadata": {"labels": {"edited": "1"}}}
        with suppress(AssertionError):
            await self._api.merge("Secret", self.namespace, es, patch)

    async def secret_is_deleted(self) -> None:
        with suppress(AssertionError):
            await self._api.delete("Secret", self.namespace, self._rng.choice(list(OBJECTS)))

    @property
    def faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            *([self.value_is_rotated] * 4),
            *([self.controller_is_killed] * 3),
            self.api_server_is_killed,
            self.secret_is_edited,
            self.secret_is_deleted,
        ]

    async def inject(self) -> None:
        fault = self._rng.choice(self.faults)
        name = getattr(fault, "__name__", "fault")
        self.counts[name] = self.counts.get(name, 0) + 1
        await fault()

    async def until_right(self) -> float:
        """Wait until every workload has restarted for the present data; return the seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while wrong := await self._wrong():
            if loop.time() - began > RIGHT_WITHIN:
                raise AssertionError("; ".join([f"after {RIGHT_WITHIN:.0f} s", *wrong]))
            await asyncio.sleep(0.3)
        if self.auditor.complaints:
            raise AssertionError("; ".join(self.auditor.complaints))
        return loop.time() - began

    async def _wrong(self) -> list[str]:
        wrong = []
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        _, listed = await self._api.request("GET", path)
        restarted_for = {
            item["metadata"]["name"]: annotation_of(item).split() for item in listed["items"]
        }
        for es, (workloads, _) in OBJECTS.items():
            turn = self.auditor.turns[es]
            held = values_of(await self._api.find("Secret", self.namespace, es))
            if not any(f"value {turn} of {es}" in value for value in held.values()):
                wrong.append(f"Secret {es} is old")
                continue
            found = await self._api.get("ExternalSecret", self.namespace, es)
            status = (found.get("status") or {}).get("restart") or {}
            digest = status.get("dataDigest", "")
            if not digest or digest != status["restartedFor"]:
                wrong.append(f"{es} has to restart {workloads}")
                continue
            before, turn_before = self._calm.get(es, ("", 0))
            if before and (digest != before) is not (turn != turn_before):
                wrong.append(f"{es} has the digest of other data")
                continue
            mark = f"{es}={digest}."
            missing = [
                workload
                for workload in workloads
                if turn and not any(m.startswith(mark) for m in restarted_for[workload])
            ]
            wrong += [f"{workload} has not restarted for {es}" for workload in missing]
            if not missing:
                self._calm[es] = digest, turn
        return wrong


def _deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    pod = {"containers": [{"name": "one", "image": "registry.example/one:1"}]}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def torment(plane: ControlPlane, info: CloudInfo, seconds: float, seed: int) -> str:
    """Inject faults for so long, in rounds after each of which all is right; return a report."""
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    async with Api(plane) as api, CloudAdmin(info.admin_url) as admin:
        chaos = RestartChaos(plane, info, api, admin, rng)
        await chaos.start()
        watch = asyncio.create_task(chaos.auditor.watch())
        try:
            slowest = await chaos.until_right()
            assert chaos.auditor.restarts == 0, "something restarted at its creation"
            until = loop.time() + seconds
            while loop.time() < until:
                for _ in range(rng.randrange(2, 7)):
                    await chaos.inject()
                    await asyncio.sleep(rng.uniform(0, 3))
                slowest = max(slowest, await chaos.until_right())
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await chaos.stop()
        faults = ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items()))
        restarts = chaos.auditor.restarts
        return f"{faults}; {restarts} restarts; right after {slowest:.1f} s at most"


if __name__ == "__main__":
    run(torment)
