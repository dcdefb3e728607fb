"""When a service is down, and when it is back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ClockError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.errors import SecretSyncError

    MakeWorld = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

DOWN = TransientError("down", code="ServiceUnavailable")
LATE = ClockError("the clock is wrong", code="InvalidTimeStamp.Expired")
#: What is promised of the time after an outage, in seconds.
BACK_WITHIN = 30.0


def names(count: int) -> list[str]:
    return [f"db-{number}" for number in range(count)]


def register(world: Any, *wanted: str, interval: float | None = 120) -> None:
    for name in wanted:
        world.registry.register(f"ns/{name}", [world.want(name)], interval=interval)


def without_value(world: Any, *wanted: str) -> list[str]:
    """Those that are in trouble still."""
    return [
        name
        for name in wanted
        for reading in world.registry.register(f"ns/{name}", [world.want(name)], interval=120)
        if reading.error is not None
    ]


@pytest.mark.parametrize("fault", [DOWN, LATE], ids=["down", "clock"])
@pytest.mark.parametrize(("count", "minutes"), [(1, 120), (3, 10), (60, 20)])
async def test_everything_is_there_soon_after_an_outage(
    make_world: MakeWorld, count: int, minutes: int, fault: SecretSyncError
) -> None:
    wanted = names(count)
    async with make_world() as world:
        world.cloud.values = dict.fromkeys(wanted, b"one")
        world.cloud.faults = dict.fromkeys(wanted, fault)
        register(world, *wanted)
        await asyncio.sleep(60 * minutes)
        world.cloud.faults.clear()
        await asyncio.sleep(BACK_WITHIN)
        assert without_value(world, *wanted) == []


async def test_a_long_outage_is_no_time_of_more_calls_than_there_are_sources(
    make_world: MakeWorld,
) -> None:
    wanted = names(60)
    async with make_world() as world:
        world.cloud.faults = dict.fromkeys(wanted, DOWN)
        register(world, *wanted)
        await asyncio.sleep(1200)
        before = len(world.cloud.calls)
        await asyncio.sleep(600)
        # Rounds of four tries every 225 to 375 seconds.
        assert 4 * 60 <= len(world.cloud.calls) - before <= 4 * 60 * 3


async def test_failing_source_is_not_retried_more_often_because_others_succeed(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values = dict.fromkeys(names(10), b"one")
        world.cloud.faults["broken"] = DOWN
        register(world, *names(10), interval=10)
        register(world, "broken", interval=10)
        await asyncio.sleep(600)
        before = world.cloud.count("broken")
        await asyncio.sleep(600)
        # Rounds of four tries, one every 15 seconds at most.
        assert 4 * 15 <= world.cloud.count("broken") - before <= 4 * 41


@pytest.mark.parametrize("order", [("gone", "kept"), ("kept", "gone")])
async def test_a_source_that_is_released_in_an_outage_is_not_asked_for_after_it(
    make_world: MakeWorld, order: tuple[str, str]
) -> None:
    async with make_world() as world:
        world.cloud.faults = dict.fromkeys(["gone", "kept"], DOWN)
        world.cloud.values["kept"] = b"one"
        # Whichever it is that asks for all: the other one takes its place.
        register(world, *order)
        await asyncio.sleep(600)
        world.registry.release("ns/gone")
        before = world.cloud.count("gone")
        world.cloud.faults.clear()
        await asyncio.sleep(BACK_WITHIN)
        assert without_value(world, "kept") == []
        assert world.cloud.count("gone") == before


async def test_an_endpoint_that_answers_for_the_first_time_leaves_the_others_in_their_outage(
    make_world: MakeWorld,
) -> None:
    """Its sources get a queue of their own, and wait in there as they did before."""
    async with make_world() as world:
        wanted = {
            name: world.want(name, endpoint=f"{host}.example")
            for host in ("one", "two")
            for name in (f"{host}-{number}" for number in range(210))
        }
        world.cloud.values = dict.fromkeys([*wanted, "db"], b"one")
        world.cloud.faults = dict.fromkeys(wanted, DOWN)
        world.registry.register("ns/db", [world.want("db")], interval=None)
        for name, want in wanted.items():
            world.registry.register(f"ns/{name}", [want], interval=None)
        await asyncio.sleep(100)
        for name in [name for name in wanted if name.startswith("one")]:
            del world.cloud.faults[name]
        while len(world.registry.queues) < 3:  # noqa: ASYNC110 (the virtual clock runs by sleeping)
            await asyncio.sleep(0.1)
        # What has moved and waits still is given up, and then the last endpoint answers.
        for name in [name for name in wanted if name.startswith("one")]:
            world.registry.release(f"ns/{name}")
            del wanted[name]
        world.cloud.faults.clear()
        await asyncio.sleep(3 * BACK_WITHIN)
        for name, want in wanted.items():
            (reading,) = world.registry.register(f"ns/{name}", [want], interval=None)
            assert reading.data == b"one", name
