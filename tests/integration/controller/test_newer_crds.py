"""The CRDs of a newer version, as after a downgrade: the controller works and takes nothing away.

docs/versioning.md promises it. On the control plane that may be broken, as test_life_outdated.py.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.resources.schema import FIELDS
from tests.support.operator import (
    MERGE,
    Api,
    external_secret,
    operator,
    path_of,
    put_store,
    settings_for,
)
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

NAME = "externalsecrets.alibabacloud.com"
DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}"
LATER = {"type": "object", "properties": {"some": {"type": "string"}}}
NEW = {"later": {"some": "new"}}


@pytest.fixture
async def newer_api(
    breakable_cluster: ControlPlane, cloud: CloudInfo, breakable_namespace: str
) -> AsyncIterator[Api]:
    """With a field ``later`` in spec, target and status that this version does not know."""
    async with Api(breakable_cluster) as api:
        await put_store(api, cloud, breakable_namespace)
        status, ours = await api.request("GET", DEFINITION)
        assert status == 200
        kind = {"apiVersion": ours["apiVersion"], "kind": ours["kind"]}
        newer = copy.deepcopy(ours["spec"])
        parts = newer["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for place in (parts["spec"], parts["status"], parts["spec"]["properties"]["target"]):
            place["properties"]["later"] = LATER
        await api.replace(DEFINITION, {**kind, "spec": newer})
        yield api
        await api.replace(DEFINITION, {**kind, "spec": ours["spec"]})


async def until_kept(api: Api, home: str, document: dict[str, Any]) -> None:
    """The API server takes a moment to go by another definition."""
    path = f"{path_of('ExternalSecret', home)}?dryRun=All"
    async with asyncio.timeout(30):
        while True:
            status, body = await api.request("POST", path, document)
            assert status == 201, body
            if "later" in body["spec"]:
                return
            await asyncio.sleep(0.05)


async def test_newer_crds_lose_no_field_and_stop_nothing(
    breakable_cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    newer_api: Api,
    breakable_namespace: str,
) -> None:
    api, home = newer_api, breakable_namespace
    assert "spec.later" not in FIELDS[NAME]
    await admin.put_secret("newer/one", "one")
    entry = {"key": "newer/one", "name": "password"}
    document = external_secret("some", entry, target={"name": "some", **NEW}, **NEW)
    await until_kept(api, home, document)
    async with operator(settings_for(breakable_cluster, cloud, home)) as controller:
        await api.put(document, home)
        await api.until_holds(home, "some", {"password": "one"})
        await api.until_ready(home, "some", "Synced")
        assert controller.schemas.missing == 0

        # As the newer version has left it.
        path = f"{path_of('ExternalSecret', home, 'some')}/status?fieldManager=newer"
        status, body = await api.request("PATCH", path, {"status": NEW}, MERGE)
        assert (status, body["status"]["later"]) == (200, NEW["later"])
        await admin.put_secret("newer/one", "two")
        before = body["status"]["lastSyncTime"]
        await asyncio.sleep(1.1)
        await force_sync(api, home, "some", "now")
        await api.until_holds(home, "some", {"password": "two"})
        found = await api.until(
            "ExternalSecret", home, "some", lambda o: (o or {})["status"]["lastSyncTime"] > before
        )
    assert found["spec"]["later"] == found["spec"]["target"]["later"] == NEW["later"]
    assert found["status"]["later"] == NEW["later"]
