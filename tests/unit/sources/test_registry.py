from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, ThrottledError, TransientError
from secret_sync.sources import value_cache

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeWorld = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_first_user_is_notified_when_the_value_is_there(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=120)
        assert reading.pending
        await asyncio.sleep(1)
        assert world.notified_of("ns/a") == 1
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=120)
        assert (reading.data, reading.version_id, reading.pending) == (b"one", "v1", False)


async def test_shared_source_costs_one_call(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        for i in range(500):
            world.registry.register(f"ns/{i}", [world.want("db")] * 3, interval=120)
        await asyncio.sleep(1)
        assert world.cloud.count("db") == 1
        assert {u for _, u in world.notified} == {f"ns/{i}" for i in range(500)}
        assert world.provider.fetches == 1


async def test_unchanged_refresh_notifies_nobody(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(601)
        assert 9 <= world.cloud.count("db") <= 12
        assert world.notified_of("ns/a") == 1


async def test_changed_value_notifies_every_user(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        for user in ("ns/a", "ns/b"):
            world.registry.register(user, [world.want("db")], interval=60)
        await asyncio.sleep(1)
        world.cloud.values["db"] = b"two"
        await asyncio.sleep(70)
        assert (world.notified_of("ns/a"), world.notified_of("ns/b")) == (2, 2)


async def test_polls_at_the_shortest_interval_of_its_users(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/slow", [world.want("db")], interval=3600)
        await asyncio.sleep(1)
        world.registry.register("ns/fast", [world.want("db")], interval=10)
        await asyncio.sleep(100)
        assert 9 <= world.cloud.count("db") <= 13
        world.registry.release("ns/fast")
        before = world.cloud.count("db")
        await asyncio.sleep(600)
        assert world.cloud.count("db") - before <= 1


async def test_without_polling_a_value_is_fetched_once(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=None)
        await asyncio.sleep(10_000)
        assert world.cloud.count("db") == 1


async def test_forced_sync_fetches_and_reports_although_nothing_changed(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=3600)
        await asyncio.sleep(1)
        (reading,) = world.registry.register(
            "ns/a", [world.want("db")], interval=3600, forced="now"
        )
        assert reading.pending
        assert reading.data == b"one"
        await asyncio.sleep(1)
        assert world.cloud.count("db") == 2
        assert world.notified_of("ns/a") == 2


async def test_a_new_user_reuses_a_young_value_and_not_an_old_one(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=3600)
        await asyncio.sleep(100)
        (young,) = world.registry.register("ns/b", [world.want("db")], interval=120)
        assert not young.pending
        (old,) = world.registry.register("ns/c", [world.want("db")], interval=60)
        assert not old.error
        await asyncio.sleep(1)
        assert world.cloud.count("db") == 2


async def test_transient_fault_is_retried_and_not_reported_if_it_passes(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.cloud.faults["db"] = TransientError("a bad moment")
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(0.08)
        del world.cloud.faults["db"]
        await asyncio.sleep(3)
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=60)
        assert reading.error is None
        assert world.notified_of("ns/a") == 1


async def test_lasting_fault_is_reported_once_and_retried_with_backoff(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.cloud.faults["db"] = TransientError("down", code="ServiceUnavailable")
        world.registry.register("ns/a", [world.want("db")], interval=None)
        await asyncio.sleep(600)
        # Before the next registration: one that is made during a round waits for its end.
        assert world.notified_of("ns/a") == 1
        # Between two rounds: where they fall depends on the jitter.
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=None)
        for _ in range(200):
            if not reading.pending:
                break
            await asyncio.sleep(0.1)
            (reading,) = world.registry.register("ns/a", [world.want("db")], interval=None)
        assert reading.error is not None
        assert not reading.pending
        # Rounds of four tries after 1, 2, 4, 8 and then every 15 seconds.
        assert 4 * 30 <= world.cloud.count("db") <= 4 * 45


async def test_definite_refusal_is_reported_at_once_and_retried_slowly(
    make_world: MakeWorld,
) -> None:
    async with make_world() as world:
        world.registry.register("ns/a", [world.want("gone")], interval=None)
        await asyncio.sleep(0.2)
        assert world.notified_of("ns/a") == 1
        assert world.cloud.count("gone") == 1
        await asyncio.sleep(100)
        assert 2 <= world.cloud.count("gone") <= 4
        world.cloud.values["gone"] = b"here"
        await asyncio.sleep(400)
        (reading,) = world.registry.register("ns/a", [world.want("gone")], interval=None)
        assert reading.data == b"here"


async def test_the_last_good_value_outlives_a_failed_refresh(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(1)
        world.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        await asyncio.sleep(70)
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=60)
        assert reading.data == b"one"
        assert reading.error is not None
        assert world.notified_of("ns/a") == 2


async def test_credentials_that_fail_cost_no_call(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.provider.error = DefiniteError("no such Secret", code="AccessKeyNotFound")
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=60)
        assert reading.error is world.provider.error
        assert world.notified_of("ns/a") == 1
        assert not world.cloud.calls


@pytest.mark.slow
async def test_the_rate_is_kept_and_a_new_object_goes_first(make_world: MakeWorld) -> None:
    async with make_world(rate=8) as world:
        names = [f"s{i}" for i in range(300)]
        world.cloud.values = dict.fromkeys([*names, "new"], b"x")
        world.registry.register("ns/all", [world.want(n) for n in names], interval=20)
        await asyncio.sleep(60)
        # All are refreshed again and again now: more than the rate allows.
        began = asyncio.get_running_loop().time()
        assert len(world.cloud.calls) <= 8 * 60 + 8
        world.registry.register("ns/new", [world.want("new")], interval=20)
        while not world.notified_of("ns/new"):
            world.changed.clear()
            await world.changed.wait()
        assert asyncio.get_running_loop().time() - began < 1


async def test_throttling_response_slows_the_whole_queue(make_world: MakeWorld) -> None:
    async with make_world(rate=100) as world:
        world.cloud.values["other"] = b"x"
        world.registry.register("ns/a", [world.want("other")], interval=None)
        await asyncio.sleep(1)
        world.cloud.faults["db"] = ThrottledError("slow down", code="Rejected.Throttling")
        world.registry.register("ns/b", [world.want("db")], interval=None)
        await asyncio.sleep(30)
        (queue,) = world.registry._fetcher.queues.values()
        assert queue.limiter.rate is not None
        assert queue.limiter.rate < 100


async def test_hanging_calls_delay_no_other_source_of_the_queue(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.hanging = {f"h{i}" for i in range(200)}
        for name in world.cloud.hanging:
            world.registry.register(f"ns/{name}", [world.want(name)], interval=60)
        await asyncio.sleep(0.5)
        world.cloud.values["fine"] = b"x"
        world.registry.register("ns/fine", [world.want("fine")], interval=60)
        await asyncio.sleep(8)
        assert world.notified_of("ns/fine") == 1


async def test_a_released_source_is_fetched_no_more(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        world.registry.register("ns/a", [world.want("db")], interval=10)
        await asyncio.sleep(1)
        world.registry.release("ns/a")
        await asyncio.sleep(1000)
        assert world.cloud.count("db") == 1
        assert len(world.registry) == 0
        assert world.registry.cached_bytes == 0
        assert not world.registry.queues


async def test_a_value_beyond_the_bound_is_known_by_its_digest_and_fetched_when_needed(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_cache, "CAPACITY", 10)
    async with make_world() as world:
        world.cloud.values = {"a": b"12345678", "b": b"abcdefgh"}
        want = [world.want("a"), world.want("b")]
        world.registry.register("ns/a", want, interval=3600)
        await asyncio.sleep(1)
        readings = world.registry.register("ns/a", want, interval=3600)
        held = [r.data is not None for r in readings]
        assert sorted(held) == [False, True]
        assert all(r.digest is not None and not r.pending for r in readings)
        lost = want[held.index(False)].source
        world.registry.fetch_value("ns/a", lost)
        await asyncio.sleep(1)
        assert world.notified_of("ns/a") >= 2
        assert world.cloud.count(lost.name) == 2


async def test_two_identities_never_share_a_value(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"one"
        stranger = type(world.provider)(account="stranger")
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/b", [world.want("db", stranger)], interval=60)
        assert reading.pending
        assert reading.data is None


async def test_no_repr_shows_a_value(make_world: MakeWorld) -> None:
    async with make_world() as world:
        world.cloud.values["db"] = b"hunter2-is-no-password"
        world.registry.register("ns/a", [world.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = world.registry.register("ns/a", [world.want("db")], interval=60)
        assert reading.data == b"hunter2-is-no-password"
        shown = repr((reading, world.registry, world.registry._cache, world.registry._states))
        assert "hunter2" not in shown
        assert "key-acct" not in shown


async def test_new_object_goes_ahead_of_synced_ones_after_a_restart(
    make_world: MakeWorld,
) -> None:
    async with make_world(rate=8) as world:
        names = [f"s{i}" for i in range(300)]
        world.cloud.values = dict.fromkeys([*names, "new"], b"x")
        for name in names:
            world.registry.register(f"ns/{name}", [world.want(name)], interval=60, urgent=False)
        await asyncio.sleep(1)
        world.registry.register("ns/new", [world.want("new")], interval=60)
        # One of the synced ones is edited: its source is moved up, and called once.
        world.registry.register("ns/edited", [world.want("s299")], interval=60)
        await asyncio.sleep(2)
        assert world.notified_of("ns/new") == 1
        assert world.notified_of("ns/edited") == 1
        assert world.cloud.count("s299") == 1
        await asyncio.sleep(60)
        assert all(world.notified_of(f"ns/{name}") == 1 for name in names)


async def test_a_source_that_comes_while_all_ends_is_not_fetched(make_world: MakeWorld) -> None:
    async with make_world() as world:
        pass
    # Its task group is over, and a reconcile that was under way registers.
    world.registry.register("ns/late", [world.want("late")], interval=None)
    await asyncio.sleep(1)
    assert world.cloud.calls == []
