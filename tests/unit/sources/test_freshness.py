"""How late values are: what the metrics of freshness are read from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    NotFoundError,
    TransientError,
)
from secret_sync.sources.source import JITTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.errors import SecretSyncError

    MakeHarness = Callable[..., Any]

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

DOWN = TransientError("down", code="ServiceUnavailable")


async def test_nothing_is_late_while_all_is_well(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        assert harness.registry.freshness()[:2] == (0, 0.0)
        harness.cloud.values = dict.fromkeys("abc", b"x")
        for name in "abc":
            harness.registry.register(f"ns/{name}", [harness.want(name)], interval=60)
        seen = set()
        for _ in range(600):
            await asyncio.sleep(1)
            stale, overdue, _ = harness.registry.freshness()
            seen.add(stale)
            # What the call takes.
            assert overdue < 0.2
        assert seen == {0}


async def test_a_value_is_overdue_past_one_interval_and_stale_past_two(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values = {"db": b"one", "other": b"x"}
        harness.registry.register("ns/a", [harness.want("db"), harness.want("other")], interval=60)
        await asyncio.sleep(1)
        harness.cloud.faults["db"] = DOWN
        await asyncio.sleep(60 * (1 + JITTER) - 2)
        assert harness.registry.freshness()[:2] == (0, 0.0)
        await asyncio.sleep(50)
        assert harness.registry.freshness()[:2] == (0, pytest.approx(49, abs=0.5))
        await asyncio.sleep(10)
        assert harness.registry.freshness()[:2] == (1, pytest.approx(59, abs=0.5))
        del harness.cloud.faults["db"]
        await asyncio.sleep(300)
        assert harness.registry.freshness()[:2] == (0, 0.0)


async def test_value_that_never_came_is_late_since_it_was_requested(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        await asyncio.sleep(500)
        harness.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(119)
        assert harness.registry.freshness()[:2] == (0, pytest.approx(119 - 66, abs=0.1))
        await asyncio.sleep(2)
        assert harness.registry.freshness().stale == 1


async def test_the_shortest_interval_of_its_users_counts(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/slow", [harness.want("db")], interval=3600)
        harness.registry.register("ns/fast", [harness.want("db")], interval=60)
        harness.registry.register("ns/never", [harness.want("db")], interval=None)
        await asyncio.sleep(1)
        harness.cloud.faults["db"] = DOWN
        await asyncio.sleep(300)
        assert harness.registry.freshness().stale == 1
        harness.registry.release("ns/fast")
        assert harness.registry.freshness()[:2] == (0, 0.0)


async def test_unpolled_value_is_never_late(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db"), harness.want("gone")], interval=None)
        await asyncio.sleep(100_000)
        assert harness.registry.freshness()[:2] == (0, 0.0)


async def test_unwanted_value_is_not_late(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.faults = {"a": DOWN, "b": DOWN}
        for name in "ab":
            harness.registry.register(f"ns/{name}", [harness.want(name)], interval=60)
        await asyncio.sleep(500)
        assert harness.registry.freshness().stale == 2
        harness.registry.suspend("ns/a")
        harness.registry.release("ns/b")
        assert harness.registry.freshness()[:2] == (0, 0.0)


async def test_the_rate_makes_values_late_too(make_harness: MakeHarness) -> None:
    async with make_harness(rate=1) as harness:
        names = [f"s{i}" for i in range(100)]
        harness.cloud.values = dict.fromkeys(names, b"x")
        harness.registry.register("ns/all", [harness.want(n) for n in names], interval=20)
        await asyncio.sleep(600)
        stale, overdue, _ = harness.registry.freshness()
        # Each is polled once in 100 seconds, not 20.
        assert 50 <= stale <= 70
        assert overdue == pytest.approx(80, abs=10)


@pytest.mark.parametrize(
    ("error", "late"),
    [
        (DOWN, 1),
        (ClockError("skewed", code="ClockSkew"), 1),
        (DefiniteError("no", code="Forbidden"), 0),
        (NotFoundError("no"), 0),
        (CredentialsError("no"), 0),
    ],
)
async def test_value_that_is_refused_is_stale_but_not_late(
    make_harness: MakeHarness, error: SecretSyncError, late: int
) -> None:
    async with make_harness() as harness:
        harness.cloud.values = {"db": b"one"}
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        harness.cloud.faults["db"] = error
        await asyncio.sleep(180)
        found = harness.registry.freshness()
        assert (found.stale, found.late) == (1, late)


async def test_value_that_never_came_is_stale_but_not_late(make_harness: MakeHarness) -> None:
    """It may be the typo of one tenant: a name that no DNS server knows is not refused."""
    async with make_harness() as harness:
        harness.cloud.values = {"db": b"one", "typo": b"two"}
        harness.cloud.faults["typo"] = DOWN
        for name in ("db", "typo"):
            harness.registry.register(f"ns/{name}", [harness.want(name)], interval=60)
        await asyncio.sleep(180)
        found = harness.registry.freshness()
        assert (found.stale, found.late) == (1, 0)
        # Once it was fetched, an outage counts.
        del harness.cloud.faults["typo"]
        await asyncio.sleep(600)
        assert harness.registry.freshness()[:2] == (0, 0.0)
        harness.cloud.faults["typo"] = DOWN
        await asyncio.sleep(180)
        found = harness.registry.freshness()
        assert (found.stale, found.late) == (1, 1)
