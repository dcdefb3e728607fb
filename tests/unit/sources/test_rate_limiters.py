"""The rate of an account outlives the versions of its AccessKey, and its queues."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import ThrottledError
from secret_sync.sources.rate_limiters import KEEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_all_versions_of_an_access_key_share_one_rate(make_harness: MakeHarness) -> None:
    async with make_harness(rate=10) as harness:
        versions = [type(harness.provider)(version=str(v)) for v in range(20)]
        for provider in versions:
            for i in range(30):
                harness.cloud.values[f"s{i}"] = b"x"
                user = f"ns{provider.version}/o{i}"
                harness.registry.register(user, [harness.want(f"s{i}", provider)], interval=120)
        await asyncio.sleep(1)
        assert len(harness.cloud.calls) <= 12


async def test_a_throttled_rate_is_remembered_when_its_last_source_goes(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=100) as harness:
        harness.cloud.values["db"] = b"x"
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(10)
        harness.cloud.faults["db"] = ThrottledError("slow down", code="Rejected.Throttling")
        await asyncio.sleep(60)
        harness.registry.release("ns/a")
        assert not harness.registry.queues
        await asyncio.sleep(60)
        harness.cloud.faults.clear()
        harness.registry.register("ns/a", [harness.want("db")], interval=None)
        await asyncio.sleep(1)
        unproved, own = harness.limiters
        assert unproved.rate == 100
        assert own.rate < 100, "the limiter of the identity is the one that was throttled"


async def test_unused_limiter_is_kept_for_a_while_and_then_removed(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=100) as harness:

        async def use(seconds: float) -> None:
            harness.registry.register("ns/a", [harness.want("db")], interval=None)
            await asyncio.sleep(1)
            harness.registry.release("ns/a")
            await asyncio.sleep(seconds)

        await use(KEEP_SECONDS - 10)
        await use(KEEP_SECONDS + 10)
        assert len(harness.limiters) == 1
        await use(0)
        assert len(harness.limiters) == 2
