"""How late values are: what the metrics of freshness are read from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, TransientError
from secret_sync.sources.source_state import JITTER

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeWorld = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

DOWN = TransientError("down", code="ServiceUnavailable")


async def test_nothing_is_late_while_all_is_well(make_world: MakeWorld) -> None:
    async with make_world() as world:
        assert world.registry.freshness() == (0, 0.0)
        world.cloud.values = dict.fromkeys("abc", b"x")
        for name in "abc":
            world.registry.register(f"ns/{name}", [world.want(name)], interval=60)
        seen = set()
        for _ in range(600):
            await asyncio.sleep(1)
            stale, overdue = world.registry.freshness()
            seen.add(stale)
            # What the call takes.
            assert overdue < 0.2
        assert seen == {0}


async def test_a_value_is_overdue_past_one_interval_and_stale_past_two(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values = {"db": b"one", "other": b"x"}
        world.registry.register("ns/a", [world.want("db"), world.want("other")], interval=60)
        await asyncio.sleep(1)
        world.cloud.faults["db"] = DOWN
        await asyncio.sleep(60 * (1 + JITTER) - 2)
        assert world.registry.freshness() == (0, 0.0)
        await asyncio.sleep(50)
        assert world.registry.freshness() == (0, pytest.approx(49, abs=0.5))
        await asyncio.sleep(10)
        assert world.registry.freshness() == (1, pytest.approx(59, abs=0.5))
        del world.cloud.faults["db"]
        await asyncio.sleep(300)
        assert world.registry.freshness() == (0, 0.0)


async def test_value_that_never_came_is_late_since_it_was_requested(make_world: MakeWorld) -> None:
    async with make_world() as world:
        await asyncio.sleep(500)
        world.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(119)
        assert world.registry.freshness() == (0, pytest.approx(119 - 66, abs=0.1))
        await asyncio.sleep(2)
        assert world.registry.freshness().stale == 1


async def test_the_shortest_interval_of_its_users_counts(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/slow", [world.want("db")], interval=3600)
        world.registry.register("ns/fast", [world.want("db")], interval=60)
        world.registry.register("ns/never", [world.want("db")], interval=None)
        await asyncio.sleep(1)
        world.cloud.faults["db"] = DOWN
        await asyncio.sleep(300)
        assert world.registry.freshness().stale == 1
        world.registry.release("ns/fast")
        assert world.registry.freshness() == (0, 0.0)


async def test_unpolled_value_is_never_late(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db"), world.want("gone")], interval=None)
        await asyncio.sleep(100_000)
        assert world.registry.freshness() == (0, 0.0)


async def test_unwanted_value_is_not_late(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.faults = {"a": DOWN, "b": DOWN}
        for name in "ab":
            world.registry.register(f"ns/{name}", [world.want(name)], interval=60)
        await asyncio.sleep(500)
        assert world.registry.freshness().stale == 2
        world.registry.suspend("ns/a")
        world.registry.release("ns/b")
        assert world.registry.freshness() == (0, 0.0)


async def test_the_rate_makes_values_late_too(make_world: MakeWorld) -> None:
    async with make_world(rate=1) as world:
        names = [f"s{i}" for i in range(100)]
        world.cloud.values = dict.fromkeys(names, b"x")
        world.registry.register("ns/all", [world.want(n) for n in names], interval=20)
        await asyncio.sleep(600)
        stale, overdue = world.registry.freshness()
        # Each is polled once in 100 seconds, not 20.
        assert 50 <= stale <= 70
        assert overdue == pytest.approx(80, abs=10)
