"""An API server whose every answer takes 2.5 s costs nobody the Lease."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.chaos.gateway import Gateway, Trouble
from tests.support.operator import external_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.ha.conftest import Replicas
    from tests.support.operator import Api

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def gateway(audited: ControlPlane, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(audited, tmp_path, Random(1)) as gateway:
        yield gateway


async def test_lease_is_taken_held_and_released(
    replicas: Replicas, admin: CloudAdmin, api: Api, home: str, gateway: Gateway
) -> None:
    await admin.put_secret(f"{home}/one", "value")
    one = await replicas.start("one", gateway.url, str(gateway.ca_file))
    await one.until_says('"leading"')
    gateway.trouble = Trouble(late=2.5)
    # Longer than a lease lasts.
    await asyncio.sleep(20)
    # What it writes is not held back either.
    await api.put(external_secret("some", {"key": f"{home}/one", "name": "x"}), home)
    await api.until_holds(home, "some", {"x": "value"}, within=8)
    assert one.process.returncode is None
    assert not [line for line in one.lines if "lease not reached" in line]

    # Nor does whoever comes after it have it easier.
    two = await replicas.start("two")
    gateway.trouble = Trouble()
    one.process.terminate()
    assert await one.ends() == 0
    await two.until_says('"leading"')
