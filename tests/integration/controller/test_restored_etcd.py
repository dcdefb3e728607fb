"""etcd is restored from a backup under a running controller, which then starts again."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    MERGE,
    Api,
    external_secret,
    install_crds,
    operator,
    put_store,
    secret,
    settings_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.controlplane import StartPlane

pytestmark = pytest.mark.timeout(180)

FORCE = "secret-sync.alibabacloud.com/force-sync"
#: Seconds in which a controller finds the API server again and has written what that lost.
WITHIN = 20.0
#: Seconds for what is repaired without a wait.
AT_ONCE = 3.0


@pytest.fixture(scope="module")
def restorable(request: pytest.FixtureRequest, start_plane: StartPlane) -> Iterator[ControlPlane]:
    """A control plane of its own."""
    with start_plane(request) as plane:
        install_crds(plane)
        yield plane


@pytest.fixture
def place(restorable: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(restorable)


def entry_of(key: str, name: str) -> dict[str, Any]:
    return {"secretStoreRef": {"name": "store"}, "key": f"restored/{key}", "name": name}


@dataclass
class RestoreScenario:
    """What happens before and after a backup."""

    api: Api
    admin: CloudAdmin
    place: str

    async def prepare(self) -> None:
        api, place = self.api, self.place
        target = {"name": "foreign", "creationPolicy": "Merge"}
        await api.put(secret("foreign", {"of": "another"}), place)
        for document in (
            external_secret("value", entry_of("value", "x")),
            external_secret("spec", entry_of("spec", "x")),
            external_secret("merged", entry_of("value", "y"), target=target),
            external_secret("once", entry_of("once", "x"), refreshPolicy="CreatedOnce"),
        ):
            await api.put(document, place)
        for name in ("value", "spec", "merged", "once"):
            await api.until_ready(place, name, "Synced")

    async def change(self) -> None:
        """Do what the backup does not have."""
        api, place = self.api, self.place
        for value in ("two", "three"):
            await self.admin.put_secret("restored/value", value)
            await api.until_holds(place, "value", {"x": value})
        await self.rename("late")
        await self.admin.put_secret("restored/once", "two")
        wish = {"metadata": {"annotations": {FORCE: "now"}}}
        await api.merge("ExternalSecret", place, "once", wish)
        await api.until_holds(place, "once", {"x": "two"})
        await api.put(external_secret("new", entry_of("value", "x")), place)
        await api.until_ready(place, "new", "Synced")

    async def rename(self, name: str, within: float = AT_ONCE) -> None:
        """Change a spec, and wait for its Secret."""
        patch = {"spec": {"data": [entry_of("spec", name)]}}
        await self.api.merge("ExternalSecret", self.place, "spec", patch)
        await self.api.until_holds(self.place, "spec", {name: "one"}, within)
        await self.api.until_ready(self.place, "spec", "Synced", within)

    async def advance(self, writes: int) -> None:
        """Have others write: the versions of everything go on."""
        path = f"/api/v1/namespaces/{self.place}/configmaps"
        await self.api.request("POST", path, {"metadata": {"name": "busy"}})
        for number in range(writes):
            patch = {"data": {"number": str(number)}}
            status, body = await self.api.request("PATCH", f"{path}/busy", patch, MERGE)
            assert status == 200, body

    async def until_written_again(self) -> None:
        """Wait for the newest values, and for nothing else of what was lost."""
        api, place = self.api, self.place
        await api.until_holds(place, "value", {"x": "three"}, WITHIN)
        await api.until_holds(place, "spec", {"x": "one"}, WITHIN)
        await api.until_holds(place, "foreign", {"of": "another", "y": "three"}, WITHIN)
        # The wish is there no more: what was to stay is not fetched again.
        await asyncio.sleep(2)
        await api.until_holds(place, "once", {"x": "one"}, AT_ONCE)
        assert await api.find("Secret", place, "new") is None

    async def edit_and_repair(self) -> None:
        """Nothing waits for versions to be what they were."""
        api, place = self.api, self.place
        for number in range(3):
            edited = base64.b64encode(f"edited {number}".encode()).decode()
            await api.merge("Secret", place, "value", {"data": {"x": edited, "more": edited}})
            await api.until_holds(place, "value", {"x": "three"}, AT_ONCE)
            await self.rename(f"name-{number}")
        await self.admin.put_secret("restored/value", "four")
        await api.until_holds(place, "value", {"x": "four"}, AT_ONCE + 2)
        await api.until_ready(place, "value", "Synced", AT_ONCE)


@pytest.mark.parametrize(
    ("before", "after"), [(400, 0), (0, 400)], ids=["lower versions", "versions overtaken"]
)
async def test_secrets_hold_the_newest_values_and_edits_are_seen(
    restorable: ControlPlane, own_cloud: CloudInfo, place: str, before: int, after: int
) -> None:
    plane = restorable
    async with CloudAdmin(own_cloud.admin_url) as admin:
        await admin.put_secrets({f"restored/{name}": "one" for name in ("value", "spec", "once")})
        async with operator(settings_for(plane, own_cloud, place, polling_interval=1.0)):
            async with Api(plane) as api:
                await put_store(api, own_cloud, place)
                await RestoreScenario(api, admin, place).prepare()
            await plane.back_up()
            async with Api(plane) as api:
                scenario = RestoreScenario(api, admin, place)
                await scenario.change()
                await scenario.advance(before)
            await plane.restore()
            async with Api(plane) as api:
                scenario = RestoreScenario(api, admin, place)
                await scenario.advance(after)
                await scenario.until_written_again()
                await scenario.edit_and_repair()
