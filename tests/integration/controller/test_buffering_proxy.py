"""A reverse proxy before the API server answers everything, but holds watches back."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from secret_sync.kube import reflector, watch
from tests.chaos.gateway import Gateway
from tests.support.operator import SOON, external_secret, operator, settings_for
from tests.support.program import kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(90)

#: Seconds that stand for the minutes of before.
QUIET = (2.0, 3.0)
IDLE = 1.0


@pytest.fixture
async def gateway(cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(cluster, tmp_path, Random(1)) as gateway:
        yield gateway


@pytest.fixture
def settings(
    cluster: ControlPlane,
    cloud: CloudInfo,
    home: str,
    gateway: Gateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    monkeypatch.setattr(reflector, "QUIET", QUIET)
    monkeypatch.setattr(watch, "IDLE", IDLE)
    config = kubeconfig(
        tmp_path / "kubeconfig", gateway.url, cluster.admin_token, str(gateway.ca_file)
    )
    return settings_for(cluster, cloud, home, kubeconfig=config)


@pytest.mark.parametrize("how", ["headers", "body"])
async def test_changes_are_seen_by_listing(
    gateway: Gateway, settings: Settings, admin: CloudAdmin, api: Api, home: str, how: str
) -> None:
    await admin.put_secret("buffered/one", "one")
    if how == "headers":
        gateway.buffers = True
    else:
        gateway.mute = "/"
    async with operator(settings, ready=False) as controller:
        await asyncio.sleep(2)
        unready = controller.unready
        assert ("no watch of " in unready) == (how == "headers"), unready
        for name in ("some", "more"):
            await api.put(external_secret(name, {"key": "buffered/one", "name": "x"}), home)
            await api.until_holds(home, name, {"x": "one"}, within=8)
        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", {"x": "one"}, within=8)

        gateway.calm()
        gateway.cut(watches_only=True)
        async with asyncio.timeout(SOON):
            while controller.unready:  # noqa: ASYNC110 (as a probe does)
                await asyncio.sleep(0.1)
        await api.delete("Secret", home, "some")
        await api.until_holds(home, "some", {"x": "one"}, within=2)
