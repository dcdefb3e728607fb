"""How long a change went unseen: what the histograms of staleness and propagation are told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import TransientError
from secret_sync.sources.source import JITTER

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

INTERVAL = 60.0
LONG_AGO = "2026-01-01T00:00:00Z"
DOWN = TransientError("down", code="ServiceUnavailable")


def ago(seconds: float) -> str:
    """A time of the wall, as KMS writes it; the loop's clock is another one."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def staleness(harness: Any) -> tuple[int, float]:
    """How many changes were observed, and the seconds of all."""
    series = harness.metrics.staleness.labels("kms")
    return sum(series.counts), series.sum


def propagation(harness: Any) -> tuple[int, float]:
    series = harness.metrics.propagation.labels("kms")
    return sum(series.counts), series.sum


async def in_use(harness: Any, *, interval: float | None = INTERVAL, rotated: str = "") -> None:
    """A value that was read once, and a second ago."""
    harness.cloud.values["db"] = b"old"
    harness.cloud.rotated["db"] = rotated
    harness.registry.register("ns/a", [harness.want("db")], interval=interval)
    await asyncio.sleep(1)


async def test_change_was_unseen_since_the_call_that_still_gave_the_old_value(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        await in_use(harness)
        await asyncio.sleep(10 * INTERVAL)
        # The first value was no change, and nothing has changed since.
        assert staleness(harness) == (0, 0.0)
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(2 * INTERVAL)
        count, seconds = staleness(harness)
        assert count == 1
        assert (1 - JITTER) * INTERVAL <= seconds <= (1 + JITTER) * INTERVAL + 1
        assert propagation(harness) == (0, 0.0)


async def test_outage_is_part_of_the_staleness(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        await in_use(harness)
        harness.cloud.faults["db"] = DOWN
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(3600)
        assert staleness(harness) == (0, 0.0)
        del harness.cloud.faults["db"]
        await asyncio.sleep(600)
        count, seconds = staleness(harness)
        assert count == 1
        assert 3600 < seconds < 4200


async def test_value_of_another_run_is_no_change(make_harness: MakeHarness) -> None:
    """After a restart, or when nobody used it meanwhile, the last call is not known."""
    async with make_harness() as harness:
        await in_use(harness)
        harness.registry.release("ns/a")
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(3600)
        harness.registry.register("ns/a", [harness.want("db")], interval=INTERVAL, written=["v0"])
        await asyncio.sleep(INTERVAL)
        assert staleness(harness) == (0, 0.0)


async def test_value_that_is_not_polled_is_not_observed(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        await in_use(harness, interval=None)
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(86400)
        harness.registry.register("ns/a", [harness.want("db")], interval=None, forced="now")
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 2
        assert staleness(harness) == (0, 0.0)


@pytest.mark.parametrize(
    ("rotated", "seconds"),
    [
        (20, pytest.approx(20, abs=2)),
        # The clock of KMS is ahead, or behind: neither more than the staleness, nor less than 0.
        (-3600, 0.0),
        (3600, pytest.approx(INTERVAL, rel=JITTER, abs=1)),
    ],
)
async def test_rotation_is_as_old_as_kms_says_within_what_is_possible(
    make_harness: MakeHarness, rotated: float, seconds: float
) -> None:
    async with make_harness() as harness:
        await in_use(harness)
        harness.cloud.values["db"] = b"new"
        harness.cloud.rotated["db"] = ago(rotated)
        await asyncio.sleep(2 * INTERVAL)
        assert propagation(harness) == (1, seconds)


@pytest.mark.parametrize("rotated", [LONG_AGO, "yesterday", "2026-99-99T00:00:00Z", ""])
async def test_change_that_was_no_rotation_has_no_propagation(
    make_harness: MakeHarness, rotated: str
) -> None:
    async with make_harness() as harness:
        await in_use(harness, rotated=LONG_AGO if rotated else "")
        harness.cloud.values["db"] = b"new"
        harness.cloud.rotated["db"] = rotated
        await asyncio.sleep(2 * INTERVAL)
        assert staleness(harness)[0] == 1
        assert propagation(harness) == (0, 0.0)


async def test_many_users_of_a_value_are_one_change(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        await in_use(harness)
        for n in range(20):
            harness.registry.register(f"other{n}/a", [harness.want("db")], interval=INTERVAL)
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(2 * INTERVAL)
        assert staleness(harness)[0] == 1
