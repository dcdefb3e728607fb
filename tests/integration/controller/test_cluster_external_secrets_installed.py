"""ClusterExternalSecrets where their CRD is missing, outdated, or arrives later."""

from __future__ import annotations

import asyncio
import copy
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.fleet import KIND, fleet_of
from tests.support.operator import GROUP, ROOT, Api, operator, settings_for
from tests.support.watching import Watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.fleet import Fleet

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DEFINITION = f"{CRDS}/clusterexternalsecrets.alibabacloud.com"
PACKAGE = "secret_sync.controller.cluster_external_secret.reconciler"
ONE = {"password": "one"}
INSTALLED: dict[str, Any] = yaml.safe_load(
    (ROOT / "crds" / "clusterexternalsecrets.yaml").read_text()
)


@pytest.fixture
async def broken_api(breakable_cluster: ControlPlane) -> AsyncIterator[Api]:
    async with Api(breakable_cluster) as api:
        yield api


@pytest.fixture
async def fleet(
    broken_api: Api, breakable_namespace: str, cloud: CloudInfo
) -> AsyncIterator[Fleet]:
    async with fleet_of(broken_api, breakable_namespace, cloud) as made:
        yield made


@pytest.fixture
async def key(admin: CloudAdmin, breakable_namespace: str) -> str:
    await admin.put_secret(f"fleet/{breakable_namespace}", "one")
    return f"fleet/{breakable_namespace}"


async def install(api: Api, definition: dict[str, Any]) -> None:
    status, body = await api.request("POST", CRDS, definition)
    assert status == 201, body


async def is_served(api: Api) -> bool:
    _, found = await api.request("GET", f"/apis/{GROUP}")
    return any(one["name"] == "clusterexternalsecrets" for one in found["resources"])


async def remove(api: Api) -> dict[str, Any]:
    """Take the definition away, as if it had never been there; return it."""
    await api.request("DELETE", DEFINITION)
    async with asyncio.timeout(30):
        while (await api.request("GET", DEFINITION))[0] != 404:  # noqa: ASYNC110 (no event)
            await asyncio.sleep(0.1)
    return INSTALLED


async def test_the_kind_may_be_installed_later(
    breakable_cluster: ControlPlane, broken_api: Api, cloud: CloudInfo, fleet: Fleet, key: str
) -> None:
    (first,) = await fleet.namespaces("a")
    definition = await remove(broken_api)
    imported = sys.modules.pop(PACKAGE, None)
    try:
        async with operator(settings_for(breakable_cluster, cloud)) as controller:
            await asyncio.sleep(2)
            assert PACKAGE not in sys.modules
            assert controller.watched.cluster_external_secrets is None
            assert not controller.unready
            await install(broken_api, definition)
            async with asyncio.timeout(20):
                while not await is_served(broken_api):  # noqa: ASYNC110 (it has no event)
                    await asyncio.sleep(0.1)
            await broken_api.put(fleet.document(key), "")
            await broken_api.until_holds(first, fleet.name_of(), ONE)
            await fleet.until_count("1/1")
    finally:
        if imported is not None:
            sys.modules[PACKAGE] = imported
        await broken_api.request("POST", CRDS, definition)


async def test_an_outdated_definition_deletes_nothing(
    breakable_cluster: ControlPlane, broken_api: Api, cloud: CloudInfo, fleet: Fleet, key: str
) -> None:
    first, second = await fleet.namespaces("a", "b")
    name = fleet.name_of()
    selectors = [{"matchLabels": {fleet.label: "yes"}}]
    document = fleet.document(key, conditions=[{"namespaces": [first]}])
    document["spec"]["namespaceSelectors"] = selectors
    status, ours = await broken_api.request("GET", DEFINITION)
    assert status == 200
    older = copy.deepcopy(ours["spec"])
    schema = older["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    # What chooses the second namespace.
    del schema["properties"]["namespaceSelectors"]
    kind = {"apiVersion": ours["apiVersion"], "kind": ours["kind"]}
    async with operator(settings_for(breakable_cluster, cloud)) as controller:
        await broken_api.put(document, "")
        await fleet.until_count("2/2")
        async with Watching(broken_api, second, name) as watching:
            await broken_api.replace(DEFINITION, {**kind, "spec": older})
            async with asyncio.timeout(20):
                while not controller.schemas.missing:  # noqa: ASYNC110 (it has no event)
                    await asyncio.sleep(0.05)
            # An edit through the outdated definition loses the selectors for good.
            await broken_api.merge(KIND, "", name, {"metadata": {"labels": {"edited": "x"}}})
            await broken_api.merge(KIND, "", name, {"spec": {"rotationInterval": "9m"}})
            await fleet.until_ready("CRDOutdated")
            await asyncio.sleep(2)
            assert sorted(await fleet.children()) == [first, second]
            await broken_api.replace(DEFINITION, {**kind, "spec": ours["spec"]})
            async with asyncio.timeout(20):
                while controller.schemas.missing:  # noqa: ASYNC110 (it has no event)
                    await asyncio.sleep(0.05)
            # What it says now is not believed until its author has said so.
            await asyncio.sleep(3)
            assert sorted(await fleet.children()) == [first, second]
            await broken_api.put(document, "")
            await fleet.until_count("2/2")
            await watching.check(ONE)
