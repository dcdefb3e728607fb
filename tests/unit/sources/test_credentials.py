"""Sources whose credentials cannot be had follow these, and cost the account's rate nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.errors import SecretSyncError

    MakeWorld = Callable[..., Any]

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    "error", [TransientError("API server away"), DefiniteError("no such Secret", code="NotFound")]
)
async def test_sources_follow_their_credentials(
    make_world: MakeWorld, error: SecretSyncError
) -> None:
    async with make_world(rate=10) as world:
        wanted = [world.want(f"s{i}") for i in range(50)]
        world.cloud.values = {w.source.name: b"x" for w in wanted}
        world.provider.error = error
        world.registry.register("ns/a", wanted, interval=120)
        await asyncio.sleep(1000)
        assert not world.cloud.calls
        # Fifty failures are hardly more log lines than one.
        assert 1 <= world.notified_of("ns/a") <= 2
        world.provider.error = None
        # Credentials are asked for every minute, and 50 sources take five seconds.
        await asyncio.sleep(60 + 6)
        readings = world.registry.register("ns/a", wanted, interval=120)
        assert all(r.data == b"x" for r in readings)


async def test_a_retry_without_credentials_takes_no_rate(make_world: MakeWorld) -> None:
    async with make_world(rate=1) as world:
        broken = type(world.provider)(account="broken", error=TransientError("API server away"))
        world.cloud.values = {"fine": b"x"}
        for i in range(30):
            want = world.want(f"s{i}", broken)
            world.registry.register(f"ns/{i}", [want], interval=120)
        await asyncio.sleep(600)
        attempts = broken.fetches
        while broken.fetches == attempts:  # noqa: ASYNC110 (the virtual clock runs by sleeping)
            await asyncio.sleep(0.1)
        # All thirty come back now; at a call a second this one would wait for half a minute.
        want = world.want("fine")
        world.registry.register("ns/fine", [want], interval=120, urgent=False)
        await asyncio.sleep(3)
        assert world.notified_of("ns/fine") == 1
