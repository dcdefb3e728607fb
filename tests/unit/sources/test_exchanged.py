"""A user's source is exchanged for one like it: its AccessKey changed, or its store was away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


def versions(harness: Any) -> tuple[Any, Any]:
    provider = type(harness.provider)
    return provider(version="10"), provider(version="11")


async def test_new_access_key_version_keeps_the_value_and_fetches_again(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        old, new = versions(harness)
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        await asyncio.sleep(1)
        (known,) = harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        harness.cloud.hanging.add("db")
        (reading,) = harness.registry.register("ns/a", [harness.want("db", new)], interval=120)
        assert reading.pending
        assert (reading.digest, reading.data) == (known.digest, b"one")
        harness.cloud.values["db"] = b"two"
        await asyncio.sleep(15)
        (reading,) = harness.registry.register("ns/a", [harness.want("db", new)], interval=120)
        assert (reading.data, reading.pending) == (b"two", False)
        assert harness.registry.cached_bytes == 3


async def test_the_value_outlives_a_new_identity_that_is_refused(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        old, new = versions(harness)
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        await asyncio.sleep(1)
        harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        harness.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        harness.registry.register("ns/a", [harness.want("db", new)], interval=120)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/a", [harness.want("db", new)], interval=120)
        assert reading.error is not None
        assert reading.data == b"one"
        # Once more, before the last one has answered well.
        last = type(harness.provider)(version="12")
        (reading,) = harness.registry.register("ns/a", [harness.want("db", last)], interval=120)
        assert reading.pending
        assert reading.data == b"one"


async def test_a_former_value_is_shown_to_nobody_else(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        tenant = type(harness.provider)(account="tenant")
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=120)
        await asyncio.sleep(1)
        harness.registry.register("ns/a", [harness.want("db")], interval=120)
        harness.cloud.hanging.add("db")
        harness.registry.register("ns/b", [harness.want("db", tenant)], interval=120)
        (mine,) = harness.registry.register("ns/a", [harness.want("db", tenant)], interval=120)
        (other,) = harness.registry.register("ns/b", [harness.want("db", tenant)], interval=120)
        assert mine.data == b"one"
        assert (other.digest, other.data) == (None, None)


async def test_a_former_value_stands_for_no_other_secret(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        old, new = versions(harness)
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        await asyncio.sleep(1)
        harness.registry.register("ns/a", [harness.want("db", old)], interval=120)
        (reading,) = harness.registry.register("ns/a", [harness.want("else", new)], interval=120)
        assert (reading.digest, reading.data) == (None, None)
        assert harness.registry.cached_bytes == 0


async def test_of_two_identities_neither_value_stands_for_the_secret(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        old, new = versions(harness)
        stranger = type(harness.provider)(account="stranger")
        harness.cloud.values["db"] = b"one"
        both = [harness.want("db", old), harness.want("db", stranger)]
        harness.registry.register("ns/a", both, interval=120)
        await asyncio.sleep(1)
        harness.registry.register("ns/a", both, interval=120)
        (reading,) = harness.registry.register("ns/a", [harness.want("db", new)], interval=120)
        assert reading.data is None


async def test_a_suspended_user_fetches_nothing_and_finds_its_value_again(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=120)
        await asyncio.sleep(1)
        harness.registry.register("ns/a", [harness.want("db")], interval=120)
        harness.registry.suspend("ns/a")
        harness.registry.suspend("ns/a")
        await asyncio.sleep(1000)
        assert harness.cloud.count("db") == 1
        assert len(harness.registry) == 0
        harness.cloud.hanging.add("db")
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=120)
        assert reading.pending
        assert reading.data == b"one"
        harness.registry.suspend("ns/a")
        harness.registry.release("ns/a")
        assert harness.registry.cached_bytes == 0
