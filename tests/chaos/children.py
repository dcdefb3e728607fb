"""Random faults around ClusterExternalSecrets: no child may go that should stay.

``python -m tests.chaos.children --seconds 120`` runs them on a control plane of its own.
"""

from __future__ import annotations

import asyncio
import copy
import random
import signal
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.cloud import CloudAdmin
from tests.chaos.children_auditor import WATCHED, ChildrenAuditor
from tests.chaos.command import run
from tests.chaos.process import Child
from tests.support.fleet import KIND, Fleet
from tests.support.operator import (
    MERGE,
    Api,
    external_secret,
    path_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

    Fault = Callable[[], Coroutine[Any, Any, None]]

#: Seconds within which everything is right after the faults.
RIGHT_WITHIN: Final = 30.0
NAMESPACES: Final = 8
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION: Final = f"{_CRDS}/clusterexternalsecrets.alibabacloud.com"
ADOPT: Final = {"secret-sync.alibabacloud.com/adopt": "true"}
#: Awaits after which a life ends at the latest, and seconds.
AWAITS: Final = 4000
SECONDS: Final = 4.0


class ChildrenChaos:
    """The system, and what is done to it."""

    def __init__(
        self, plane: ControlPlane, info: CloudInfo, api: Api, fleet: Fleet, rng: random.Random
    ) -> None:
        self._flags, self._variables = _program(plane, info)
        self._api = api
        self._fleet = fleet
        self._rng = rng
        self._selected: dict[str, bool] = {}
        self._ours: dict[str, Any] = {}
        self.auditor = ChildrenAuditor(api, fleet)
        self.counts: dict[str, int] = {}
        self.complaints: list[str] = []
        self._child: Child
        self._key = "fleet/chaos"
        self._number = 0
        self._happened: list[str] = []

    async def start(self) -> None:
        for _ in range(NAMESPACES):
            await self._add_namespace()
        tenant = await self._fleet.namespace("tenant")
        self.auditor.tenants.add(tenant)
        await self._api.put(external_secret(self._fleet.name_of(), {"key": "theirs"}), tenant)
        status, self._ours = await self._api.request("GET", DEFINITION)
        assert status == 200
        await self._api.put(self._document(), "")
        await self._begin()

    async def _add_namespace(self) -> None:
        self._number += 1
        name = await self._fleet.namespace(f"n{self._number}")
        self._selected[name] = True
        # Whichever of two objects comes first has it, and takes it along when it goes.
        self.auditor.may_go.add(name)

    def _document(self, **spec: Any) -> dict[str, Any]:
        return self._fleet.document(self._key, **spec)

    async def _begin(self) -> None:
        """Another life of the controller, on either event loop."""
        loop = self._rng.choice(["uvloop", "asyncio"])
        self._child = await Child.start(loop, self._flags, self._variables)

    async def kill(self) -> None:
        """End the present life by SIGKILL, and look at what it said."""
        child = self._child
        await child.end()
        if not child.doomed and child.process.returncode != -signal.SIGKILL:
            code = child.process.returncode
            self.complaints.append(f"it ended by itself with {code}: {child.lines[-1:]}")
        for line in child.lines:
            unforeseen = '"level":"error"' in line and "CRD outdated" not in line
            if '"exception"' in line or unforeseen:
                self.complaints.append(f"an error that nobody foresaw: {line.strip()[:2000]}")

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
        killed = self._rng.random() < 1 / 2
        if killed:
            # Of what a life has not told nobody can know later.
            await self._fleet.until_ready("CRDOutdated")
            await asyncio.sleep(self._rng.uniform(0, 1))
            await self.kill()
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._api.replace(DEFINITION, {**kind, "spec": self._ours["spec"]})
        if killed:
            await self._begin()
        await asyncio.sleep(self._rng.uniform(0, 4))
        await self._api.put(self._document(), "")

    async def controller_is_killed(self) -> None:
        """At any moment, or any await, of something else; once or twice in a row."""
        for _ in range(self._rng.randrange(1, 3)):
            await asyncio.sleep(self._rng.uniform(0, SECONDS))
            self._child.report("die", after=self._rng.randrange(AWAITS))
            happening = asyncio.create_task(self._rng.choice(self.harmless_to_it)())
            await asyncio.sleep(self._rng.uniform(0, 1))
            await self.kill()
            if self._rng.random() < 1 / 2:
                await happening
            await self._begin()
            await happening

    async def another_object_wants_the_name(self) -> None:
        other = self._fleet.document("another", "other", externalSecretName=self._fleet.name_of())
        await self._api.put(other, "")
        await asyncio.sleep(self._rng.uniform(0, 1.5))
        await self._api.delete(KIND, "", other["metadata"]["name"])

    async def object_is_orphaned_and_made_again(self) -> None:
        """``--cascade=orphan``; the tenants let the new one have what it left."""
        await self._orphan()
        await self._api.put(self._document(), "")
        for name in set(await self._fleet.children()) - self.auditor.tenants:
            if self._selected.get(name):
                await self._patch(name, {"metadata": {"annotations": ADOPT}})
            else:
                # The former one would have deleted it.
                await self._api.delete("ExternalSecret", name, self._fleet.name_of())

    async def child_is_edited(self) -> None:
        patches: list[dict[str, Any]] = [
            {"spec": {"refreshPolicy": "OnChange"}},
            {"spec": {"data": [{"key": "fleet/none", "name": "theirs"}]}},
            {"metadata": {"labels": {"theirs": "x"}, "finalizers": ["test/theirs"]}},
        ]
        name = self._any_selected()
        if name:
            await self._patch(name, self._rng.choice(patches))
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            await self._patch(name, {"metadata": {"finalizers": None}})

    async def child_is_deleted(self) -> None:
        """By its tenant; its Secret goes with it, and both come back."""
        name = self._any_selected()
        if name:
            self.auditor.may_go.add(name)
            await self._api.request(
                "DELETE", path_of("ExternalSecret", name, self._fleet.name_of())
            )

    async def namespace_goes_and_another_comes(self) -> None:
        name = self._rng.choice(list(self._selected))
        del self._selected[name]
        self.auditor.may_go.add(name)
        await self._api.request("DELETE", f"/api/v1/namespaces/{name}")
        await self._add_namespace()

    def _any_selected(self) -> str:
        return self._rng.choice([n for n, selected in self._selected.items() if selected] or [""])

    async def _patch(self, namespace: str, patch: dict[str, Any]) -> None:
        """Edit the child of a namespace, if it has one."""
        path = path_of("ExternalSecret", namespace, self._fleet.name_of())
        await self._api.request("PATCH", path, patch, MERGE)

    @property
    def harmless_to_it(self) -> list[Fault]:
        """What may happen while the controller lives or dies."""
        return [
            *([self.label_changes] * 4),
            self.conditions_are_broken_and_mended,
            self.store_goes_and_comes_back,
            self.another_object_wants_the_name,
            self.object_is_orphaned_and_made_again,
            self.child_is_edited,
            self.child_is_deleted,
            self.namespace_goes_and_another_comes,
        ]

    @property
    def faults(self) -> list[Fault]:
        return [
            *self.harmless_to_it,
            *([self.controller_is_killed] * 3),
            self.definition_is_outdated_for_a_while,
        ]

    async def inject(self, fault: Fault | None = None) -> None:
        """Do one thing to the system, by chance unless it is given."""
        fault = fault or self._rng.choice(self.faults)
        name = getattr(fault, "__name__", "fault")
        self.counts[name] = self.counts.get(name, 0) + 1
        self._happened.append(name)
        await fault()

    async def until_right(self) -> float:
        """Wait until exactly the selected namespaces have a child; return the seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        wanted = {name for name, selected in self._selected.items() if selected}
        while True:
            children = await self._fleet.children()
            owner = await self._api.get(KIND, "", self._fleet.name_of())
            # One of another object goes with that, once the garbage collector comes to it.
            ready = {n for n, c in children.items() if _is_synced(c) and _belongs(c, owner)}
            found = set(children) - self.auditor.tenants
            if not self._child.alive:
                await self.kill()
            complaints = self.auditor.complaints + self.complaints
            if complaints:
                after = ", ".join(self._happened[-8:])
                raise AssertionError("\n  ".join([f"wrong after {after}:", *complaints]))
            if ready == found == wanted:
                self.auditor.may_go.clear()
                self.auditor.may_go.update(self._selected.keys() - wanted)
                return loop.time() - began
            if loop.time() - began > RIGHT_WITHIN:
                raise AssertionError(
                    f"after {RIGHT_WITHIN:.0f} s: wanted {sorted(wanted)}, found {sorted(found)}, "
                    f"ready {sorted(ready)}; {await self._said()}"
                )
            await asyncio.sleep(0.2)

    async def _said(self) -> list[str]:
        """What the object says, and the last words of the controller."""
        found = await self._api.find(KIND, "", self._fleet.name_of())
        conditions = ((found or {}).get("status") or {}).get("conditions") or ()
        return [*(c["message"] for c in conditions), *self._child.lines[-3:]]

    async def orphan(self) -> None:
        """Delete the object, but none of its children."""
        # The garbage collector lets go of those that it knows.
        await asyncio.sleep(2)
        await self._orphan()
        await asyncio.sleep(4)
        wanted = {name for name, selected in self._selected.items() if selected}
        found = set(await self._fleet.children()) - self.auditor.tenants
        if found != wanted:
            raise AssertionError(f"orphaned {sorted(wanted)}, found {sorted(found)}")

    async def _orphan(self) -> None:
        name = self._fleet.name_of()
        path = path_of(KIND, "", name)
        await self._api.request("DELETE", path, {"propagationPolicy": "Orphan"})
        await self._api.until(KIND, "", name, lambda found: found is None)


def _program(plane: ControlPlane, info: CloudInfo) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the flags and the environment of the controller."""
    flags = (
        "--metrics-bind-address=0",
        "--region=cn-hangzhou",
        f"--kms-endpoint={info.endpoint}",
        f"--sts-endpoint={info.endpoint}",
        "--max-concurrent-kms-secret-pulls=1000",
        "--log-format=json",
    )
    return flags, {"KUBECONFIG": str(plane.kubeconfig), "SSL_CERT_FILE": info.ca_file}


def _belongs(child: dict[str, Any], owner: dict[str, Any]) -> bool:
    references = child["metadata"].get("ownerReferences") or ()
    return owner["metadata"]["uid"] in [r["uid"] for r in references if r.get("controller")]


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
    # Else it would not know whose children are to lose their owner.
    await plane.learn_kinds()
    async with Api(plane) as api, CloudAdmin(info.admin_url) as admin:
        await admin.put_secret("fleet/chaos", "one")
        fleet = Fleet(api, "default")
        await fleet.put_store(info)
        chaos = ChildrenChaos(plane, info, api, fleet, rng)
        await chaos.start()
        slowest = await chaos.until_right()
        watches = [asyncio.create_task(chaos.auditor.watch(kind)) for kind in WATCHED]
        try:
            # However short this is.
            await chaos.inject(chaos.controller_is_killed)
            until = loop.time() + seconds
            while loop.time() < until:
                for _ in range(rng.randrange(2, 9)):
                    await chaos.inject()
                    await asyncio.sleep(rng.uniform(0, 0.4))
                slowest = max(slowest, await chaos.until_right())
            await chaos.orphan()
        finally:
            await chaos.kill()
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            await fleet.clean_up()
        assert chaos.auditor.complaints + chaos.complaints == []
        faults = ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items()))
        return f"{faults}; {chaos.auditor.events} states seen; right after {slowest:.1f} s at most"


if __name__ == "__main__":
    run(torment)
