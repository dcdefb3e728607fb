"""When a registration asks the cloud, and when what is known is good enough."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeWorld = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_without_polling_a_new_user_gets_no_old_value(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"old"
        world.registry.register("ns/a", [world.want("db")], interval=None)
        await asyncio.sleep(60)
        (young,) = world.registry.register("ns/b", [world.want("db")], interval=None)
        assert not young.pending
        world.cloud.values["db"] = b"new"
        await asyncio.sleep(86_400)
        assert world.cloud.count("db") == 1
        (reading,) = world.registry.register("ns/c", [world.want("db")], interval=None)
        assert reading.pending
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/c", [world.want("db")], interval=None)
        assert reading.data == b"new"


async def test_an_edit_asks_a_failed_source_again_at_once(make_world: MakeWorld) -> None:
    async with make_world() as world:
        want = [world.want("db")]
        world.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        world.registry.register("ns/a", want, interval=120, revision=1)
        # Longer than a failure is too fresh, shorter than the wait after it.
        await asyncio.sleep(10)
        del world.cloud.faults["db"]
        world.cloud.values["db"] = b"one"
        (reading,) = world.registry.register("ns/a", want, interval=120, revision=1)
        assert not reading.pending
        (reading,) = world.registry.register("ns/a", want, interval=120, revision=2)
        assert reading.pending
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/a", want, interval=120, revision=2)
        assert reading.data == b"one"


async def test_an_edit_asks_no_source_whose_value_is_young(make_world: MakeWorld) -> None:
    async with make_world() as world:
        want = [world.want("db")]
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", want, interval=120, revision=1)
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/a", want, interval=120, revision=2)
        assert not reading.pending
        assert world.cloud.count("db") == 1


async def test_a_sync_forced_during_a_call_fetches_once_more(make_world: MakeWorld) -> None:
    async with make_world() as world:
        want = [world.want("db")]
        world.cloud.seconds = 1.0
        world.cloud.values["db"] = b"old"
        world.registry.register("ns/a", want, interval=1000, forced="1")
        await asyncio.sleep(0.5)
        for number in ("2", "3"):
            (reading,) = world.registry.register("ns/a", want, interval=1000, forced=number)
            assert reading.pending
        await asyncio.sleep(0.6)
        assert world.notified_of("ns/a") == 1
        (reading,) = world.registry.register("ns/a", want, interval=1000, forced="3")
        assert reading.pending
        await asyncio.sleep(2)
        assert world.cloud.count("db") == 2
        (reading,) = world.registry.register("ns/a", want, interval=1000, forced="3")
        assert not reading.pending


@pytest.mark.parametrize(("interval", "calls"), [(None, 2), (120.0, 1)])
async def test_edit_without_polling_causes_a_fetch(
    make_world: MakeWorld, interval: float | None, calls: int
) -> None:
    async with make_world() as world:
        want = [world.want("db")]
        world.cloud.values["db"] = b"one"
        for revision in (1, 1, 2, 2):
            world.registry.register("ns/a", want, interval=interval, revision=revision)
            await asyncio.sleep(1)
        assert world.cloud.count("db") == calls


async def test_a_failure_that_is_too_fresh_to_ask_at_once_is_asked_about_soon(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        want = [world.want("db")]
        world.registry.register("ns/a", want, interval=120, revision=1)
        await asyncio.sleep(0.5)
        assert world.cloud.count("db") == 1
        # Its author fixes it at once.
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", want, interval=120, revision=2)
        await asyncio.sleep(0.5)
        assert world.cloud.count("db") == 1
        await asyncio.sleep(1.5)
        (reading,) = world.registry.register("ns/a", want, interval=120, revision=2)
        assert (reading.data, reading.error) == (b"one", None)
        assert world.notified_of("ns/a") == 2


@pytest.mark.parametrize(
    ("wish", "calls"), [("", 1), ("monday", 2)], ids=["the same wish", "another wish"]
)
async def test_returning_user_accepts_a_fresh_value_unless_it_forces_one(
    make_world: MakeWorld, wish: str, calls: int
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        want = [world.want("db")]
        world.registry.register("ns/polling", want, interval=3600)
        world.registry.register("ns/once", want, interval=None, forced="")
        await asyncio.sleep(1)
        world.registry.stop("ns/once", "")
        await asyncio.sleep(30)
        (reading,) = world.registry.register("ns/once", want, interval=None, forced=wish)
        assert reading.pending == (calls == 2)
        await asyncio.sleep(1)
        assert world.cloud.count("db") == calls


async def test_resting_user_holds_nothing_and_is_not_notified(make_world: MakeWorld) -> None:
    async with make_world() as world:
        nothing = repr(world.registry)
        world.cloud.values["db"] = b"one"
        want = [world.want("db")]
        for user in ("ns/polling", "ns/once"):
            world.registry.register(user, want, interval=60)
        await asyncio.sleep(1)
        notified = world.notified_of("ns/once")
        world.registry.stop("ns/once", "")
        world.cloud.values["db"] = b"two"
        await asyncio.sleep(100)
        assert (world.notified_of("ns/polling"), world.notified_of("ns/once")) == (2, notified)
        world.registry.release("ns/polling")
        assert (len(world.registry), world.registry.cached_bytes) == (0, 0)
        # And when it is gone nothing is left of it.
        world.registry.release("ns/once")
        assert repr(world.registry) == nothing
