"""From the CRDs without ClusterExternalSecrets: the controller is first, or the CRDs are.

The controller is the program itself, so that a restart would be seen.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.fleet import KIND, fleet_of
from tests.support.operator import GROUP, ROOT, Api, external_secret, put_store
from tests.support.program import running
from tests.support.watching import Watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.fleet import Fleet
    from tests.support.program import Running

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = f"{CRDS}/clusterexternalsecrets.alibabacloud.com"
ONE = {"password": "one"}
TWO = {"password": "two"}
ORDINARY = "ordinary"
#: Seconds until the API server serves a new kind, and somebody has asked it for that.
SERVED = 20


@pytest.fixture
async def older(breakable_cluster: ControlPlane) -> AsyncIterator[Api]:
    """The API server as before the kind: it has only the other three; whole again in the end."""
    async with Api(breakable_cluster) as api:
        await remove(api)
        yield api
        await install(api)


@pytest.fixture
async def fleet(older: Api, breakable_namespace: str, cloud: CloudInfo) -> AsyncIterator[Fleet]:
    await put_store(older, cloud, breakable_namespace)
    async with fleet_of(older, breakable_namespace, cloud) as made:
        yield made


@pytest.fixture
async def key(admin: CloudAdmin, breakable_namespace: str) -> str:
    key = f"upgrade/{breakable_namespace}"
    await admin.put_secret(key, "one")
    return key


@pytest.fixture
def controller(breakable_cluster: ControlPlane, cloud: CloudInfo) -> Any:
    """The program, with the flags that are given."""

    def run(*flags: str) -> AbstractAsyncContextManager[Running]:
        return running(
            *("--region=cn-hangzhou", "--metrics-bind-address=0", "--log-format=json"),
            *("--polling-interval=1s", f"--kms-endpoint={cloud.endpoint}", *flags),
            KUBECONFIG=str(breakable_cluster.kubeconfig),
            SSL_CERT_FILE=cloud.ca_file,
        )

    return run


async def install(api: Api) -> None:
    definition = yaml.safe_load((ROOT / "crds" / "clusterexternalsecrets.yaml").read_text())
    status, body = await api.request("POST", CRDS, definition)
    assert status in {201, 409}, body
    async with asyncio.timeout(SERVED):
        while not await is_served(api):  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.1)


async def is_served(api: Api) -> bool:
    _, found = await api.request("GET", f"/apis/{GROUP}")
    return any(one["name"] == "clusterexternalsecrets" for one in found["resources"])


async def remove(api: Api) -> None:
    await api.request("DELETE", DEFINITION)
    async with asyncio.timeout(SERVED):
        while (await api.request("GET", DEFINITION))[0] != 404:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def ordinary(api: Api, home: str, key: str) -> AsyncIterator[Watching]:
    """An ExternalSecret that has nothing to do with the kind, and the watch of its Secret."""
    await api.put(external_secret(ORDINARY, {"key": key, "name": "password"}), home)
    await api.until_ready(home, ORDINARY, "Synced")
    async with Watching(api, home, ORDINARY) as watching:
        yield watching


def complaints(program: Running, fleet: Fleet) -> list[str]:
    """What it warns of, but for what is left of another test."""
    return [
        line
        for line in program.lines
        if ('"error"' in line or '"warning"' in line)
        and ("fleet-" not in line or fleet.prefix in line)
    ]


async def test_controller_that_is_first_serves_the_kind_once_it_is_installed(
    older: Api, breakable_namespace: str, fleet: Fleet, key: str, controller: Any
) -> None:
    (first,) = await fleet.namespaces("a")
    async with controller() as program, ordinary(older, breakable_namespace, key) as watching:
        await asyncio.sleep(2)
        assert complaints(program, fleet) == []
        await install(older)
        await older.put(fleet.document(key), "")
        await older.until_holds(first, fleet.name_of(), ONE)
        await fleet.until_count("1/1")
        assert program.process.returncode is None
        assert complaints(program, fleet) == []
        await watching.check(ONE)


async def test_definitions_that_are_first_do_not_disturb_the_controller_before(
    older: Api,
    breakable_namespace: str,
    fleet: Fleet,
    key: str,
    controller: Any,
    admin: CloudAdmin,
) -> None:
    (first,) = await fleet.namespaces("a")
    home = breakable_namespace
    # Of a controller without the kind, one that has it turned off does as much.
    async with (
        controller("--process-cluster-external-secret=false") as program,
        ordinary(older, home, key),
    ):
        await install(older)
        await older.put(fleet.document(key), "")
        await admin.put_secret(key, "two")
        await older.until_holds(home, ORDINARY, TWO)
        assert await older.find("ExternalSecret", first, fleet.name_of()) is None
        found = await older.get(KIND, "", fleet.name_of())
        # As the API server made it.
        assert found["status"] == {"observedGeneration": -1}
        assert complaints(program, fleet) == []
    async with Watching(older, home, ORDINARY) as watching, controller() as program:
        await older.until_holds(first, fleet.name_of(), TWO)
        await fleet.until_count("1/1")
        assert complaints(program, fleet) == []
        await watching.check(TWO)


async def test_kind_that_is_removed_and_installed_again_is_served_again(
    older: Api, breakable_namespace: str, fleet: Fleet, key: str, controller: Any
) -> None:
    await fleet.namespaces("a")
    await install(older)
    async with controller() as program, ordinary(older, breakable_namespace, key) as watching:
        await older.put(fleet.document(key), "")
        await fleet.until_count("1/1")
        # All objects of the kind go with it; what becomes of their children is up to the
        # garbage collector, which may not know the kind for half a minute.
        await remove(older)
        await asyncio.sleep(2)
        await install(older)
        later = await fleet.namespace("b")
        await older.put(fleet.document(key, "again", externalSecretName="again"), "")
        await older.until_holds(later, "again", ONE, within=60)
        await fleet.until_count("2/2", "again")
        assert program.process.returncode is None
        await watching.check(ONE)
