"""When a service is down, and when it is back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ClockError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.errors import SecretSyncError

    MakeHarness = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

DOWN = TransientError("down", code="ServiceUnavailable")
LATE = ClockError("the clock is wrong", code="InvalidTimeStamp.Expired")
#: What is promised of the time after an outage, in seconds.
BACK_WITHIN = 30.0


def names(count: int) -> list[str]:
    return [f"db-{number}" for number in range(count)]


def register(harness: Any, *wanted: str, interval: float | None = 120) -> None:
    for name in wanted:
        harness.registry.register(f"ns/{name}", [harness.want(name)], interval=interval)


def without_value(harness: Any, *wanted: str) -> list[str]:
    """Those that are in trouble still."""
    return [
        name
        for name in wanted
        for reading in harness.registry.register(f"ns/{name}", [harness.want(name)], interval=120)
        if reading.error is not None
    ]


@pytest.mark.parametrize("fault", [DOWN, LATE], ids=["down", "clock"])
@pytest.mark.parametrize(("count", "minutes"), [(1, 120), (3, 10), (60, 20)])
async def test_everything_is_there_soon_after_an_outage(
    make_harness: MakeHarness, count: int, minutes: int, fault: SecretSyncError
) -> None:
    wanted = names(count)
    async with make_harness() as harness:
        harness.cloud.values = dict.fromkeys(wanted, b"one")
        harness.cloud.faults = dict.fromkeys(wanted, fault)
        register(harness, *wanted)
        await asyncio.sleep(60 * minutes)
        harness.cloud.faults.clear()
        await asyncio.sleep(BACK_WITHIN)
        assert without_value(harness, *wanted) == []


async def test_a_long_outage_is_no_time_of_more_calls_than_there_are_sources(
    make_harness: MakeHarness,
) -> None:
    wanted = names(60)
    async with make_harness() as harness:
        harness.cloud.faults = dict.fromkeys(wanted, DOWN)
        register(harness, *wanted)
        await asyncio.sleep(1200)
        before = len(harness.cloud.calls)
        await asyncio.sleep(600)
        # Rounds of four tries every 225 to 375 seconds.
        assert 4 * 60 <= len(harness.cloud.calls) - before <= 4 * 60 * 3


async def test_failing_source_is_not_retried_more_often_because_others_succeed(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values = dict.fromkeys(names(10), b"one")
        harness.cloud.faults["broken"] = DOWN
        register(harness, *names(10), interval=10)
        register(harness, "broken", interval=10)
        await asyncio.sleep(600)
        before = harness.cloud.count("broken")
        await asyncio.sleep(600)
        # Rounds of four tries, one every 15 seconds at most.
        assert 4 * 15 <= harness.cloud.count("broken") - before <= 4 * 41


@pytest.mark.parametrize("order", [("gone", "kept"), ("kept", "gone")])
async def test_a_source_that_is_released_in_an_outage_is_not_asked_for_after_it(
    make_harness: MakeHarness, order: tuple[str, str]
) -> None:
    async with make_harness() as harness:
        harness.cloud.faults = dict.fromkeys(["gone", "kept"], DOWN)
        harness.cloud.values["kept"] = b"one"
        # Whichever it is that asks for all: the other one takes its place.
        register(harness, *order)
        await asyncio.sleep(600)
        harness.registry.release("ns/gone")
        before = harness.cloud.count("gone")
        harness.cloud.faults.clear()
        await asyncio.sleep(BACK_WITHIN)
        assert without_value(harness, "kept") == []
        assert harness.cloud.count("gone") == before


async def test_an_endpoint_that_answers_for_the_first_time_leaves_the_others_in_their_outage(
    make_harness: MakeHarness,
) -> None:
    """Its sources get a queue of their own, and wait in there as they did before."""
    async with make_harness() as harness:
        wanted = {
            name: harness.want(name, endpoint=f"{host}.example")
            for host in ("one", "two")
            for name in (f"{host}-{number}" for number in range(210))
        }
        harness.cloud.values = dict.fromkeys([*wanted, "db"], b"one")
        harness.cloud.faults = dict.fromkeys(wanted, DOWN)
        harness.registry.register("ns/db", [harness.want("db")], interval=None)
        for name, want in wanted.items():
            harness.registry.register(f"ns/{name}", [want], interval=None)
        await asyncio.sleep(100)
        for name in [name for name in wanted if name.startswith("one")]:
            del harness.cloud.faults[name]
        while len(harness.registry.queues) < 3:  # noqa: ASYNC110 (the virtual clock runs by sleeping)
            await asyncio.sleep(0.1)
        # What has moved and waits still is given up, and then the last endpoint answers.
        for name in [name for name in wanted if name.startswith("one")]:
            harness.registry.release(f"ns/{name}")
            del wanted[name]
        harness.cloud.faults.clear()
        await asyncio.sleep(3 * BACK_WITHIN)
        for name, want in wanted.items():
            (reading,) = harness.registry.register(f"ns/{name}", [want], interval=None)
            assert reading.data == b"one", name
