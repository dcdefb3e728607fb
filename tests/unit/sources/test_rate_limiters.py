"""The rate of an account outlives the versions of its AccessKey, and its queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeWorld = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_all_versions_of_an_access_key_share_one_rate(make_world: MakeWorld) -> None:
    async with make_world(rate=10) as world:
        versions = [type(world.provider)(version=str(v)) for v in range(20)]
        for provider in versions:
            for i in range(30):
                world.cloud.values[f"s{i}"] = b"x"
                user = f"ns{provider.version}/o{i}"
                world.registry.register(user, [world.want(f"s{i}", provider)], interval=120)
        await asyncio.sleep(1)
        assert len(world.cloud.calls) <= 12


async def test_a_throttled_rate_is_remembered_when_its_last_source_goes(
    make_world: MakeWorld,
) -> None:
    async with make_world(rate=100) as world:
        world.cloud.values["db"] = b"x"
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(10)
        world.cloud.faults["db"] = ThrottledError("slow down", code="Rejected.Throttling")
        await asyncio.sleep(60)
        world.registry.release("ns/a")
        assert not world.registry.queues
        await asyncio.sleep(60)
        world.cloud.faults.clear()
        world.registry.register("ns/a", [world.want("db")], interval=None)
        await asyncio.sleep(1)
        (queue,) = world.registry._fetcher.queues.values()
        assert queue.limiter.rate < 100


async def test_a_gate_that_nobody_passes_is_forgotten_in_the_end(make_world: MakeWorld) -> None:
    async with make_world(rate=100) as world:
        for account in ("one", "two"):
            provider = type(world.provider)(account=account)
            world.registry.register("ns/a", [world.want("db", provider)], interval=None)
            await asyncio.sleep(1000)
            world.registry.release("ns/a")
        limiters = world.registry._fetcher._queues._limiters
        assert len(limiters) == 1
        await asyncio.sleep(1000)
        world.registry.register("ns/a", [world.want("db")], interval=None)
        assert len(limiters) == 1
