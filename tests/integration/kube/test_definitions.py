"""The definitions of our kinds, watched while another installer puts an older one back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from secret_sync.kube import CUSTOM_RESOURCE_DEFINITIONS, Informer
from secret_sync.kube.apply import JSON_PATCH
from secret_sync.resources.schema import FIELDS, Crd
from tests.support.operator import install_crds
from tests.unit.kube.scripted import Recorder, eventually

if TYPE_CHECKING:
    from secret_sync.kube import Change, KubeClient
    from secret_sync.local.controlplane.plane import ControlPlane

NAME = "externalsecrets.alibabacloud.com"
FIELD = (
    "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    "/target/properties/deletionPolicy"
)


async def patch(client: KubeClient, operation: dict[str, Any]) -> None:
    path = CUSTOM_RESOURCE_DEFINITIONS.path(name=NAME)
    await client.request("PATCH", path, body=[operation], content_type=JSON_PATCH)


async def test_an_older_definition_is_noticed_and_so_is_its_repair(
    breakable_control_plane: ControlPlane, breakable_client: KubeClient
) -> None:
    install_crds(breakable_control_plane)
    informer: Informer[Crd] = Informer(
        breakable_client, CUSTOM_RESOURCE_DEFINITIONS, Crd.from_dict, Recorder()
    )
    reported: list[tuple[str, ...]] = []

    def hear(change: Change[Crd]) -> None:
        if change.key == NAME and change.new is not None:
            reported.append(change.new.missing)

    informer.add_handler(hear)
    task = asyncio.create_task(informer.run())
    await informer.wait_synced(10)
    assert set(informer.store) == set(FIELDS), "nothing is kept of other kinds"
    assert reported == [()]
    await patch(breakable_client, {"op": "remove", "path": FIELD})
    await eventually(lambda: reported[-1] == ("spec.target.deletionPolicy",))
    await patch(breakable_client, {"op": "add", "path": FIELD, "value": {"type": "string"}})
    await eventually(lambda: reported[-1] == ())
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
