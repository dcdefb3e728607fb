"""When a registration asks the cloud, and when what is known is good enough."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_without_polling_a_new_user_gets_no_old_value(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"old"
        harness.registry.register("ns/a", [harness.want("db")], interval=None)
        await asyncio.sleep(60)
        (young,) = harness.registry.register("ns/b", [harness.want("db")], interval=None)
        assert not young.pending
        harness.cloud.values["db"] = b"new"
        await asyncio.sleep(86_400)
        assert harness.cloud.count("db") == 1
        (reading,) = harness.registry.register("ns/c", [harness.want("db")], interval=None)
        assert reading.pending
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/c", [harness.want("db")], interval=None)
        assert reading.data == b"new"


async def test_an_edit_asks_a_failed_source_again_at_once(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        want = [harness.want("db")]
        harness.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        harness.registry.register("ns/a", want, interval=120, revision=1)
        # Longer than a failure is too fresh, shorter than the wait after it.
        await asyncio.sleep(10)
        del harness.cloud.faults["db"]
        harness.cloud.values["db"] = b"one"
        (reading,) = harness.registry.register("ns/a", want, interval=120, revision=1)
        assert not reading.pending
        (reading,) = harness.registry.register("ns/a", want, interval=120, revision=2)
        assert reading.pending
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/a", want, interval=120, revision=2)
        assert reading.data == b"one"


async def test_an_edit_asks_no_source_whose_value_is_young(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        want = [harness.want("db")]
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", want, interval=120, revision=1)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/a", want, interval=120, revision=2)
        assert not reading.pending
        assert harness.cloud.count("db") == 1


async def test_a_sync_forced_during_a_call_fetches_once_more(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        want = [harness.want("db")]
        harness.cloud.seconds = 1.0
        harness.cloud.values["db"] = b"old"
        harness.registry.register("ns/a", want, interval=1000, forced="1")
        await asyncio.sleep(0.5)
        for number in ("2", "3"):
            (reading,) = harness.registry.register("ns/a", want, interval=1000, forced=number)
            assert reading.pending
        await asyncio.sleep(0.6)
        assert harness.notified_of("ns/a") == 1
        (reading,) = harness.registry.register("ns/a", want, interval=1000, forced="3")
        assert reading.pending
        await asyncio.sleep(2)
        assert harness.cloud.count("db") == 2
        (reading,) = harness.registry.register("ns/a", want, interval=1000, forced="3")
        assert not reading.pending


@pytest.mark.parametrize(("interval", "calls"), [(None, 2), (120.0, 1)])
async def test_edit_without_polling_causes_a_fetch(
    make_harness: MakeHarness, interval: float | None, calls: int
) -> None:
    async with make_harness() as harness:
        want = [harness.want("db")]
        harness.cloud.values["db"] = b"one"
        for revision in (1, 1, 2, 2):
            harness.registry.register("ns/a", want, interval=interval, revision=revision)
            await asyncio.sleep(1)
        assert harness.cloud.count("db") == calls


async def test_a_failure_that_is_too_fresh_to_ask_at_once_is_asked_about_soon(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        want = [harness.want("db")]
        harness.registry.register("ns/a", want, interval=120, revision=1)
        await asyncio.sleep(0.5)
        assert harness.cloud.count("db") == 1
        # Its author fixes it at once.
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", want, interval=120, revision=2)
        await asyncio.sleep(0.5)
        assert harness.cloud.count("db") == 1
        await asyncio.sleep(1.5)
        (reading,) = harness.registry.register("ns/a", want, interval=120, revision=2)
        assert (reading.data, reading.error) == (b"one", None)
        assert harness.notified_of("ns/a") == 2


@pytest.mark.parametrize(
    ("wish", "calls"), [("", 1), ("monday", 2)], ids=["the same wish", "another wish"]
)
async def test_returning_user_accepts_a_fresh_value_unless_it_forces_one(
    make_harness: MakeHarness, wish: str, calls: int
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        want = [harness.want("db")]
        harness.registry.register("ns/polling", want, interval=3600)
        harness.registry.register("ns/once", want, interval=None, forced="")
        await asyncio.sleep(1)
        harness.registry.stop("ns/once", "")
        await asyncio.sleep(30)
        (reading,) = harness.registry.register("ns/once", want, interval=None, forced=wish)
        assert reading.pending == (calls == 2)
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == calls


async def test_resting_user_holds_nothing_and_is_not_notified(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        nothing = repr(harness.registry)
        harness.cloud.values["db"] = b"one"
        want = [harness.want("db")]
        for user in ("ns/polling", "ns/once"):
            harness.registry.register(user, want, interval=60)
        await asyncio.sleep(1)
        notified = harness.notified_of("ns/once")
        harness.registry.stop("ns/once", "")
        harness.cloud.values["db"] = b"two"
        await asyncio.sleep(100)
        assert (harness.notified_of("ns/polling"), harness.notified_of("ns/once")) == (2, notified)
        harness.registry.release("ns/polling")
        assert (len(harness.registry), harness.registry.cached_bytes) == (0, 0)
        # And when it is gone nothing is left of it.
        harness.registry.release("ns/once")
        assert repr(harness.registry) == nothing
