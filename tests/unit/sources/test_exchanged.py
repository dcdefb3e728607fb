"""A user's source is exchanged for one like it: its AccessKey changed, or its store was away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeWorld = Callable[..., Any]

pytestmark = pytest.mark.looptime


def versions(world: Any) -> tuple[Any, Any]:
    provider = type(world.provider)
    return provider(version="10"), provider(version="11")


async def test_new_access_key_version_keeps_the_value_and_fetches_again(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        old, new = versions(world)
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db", old)], interval=120)
        await asyncio.sleep(1)
        (known,) = world.registry.register("ns/a", [world.want("db", old)], interval=120)
        world.cloud.hanging.add("db")
        (reading,) = world.registry.register("ns/a", [world.want("db", new)], interval=120)
        assert reading.pending
        assert (reading.digest, reading.data) == (known.digest, b"one")
        world.cloud.values["db"] = b"two"
        await asyncio.sleep(15)
        (reading,) = world.registry.register("ns/a", [world.want("db", new)], interval=120)
        assert (reading.data, reading.pending) == (b"two", False)
        assert world.registry.cached_bytes == 3


async def test_the_value_outlives_a_new_identity_that_is_refused(make_world: MakeWorld) -> None:
    async with make_world() as world:
        old, new = versions(world)
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db", old)], interval=120)
        await asyncio.sleep(1)
        world.registry.register("ns/a", [world.want("db", old)], interval=120)
        world.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        world.registry.register("ns/a", [world.want("db", new)], interval=120)
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/a", [world.want("db", new)], interval=120)
        assert reading.error is not None
        assert reading.data == b"one"
        # Once more, before the last one has answered well.
        last = type(world.provider)(version="12")
        (reading,) = world.registry.register("ns/a", [world.want("db", last)], interval=120)
        assert reading.pending
        assert reading.data == b"one"


async def test_a_former_value_is_shown_to_nobody_else(make_world: MakeWorld) -> None:
    async with make_world() as world:
        tenant = type(world.provider)(account="tenant")
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=120)
        await asyncio.sleep(1)
        world.registry.register("ns/a", [world.want("db")], interval=120)
        world.cloud.hanging.add("db")
        world.registry.register("ns/b", [world.want("db", tenant)], interval=120)
        (mine,) = world.registry.register("ns/a", [world.want("db", tenant)], interval=120)
        (other,) = world.registry.register("ns/b", [world.want("db", tenant)], interval=120)
        assert mine.data == b"one"
        assert (other.digest, other.data) == (None, None)


async def test_a_former_value_stands_for_no_other_secret(make_world: MakeWorld) -> None:
    async with make_world() as world:
        old, new = versions(world)
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db", old)], interval=120)
        await asyncio.sleep(1)
        world.registry.register("ns/a", [world.want("db", old)], interval=120)
        (reading,) = world.registry.register("ns/a", [world.want("else", new)], interval=120)
        assert (reading.digest, reading.data) == (None, None)
        assert world.registry.cached_bytes == 0


async def test_of_two_identities_neither_value_stands_for_the_secret(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        old, new = versions(world)
        stranger = type(world.provider)(account="stranger")
        world.cloud.values["db"] = b"one"
        both = [world.want("db", old), world.want("db", stranger)]
        world.registry.register("ns/a", both, interval=120)
        await asyncio.sleep(1)
        world.registry.register("ns/a", both, interval=120)
        (reading,) = world.registry.register("ns/a", [world.want("db", new)], interval=120)
        assert reading.data is None


async def test_a_suspended_user_fetches_nothing_and_finds_its_value_again(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=120)
        await asyncio.sleep(1)
        world.registry.register("ns/a", [world.want("db")], interval=120)
        world.registry.suspend("ns/a")
        world.registry.suspend("ns/a")
        await asyncio.sleep(1000)
        assert world.cloud.count("db") == 1
        assert len(world.registry) == 0
        world.cloud.hanging.add("db")
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=120)
        assert reading.pending
        assert reading.data == b"one"
        world.registry.suspend("ns/a")
        world.registry.release("ns/a")
        assert world.registry.cached_bytes == 0
