"""ack-secret-manager still at work beside us: nothing flaps, and who reverts whom is reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.migration.ack import install_definitions, until_definitions
from tests.integration.migration.older import FINALIZER, RELEASE
from tests.integration.migration.reading import WorkloadReader
from tests.integration.migration.shell import steps
from tests.support.operator import operator, ready_of, settings_for, version_of
from tests.support.watching import editors_of

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.migration.ack import Ack
    from tests.integration.migration.conftest import Populate
    from tests.integration.migration.shell import Shell
    from tests.support.operator import Api

VALUES = {"user": "shop", "password": "correct horse"}


def finalizers(found: dict[str, Any] | None) -> list[str]:
    return list((found or {"metadata": {}})["metadata"].get("finalizers") or ())


async def settled(ack: Ack) -> None:
    """Waits until the statuses are ours again."""
    await ack.api.until_ready(ack.home, "database", "Synced")
    await ack.api.until_ready(ack.home, "store", "Ready", kind="SecretStore")


@pytest.mark.parametrize("version", ["0.5", "0.6"])
async def test_equal_values_of_both_controllers_cause_no_write(
    plane: ControlPlane, cloud: CloudInfo, api: Api, populate: Populate, version: Any
) -> None:
    ack = await populate(version, VALUES)
    async with (
        WorkloadReader(api, ack.home, "database") as reader,
        operator(settings_for(plane, cloud, ack.home)),
    ):
        await settled(ack)
        await api.until("ExternalSecret", ack.home, "database", lambda e: not finalizers(e))
        held = await api.get("Secret", ack.home, "database")
        assert editors_of(held) == {("secret-sync", "Apply")}
        ack.writes.clear()
        for number in range(5):
            await ack.poll("database", VALUES)
            await ack.visit_store("store")
            if number < 2:
                await api.until("ExternalSecret", ack.home, "database", lambda e: not finalizers(e))
                await api.until("SecretStore", ack.home, "store", lambda s: not finalizers(s))
        await asyncio.sleep(1)
        assert version_of(await api.get("Secret", ack.home, "database")) == version_of(held)
        # Its polls were felt: it wrote whatever it writes, but for the Secret.
        assert ack.writes["ExternalSecret/status"] >= 1
        assert ack.writes["ExternalSecret"] == ack.writes["SecretStore"] == 3
        assert "Secret" not in ack.writes
        # Three times are enough to know that somebody insists.
        for kind, name in (("ExternalSecret", "database"), ("SecretStore", "store")):
            assert finalizers(await api.get(kind, ack.home, name)) == [FINALIZER]
        await reader.check(VALUES)


@pytest.mark.parametrize("version", ["0.5", "0.6"])
async def test_restart_writes_a_replaced_status_again(
    plane: ControlPlane, cloud: CloudInfo, api: Api, populate: Populate, version: Any
) -> None:
    ack = await populate(version, VALUES)
    async with operator(settings_for(plane, cloud, ack.home)):
        await settled(ack)
    await ack.poll("database", VALUES)
    await ack.visit_store("store")
    assert ready_of(await api.get("ExternalSecret", ack.home, "database")) == {}
    async with operator(settings_for(plane, cloud, ack.home)):
        await settled(ack)


@pytest.mark.parametrize("version", ["0.5", "0.6"])
async def test_different_values_leave_the_secret_whole_and_name_the_other_controller(
    plane: ControlPlane, cloud: CloudInfo, api: Api, populate: Populate, version: Any
) -> None:
    # As 0.5.x makes a number of a YAML document: with a line break.
    theirs = {**VALUES, "user": "shop\n"}
    ack = await populate(version, theirs)
    async with (
        WorkloadReader(api, ack.home, "database") as reader,
        operator(settings_for(plane, cloud, ack.home)),
    ):
        await settled(ack)
        await api.until_holds(ack.home, "database", VALUES)
        for _ in range(3):
            await ack.poll("database", theirs)
            await api.until_holds(ack.home, "database", VALUES)
        await ack.poll("database", theirs)
        condition = await api.until_ready(ack.home, "database", "WriteConflict")
        assert RELEASE in condition["message"]
        left = await api.get("Secret", ack.home, "database")
        await ack.poll("database", theirs)
        await asyncio.sleep(1)
        assert version_of(await api.get("Secret", ack.home, "database")) == version_of(left)
        await reader.check(theirs, VALUES)
        assert len(reader.seen) <= 9
    # With it gone, a new start takes the Secret over for good.
    async with operator(settings_for(plane, cloud, ack.home)):
        await api.until_holds(ack.home, "database", VALUES)
        await settled(ack)
        await api.until("ExternalSecret", ack.home, "database", lambda e: not finalizers(e))


async def test_upgrade_of_ack_secret_manager_puts_the_old_definitions_back_without_loss(
    plane: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    populate: Populate,
    shell: Shell,
) -> None:
    ack = await populate("0.5", VALUES)
    retain = {"spec": {"target": {"deletionPolicy": "Retain"}}}
    async with (
        WorkloadReader(api, ack.home, "database") as reader,
        operator(settings_for(plane, cloud, ack.home)),
    ):
        await settled(ack)
        await api.merge("ExternalSecret", ack.home, "database", retain)
        await api.until(
            "Secret", ack.home, "database", lambda s: "ownerReferences" not in (s or {})["metadata"]
        )
        held = await api.get("Secret", ack.home, "database")
        await install_definitions(api, "0.5")
        await until_definitions(api, ack.home, "refreshPolicy", there=False)
        await ack.poll("database", VALUES)
        # Of the status only what the old definition knows is kept, so the condition is missing.
        await asyncio.sleep(2)
        assert await api.get("Secret", ack.home, "database") == held
        for step in steps("install"):
            await shell.follow(step)
        await api.merge("ExternalSecret", ack.home, "database", retain)
        await settled(ack)
        await reader.check(VALUES)
