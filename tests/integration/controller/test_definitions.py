"""The definitions of our kinds, watched while another installer puts an older one back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from secret_sync.resources.schema import FIELDS
from tests.support.operator import Api, operator, settings_for

if TYPE_CHECKING:
    from secret_sync.app import Controller
    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

DEFINITION = (
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/externalsecrets.alibabacloud.com"
)
FIELD = (
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    "/target/properties/deletionPolicy"
)


def pointed_to(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part) if isinstance(document, list) else part]
    return document


async def until_missing(controller: Controller, fields: int) -> None:
    async with asyncio.timeout(20):
        while controller.schemas.missing != fields:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.05)


async def test_an_older_definition_is_noticed_and_so_is_its_repair(
    breakable_cluster: ControlPlane, cloud: CloudInfo, breakable_namespace: str
) -> None:
    async with (
        Api(breakable_cluster) as api,
        operator(settings_for(breakable_cluster, cloud, breakable_namespace)) as controller,
    ):

        async def patch(**operation: object) -> None:
            body = [{"path": FIELD, **operation}]
            patched = await api.request("PATCH", DEFINITION, body, "application/json-patch+json")
            assert patched[0] == 200, patched

        await until_missing(controller, 0)
        assert set(controller.watched.definitions.store) == set(FIELDS), "nothing of other kinds"
        _, found = await api.request("GET", DEFINITION)
        ours = pointed_to(found, FIELD)
        await patch(op="remove")
        await until_missing(controller, 1)
        await patch(op="add", value=ours)
        await until_missing(controller, 0)
