"""The rate of an account outlives the versions of its AccessKey, and its queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ThrottledError
from secret_sync.sources.rate_limiters import KEEP_SECONDS

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
        unproved, own = world.limiters
        assert unproved.rate == 100
        assert own.rate < 100, "the limiter of the identity is the one that was throttled"


async def test_unused_limiter_is_kept_for_a_while_and_then_removed(make_world: MakeWorld) -> None:
    async with make_world(rate=100) as world:

        async def use(seconds: float) -> None:
            world.registry.register("ns/a", [world.want("db")], interval=None)
            await asyncio.sleep(1)
            world.registry.release("ns/a")
            await asyncio.sleep(seconds)

        await use(KEEP_SECONDS - 10)
        await use(KEEP_SECONDS + 10)
        assert len(world.limiters) == 1
        await use(0)
        assert len(world.limiters) == 2
