"""Deleting an ExternalSecret: the garbage collector takes its Secret, and nothing hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.operator import external_secret, operator, settings_for

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api


async def test_the_secret_goes_with_its_external_secret(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    await admin.put_secret("removal/one", "one")
    async with operator(settings_for(cluster, cloud, home)):
        await api.put(external_secret("some", {"key": "removal/one", "name": "a"}), home)
        await api.until_ready(home, "some", "Synced")
        assert "finalizers" not in (await api.get("ExternalSecret", home, "some"))["metadata"]
        await api.delete("ExternalSecret", home, "some")
        assert await api.find("ExternalSecret", home, "some") is None
        # The garbage collector looks for new kinds every half minute, so it takes this long
        # where this test is the first to install them.
        await api.until("Secret", home, "some", lambda found: found is None, within=60)


async def test_it_goes_although_the_controller_is_not_running(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    await admin.put_secret("removal/one", "one")
    async with operator(settings_for(cluster, cloud, home)):
        await api.put(external_secret("some", {"key": "removal/one", "name": "a"}), home)
        await api.until_ready(home, "some", "Synced")
    await api.delete("ExternalSecret", home, "some")
    await api.until("Secret", home, "some", lambda found: found is None, within=60)
