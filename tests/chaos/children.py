"""Random faults around ClusterExternalSecrets: no child may go that should stay.

``python -m tests.chaos.children --seconds 120`` runs them on a control plane of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import random
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from secret_sync import app
from secret_sync.local.cloud import CloudAdmin
from tests.support.controlplane import own_control_plane
from tests.support.fleet import KIND, Fleet
from tests.support.operator import (
    GROUP,
    Api,
    external_secret,
    install_crds,
    running_cloud,
    settings_for,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

#: Seconds within which everything is right after the faults.
RIGHT_WITHIN: Final = 30.0
NAMESPACES: Final = 8
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION: Final = f"{_CRDS}/clusterexternalsecrets.alibabacloud.com"
_KINDS: Final = {
    "ExternalSecret": f"/apis/{GROUP}/externalsecrets",
    "Secret": "/api/v1/secrets",
}


class ChildrenAuditor:
    """Watches children, their Secrets and the objects of tenants, past all faults.

    Attributes:
        may_go: Namespaces that were not selected for a moment, so that their child may go.
        tenants: Namespaces whose ExternalSecret of that name is a tenant's.
        complaints: What went, or changed, and should not have.
    """

    def __init__(self, api: Api, fleet: Fleet) -> None:
        self._api = api
        self._fleet = fleet
        self.may_go: set[str] = set()
        self.tenants: set[str] = set()
        self.complaints: list[str] = []
        self.events = 0
        self._specs: dict[str, Any] = {}

    async def watch(self, kind: str) -> None:
        version = ""
        forever = aiohttp.ClientTimeout(total=None)
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                if not version:
                    _, found = await self._api.request("GET", _KINDS[kind])
                    version = found["metadata"]["resourceVersion"]
                path = f"{_KINDS[kind]}?watch=true&resourceVersion={version}"
                async with self._api.stream(path, forever) as reply:
                    async for line in reply.content:
                        event = orjson.loads(line)
                        version = event["object"]["metadata"].get("resourceVersion", version)
                        self._saw(kind, event["type"], event["object"])

    def _saw(self, kind: str, sort: str, found: dict[str, Any]) -> None:
        metadata = found["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata.get("name")
        if not namespace.startswith(self._fleet.prefix) or name != self._fleet.name_of():
            return
        self.events += 1
        if namespace in self.tenants:
            self._saw_tenants(kind, sort, found)
        elif sort == "DELETED" and namespace not in self.may_go:
            self.complaints.append(f"{kind} of {namespace} went")
        elif kind == "Secret" and sort != "DELETED" and values_of(found) != {"password": "one"}:
            self.complaints.append(f"Secret of {namespace} holds something else")

    def _saw_tenants(self, kind: str, sort: str, found: dict[str, Any]) -> None:
        if kind != "ExternalSecret":
            return
        namespace = found["metadata"]["namespace"]
        form = found["spec"], found["metadata"].get("ownerReferences"), found["metadata"]["uid"]
        if sort == "DELETED" or self._specs.setdefault(namespace, form) != form:
            self.complaints.append(f"the tenant's ExternalSecret in {namespace} was changed")


class ChildrenChaos:
    """The system, and what is done to it."""

    def __init__(
        self, plane: ControlPlane, info: CloudInfo, api: Api, fleet: Fleet, rng: random.Random
    ) -> None:
        self._settings = settings_for(plane, info, leader_elect=False)
        self._api = api
        self._fleet = fleet
        self._rng = rng
        self._selected: dict[str, bool] = {}
        self._ours: dict[str, Any] = {}
        self.auditor = ChildrenAuditor(api, fleet)
        self.counts: dict[str, int] = {}
        self._controller: asyncio.Task[None] | None = None
        self._key = "fleet/chaos"

    async def start(self) -> None:
        for number in range(NAMESPACES):
            name = await self._fleet.namespace(f"n{number}")
            self._selected[name] = True
        tenant = await self._fleet.namespace("tenant")
        self.auditor.tenants.add(tenant)
        await self._api.put(external_secret(self._fleet.name_of(), {"key": "theirs"}), tenant)
        status, self._ours = await self._api.request("GET", DEFINITION)
        assert status == 200
        await self._api.put(self._document(), "")
        self._controller = asyncio.create_task(self._run())

    def _document(self, **spec: Any) -> dict[str, Any]:
        return self._fleet.document(self._key, **spec)

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            controller = await app.build(self._settings, stack)
            await controller.run(asyncio.Event())

    async def stop(self) -> None:
        if self._controller is not None:
            self._controller.cancel()
            await asyncio.gather(self._controller, return_exceptions=True)

    # -- Faults ---------------------------------------------------------------------------

    async def label_changes(self) -> None:
        name = self._rng.choice(list(self._selected))
        selected = not self._selected[name]
        if not selected:
            self.auditor.may_go.add(name)
        self._selected[name] = selected
        await self._fleet.select(name, selected=selected)

    async def conditions_are_broken_and_mended(self) -> None:
        broken = [{"namespaceRegexes": ["("]}, self._fleet.selector]
        await self._api.put(self._document(conditions=broken), "")
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._api.put(self._document(), "")

    async def store_goes_and_comes_back(self) -> None:
        await self._api.delete("ClusterSecretStore", "", self._fleet.store)
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._fleet.put_cluster_store()

    async def definition_is_outdated_for_a_while(self) -> None:
        older = copy.deepcopy(self._ours["spec"])
        schema = older["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        # All of the children would have to go, if what is read then counted.
        members = schema["properties"]["conditions"]["items"]["properties"]
        del members["namespaceSelector"]
        kind = {"apiVersion": self._ours["apiVersion"], "kind": self._ours["kind"]}
        await self._api.replace(DEFINITION, {**kind, "spec": older})
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        patch = {"spec": {"rotationInterval": f"{self._rng.randrange(1000)}m"}}
        await self._api.merge(KIND, "", self._fleet.name_of(), patch)
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._api.replace(DEFINITION, {**kind, "spec": self._ours["spec"]})
        await asyncio.sleep(3)
        await self._api.put(self._document(), "")

    async def controller_is_killed(self) -> None:
        await self.stop()
        await asyncio.sleep(self._rng.uniform(0, 1))
        self._controller = asyncio.create_task(self._run())

    async def another_object_wants_the_name(self) -> None:
        other = self._fleet.document("another", "other", externalSecretName=self._fleet.name_of())
        await self._api.put(other, "")
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._api.delete(KIND, "", other["metadata"]["name"])

    async def child_is_edited(self) -> None:
        name = self._rng.choice([n for n, selected in self._selected.items() if selected] or [""])
        child = (
            await self._api.find("ExternalSecret", name, self._fleet.name_of()) if name else None
        )
        if child is not None:
            patch = {"spec": {"refreshPolicy": "OnChange"}}
            path = f"/apis/{GROUP}/namespaces/{name}/externalsecrets/{self._fleet.name_of()}"
            await self._api.request("PATCH", path, patch, "application/merge-patch+json")

    @property
    def faults(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            *([self.label_changes] * 4),
            self.conditions_are_broken_and_mended,
            self.store_goes_and_comes_back,
            self.definition_is_outdated_for_a_while,
            self.controller_is_killed,
            self.another_object_wants_the_name,
            self.child_is_edited,
        ]

    async def inject(self) -> None:
        fault = self._rng.choice(self.faults)
        name = getattr(fault, "__name__", "fault")
        self.counts[name] = self.counts.get(name, 0) + 1
        await fault()

    async def until_right(self) -> float:
        """Wait until exactly the selected namespaces have a child; return the seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        wanted = {name for name, selected in self._selected.items() if selected}
        while True:
            children = await self._fleet.children()
            ready = {n for n, c in children.items() if _is_synced(c)} - self.auditor.tenants
            found = set(children) - self.auditor.tenants
            if ready == found == wanted and not self.auditor.complaints:
                self.auditor.may_go.clear()
                self.auditor.may_go.update(self._selected.keys() - wanted)
                return loop.time() - began
            if loop.time() - began > RIGHT_WITHIN:
                raise AssertionError(
                    f"after {RIGHT_WITHIN:.0f} s: wanted {sorted(wanted)}, found {sorted(found)}, "
                    f"ready {sorted(ready)}; {self.auditor.complaints}"
                )
            await asyncio.sleep(0.2)

    async def orphan(self) -> None:
        """Delete the object, but none of its children."""
        path = f"/apis/{GROUP}/clusterexternalsecrets/{self._fleet.name_of()}"
        await self._api.request("DELETE", path, {"propagationPolicy": "Orphan"})
        await asyncio.sleep(4)
        wanted = {name for name, selected in self._selected.items() if selected}
        assert set(await self._fleet.children()) - self.auditor.tenants == wanted


def _is_synced(child: dict[str, Any]) -> bool:
    status = child.get("status") or {}
    none: dict[str, Any] = {}
    ready = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), none)
    current = status.get("observedGeneration") == child["metadata"]["generation"]
    return ready.get("status") == "True" and current


async def torment(plane: ControlPlane, info: CloudInfo, seconds: float, seed: int) -> str:
    """Inject faults for so long, in rounds after each of which all is right; return a report."""
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    async with Api(plane) as api, CloudAdmin(info.admin_url) as admin:
        await admin.put_secret("fleet/chaos", "one")
        fleet = Fleet(api, "default")
        await fleet.put_store(info)
        chaos = ChildrenChaos(plane, info, api, fleet, rng)
        await chaos.start()
        slowest = await chaos.until_right()
        watches = [asyncio.create_task(chaos.auditor.watch(kind)) for kind in _KINDS]
        try:
            until = loop.time() + seconds
            while loop.time() < until:
                for _ in range(rng.randrange(2, 9)):
                    await chaos.inject()
                    await asyncio.sleep(rng.uniform(0, 0.4))
                slowest = max(slowest, await chaos.until_right())
            await chaos.orphan()
        finally:
            await chaos.stop()
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            await fleet.clean_up()
        assert chaos.auditor.complaints == []
        faults = ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items()))
        return f"{faults}; {chaos.auditor.events} states seen; right after {slowest:.1f} s at most"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}\n")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "cloud").mkdir()
        with own_control_plane(directory) as plane, running_cloud(directory / "cloud") as info:
            install_crds(plane)
            report = asyncio.run(torment(plane, info, arguments.seconds, arguments.seed))
    sys.stdout.write(report + "\n")


if __name__ == "__main__":
    main()
