"""What ack-secret-manager left in odd states: half deleted, or under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.migration.ack import Ack
from tests.integration.migration.older import FINALIZER, RELEASE
from tests.integration.migration.reading import WorkloadReader
from tests.integration.migration.shell import steps
from tests.support.operator import operator, secret, settings_for, store, values_of
from tests.support.watching import editors_of

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.migration.conftest import Populate
    from tests.integration.migration.shell import Shell
    from tests.support.operator import Api

VALUES = {"user": "shop", "password": "correct horse"}
OWNER = "secret-sync.alibabacloud.com/owner"


def finalizers(found: dict[str, Any] | None) -> list[str]:
    return list((found or {"metadata": {}})["metadata"].get("finalizers") or ())


@pytest.mark.parametrize("manager", [RELEASE, "manager"])
@pytest.mark.parametrize("version", ["0.5", "0.6"])
async def test_leftover_secret_is_taken_over_while_kms_has_another_value(
    plane: ControlPlane,
    cloud: CloudInfo,
    api: Api,
    populate: Populate,
    version: Any,
    manager: str,
) -> None:
    """Its last poll was a while ago: from the old pair to the new one, never a mix."""
    old = {"user": "shop", "password": "tr0ub4dor", "gone": "x"}
    ack = await populate(version, old, manager=manager)
    left = await api.get("Secret", ack.home, "database")
    async with (
        WorkloadReader(api, ack.home, "database") as reader,
        operator(settings_for(plane, cloud, ack.home)),
    ):
        await api.until_holds(ack.home, "database", VALUES)
        await api.until_ready(ack.home, "database", "Synced")
        held = await api.get("Secret", ack.home, "database")
        assert held["metadata"]["uid"] == left["metadata"]["uid"]
        assert editors_of(held) == {("secret-sync", "Apply")}
        # In between it may hold all new values and the key that is to go.
        await reader.check(old, {**VALUES, "gone": "x"}, VALUES)


@pytest.mark.parametrize("version", ["0.5", "0.6"])
async def test_object_being_deleted_goes_as_soon_as_the_controller_runs(
    plane: ControlPlane, cloud: CloudInfo, api: Api, populate: Populate, version: Any
) -> None:
    ack = await populate(version, VALUES)
    for kind, name in (("ExternalSecret", "database"), ("SecretStore", "store")):
        await api.delete(kind, ack.home, name)
        stored = await api.get(kind, ack.home, name)
        assert "deletionTimestamp" in stored["metadata"]
        assert finalizers(stored) == [FINALIZER]
    assert values_of(await api.get("Secret", ack.home, "database")) == VALUES
    async with operator(settings_for(plane, cloud, ack.home)):
        for kind, name in (("ExternalSecret", "database"), ("SecretStore", "store")):
            await api.until(kind, ack.home, name, lambda found: found is None)
        assert await api.find("Secret", ack.home, "database") is None
        assert await api.find("Secret", ack.home, "access-key") is not None


async def test_the_finalizer_comes_off_cluster_stores_too(
    plane: ControlPlane, cloud: CloudInfo, api: Api, populate: Populate
) -> None:
    ack = await populate("0.6", VALUES)
    names = [f"{kept}-{ack.home}" for kept in ("stays", "goes")]
    for name in names:
        document = store(name, namespace=ack.home)
        document["kind"] = "ClusterSecretStore"
        document["metadata"]["finalizers"] = [FINALIZER]
        await api.put(document, "")
    await api.delete("ClusterSecretStore", "", names[1])
    async with operator(settings_for(plane, cloud, ack.home)):
        await api.until("ClusterSecretStore", "", names[0], lambda s: not finalizers(s))
        await api.until("ClusterSecretStore", "", names[1], lambda s: s is None)
    await api.delete("ClusterSecretStore", "", names[0])


class Renamed(Ack):
    """0.6.x calls the Secret as ``spec.target.name`` says."""

    async def sync(self, values: dict[str, str]) -> None:
        await self.poll("database", values)
        await self._write_secret("db", values)
        await self.api.delete("Secret", self.home, "database")


@pytest.fixture
async def renamed(api: Api, populate: Populate) -> Ack:
    ack = await populate("0.6", VALUES)
    await api.merge("ExternalSecret", ack.home, "database", {"spec": {"target": {"name": "db"}}})
    await Renamed(api, "0.6", ack.home).sync(VALUES)
    return ack


async def test_a_secret_under_a_target_name_is_taken_over(
    plane: ControlPlane, cloud: CloudInfo, api: Api, renamed: Ack
) -> None:
    async with operator(settings_for(plane, cloud, renamed.home)):
        await api.until_ready(renamed.home, "database", "Synced")
        assert OWNER in (await api.get("Secret", renamed.home, "db"))["metadata"]["annotations"]


async def test_the_author_says_that_a_secret_is_to_be_taken_over(
    plane: ControlPlane,
    cloud: CloudInfo,
    api: Api,
    renamed: Ack,
    shell: Shell,
    tmp_path: Path,
) -> None:
    await api.delete("Secret", renamed.home, "db")
    await api.put(secret("db", VALUES), renamed.home)
    context = yaml.safe_load(plane.kubeconfig.read_text())
    context["contexts"][0]["context"]["namespace"] = renamed.home
    plain = tmp_path / "config"
    plain.write_text(yaml.safe_dump(context))
    before = await api.get("Secret", renamed.home, "db")
    async with (
        WorkloadReader(api, renamed.home, "db") as reader,
        operator(settings_for(plane, cloud, renamed.home)),
    ):
        await api.until_ready(renamed.home, "database", "SecretConflict")
        assert await api.get("Secret", renamed.home, "db") == before
        (step,) = steps("adopt")
        await type(shell)(shell.folder, str(plain)).follow(step)
        await api.until_ready(renamed.home, "database", "Synced")
        await reader.check(VALUES)
