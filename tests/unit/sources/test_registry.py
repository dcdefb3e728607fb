from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.errors import DefiniteError, ThrottledError, TransientError
from secret_sync.sources import value_cache

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]

pytestmark = pytest.mark.looptime


async def test_first_user_is_notified_when_the_value_is_there(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=120)
        assert reading.pending
        await asyncio.sleep(1)
        assert harness.notified_of("ns/a") == 1
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=120)
        assert (reading.data, reading.version_id, reading.pending) == (b"one", "v1", False)


async def test_shared_source_costs_one_call(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        for i in range(500):
            harness.registry.register(f"ns/{i}", [harness.want("db")] * 3, interval=120)
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 1
        assert {u for _, u in harness.notified} == {f"ns/{i}" for i in range(500)}
        assert harness.provider.fetches == 1


async def test_unchanged_refresh_notifies_nobody(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(601)
        assert 9 <= harness.cloud.count("db") <= 12
        assert harness.notified_of("ns/a") == 1


async def test_changed_value_notifies_every_user(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        for user in ("ns/a", "ns/b"):
            harness.registry.register(user, [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        harness.cloud.values["db"] = b"two"
        await asyncio.sleep(70)
        assert (harness.notified_of("ns/a"), harness.notified_of("ns/b")) == (2, 2)


async def test_polls_at_the_shortest_interval_of_its_users(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/slow", [harness.want("db")], interval=3600)
        await asyncio.sleep(1)
        harness.registry.register("ns/fast", [harness.want("db")], interval=10)
        await asyncio.sleep(100)
        assert 9 <= harness.cloud.count("db") <= 13
        harness.registry.release("ns/fast")
        before = harness.cloud.count("db")
        await asyncio.sleep(600)
        assert harness.cloud.count("db") - before <= 1


async def test_without_polling_a_value_is_fetched_once(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=None)
        await asyncio.sleep(10_000)
        assert harness.cloud.count("db") == 1


async def test_forced_sync_fetches_and_reports_although_nothing_changed(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=3600)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register(
            "ns/a", [harness.want("db")], interval=3600, forced="now"
        )
        assert reading.pending
        assert reading.data == b"one"
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 2
        assert harness.notified_of("ns/a") == 2


async def test_a_new_user_reuses_a_young_value_and_not_an_old_one(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=3600)
        await asyncio.sleep(100)
        (young,) = harness.registry.register("ns/b", [harness.want("db")], interval=120)
        assert not young.pending
        (old,) = harness.registry.register("ns/c", [harness.want("db")], interval=60)
        assert not old.error
        await asyncio.sleep(1)
        assert harness.cloud.count("db") == 2


async def test_transient_fault_is_retried_and_not_reported_if_it_passes(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.cloud.faults["db"] = TransientError("a bad moment")
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(0.08)
        del harness.cloud.faults["db"]
        await asyncio.sleep(3)
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=60)
        assert reading.error is None
        assert harness.notified_of("ns/a") == 1


async def test_lasting_fault_is_reported_once_and_retried_with_backoff(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.cloud.faults["db"] = TransientError("down", code="ServiceUnavailable")
        harness.registry.register("ns/a", [harness.want("db")], interval=None)
        await asyncio.sleep(600)
        assert harness.notified_of("ns/a") == 1
        # Between two rounds: where they fall depends on the jitter. Who registers during one waits
        # for its end, and is notified of that.
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=None)
        for _ in range(200):
            if not reading.pending:
                break
            await asyncio.sleep(0.1)
            (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=None)
        assert reading.error is not None
        assert not reading.pending
        # Rounds of four tries after 1, 2, 4, 8 and then every 15 seconds.
        assert 4 * 30 <= harness.cloud.count("db") <= 4 * 45


async def test_definite_refusal_is_reported_at_once_and_retried_slowly(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        harness.registry.register("ns/a", [harness.want("gone")], interval=None)
        await asyncio.sleep(0.2)
        assert harness.notified_of("ns/a") == 1
        assert harness.cloud.count("gone") == 1
        await asyncio.sleep(100)
        assert 2 <= harness.cloud.count("gone") <= 4
        harness.cloud.values["gone"] = b"here"
        await asyncio.sleep(400)
        (reading,) = harness.registry.register("ns/a", [harness.want("gone")], interval=None)
        assert reading.data == b"here"


async def test_the_last_good_value_outlives_a_failed_refresh(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        harness.cloud.faults["db"] = DefiniteError("no", code="Forbidden.NoPermission")
        await asyncio.sleep(70)
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=60)
        assert reading.data == b"one"
        assert reading.error is not None
        assert harness.notified_of("ns/a") == 2


async def test_credentials_that_fail_cost_no_call(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.provider.error = DefiniteError("no such Secret", code="AccessKeyNotFound")
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=60)
        assert reading.error is harness.provider.error
        assert harness.notified_of("ns/a") == 1
        assert not harness.cloud.calls


@pytest.mark.slow
async def test_the_rate_is_kept_and_a_new_object_goes_first(make_harness: MakeHarness) -> None:
    async with make_harness(rate=8) as harness:
        names = [f"s{i}" for i in range(300)]
        harness.cloud.values = dict.fromkeys([*names, "new"], b"x")
        harness.registry.register("ns/all", [harness.want(n) for n in names], interval=20)
        await asyncio.sleep(60)
        # All are refreshed again and again now: more than the rate allows.
        began = asyncio.get_running_loop().time()
        assert len(harness.cloud.calls) <= 8 * 60 + 8
        harness.registry.register("ns/new", [harness.want("new")], interval=20)
        while not harness.notified_of("ns/new"):
            harness.changed.clear()
            await harness.changed.wait()
        assert asyncio.get_running_loop().time() - began < 1


async def test_throttling_response_slows_the_whole_queue(make_harness: MakeHarness) -> None:
    async with make_harness(rate=100) as harness:
        harness.cloud.values["other"] = b"x"
        harness.registry.register("ns/a", [harness.want("other")], interval=None)
        await asyncio.sleep(1)
        harness.cloud.faults["db"] = ThrottledError("slow down", code="Rejected.Throttling")
        harness.registry.register("ns/b", [harness.want("db")], interval=None)
        await asyncio.sleep(30)
        assert len(harness.registry.queues) == 1
        assert harness.limiters[-1].rate < 100


async def test_hanging_calls_delay_no_other_source_of_the_queue(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.hanging = {f"h{i}" for i in range(200)}
        for name in harness.cloud.hanging:
            harness.registry.register(f"ns/{name}", [harness.want(name)], interval=60)
        await asyncio.sleep(0.5)
        harness.cloud.values["fine"] = b"x"
        harness.registry.register("ns/fine", [harness.want("fine")], interval=60)
        await asyncio.sleep(8)
        assert harness.notified_of("ns/fine") == 1


async def test_a_released_source_is_fetched_no_more(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        harness.registry.register("ns/a", [harness.want("db")], interval=10)
        await asyncio.sleep(1)
        harness.registry.release("ns/a")
        await asyncio.sleep(1000)
        assert harness.cloud.count("db") == 1
        assert len(harness.registry) == 0
        assert harness.registry.cached_bytes == 0
        assert not harness.registry.queues


async def test_a_value_beyond_the_bound_is_known_by_its_digest_and_fetched_when_needed(
    make_harness: MakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_cache, "CAPACITY", 10)
    async with make_harness() as harness:
        harness.cloud.values = {"a": b"12345678", "b": b"abcdefgh"}
        want = [harness.want("a"), harness.want("b")]
        harness.registry.register("ns/a", want, interval=3600)
        await asyncio.sleep(1)
        readings = harness.registry.register("ns/a", want, interval=3600)
        held = [r.data is not None for r in readings]
        assert sorted(held) == [False, True]
        assert all(r.digest is not None and not r.pending for r in readings)
        lost = want[held.index(False)].source
        harness.registry.fetch_value("ns/a", lost)
        await asyncio.sleep(1)
        assert harness.notified_of("ns/a") >= 2
        assert harness.cloud.count(lost.name) == 2


async def test_two_identities_never_share_a_value(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"one"
        stranger = type(harness.provider)(account="stranger")
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/b", [harness.want("db", stranger)], interval=60)
        assert reading.pending
        assert reading.data is None


async def test_no_repr_shows_a_value(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        harness.cloud.values["db"] = b"hunter2-is-no-password"
        harness.registry.register("ns/a", [harness.want("db")], interval=60)
        await asyncio.sleep(1)
        (reading,) = harness.registry.register("ns/a", [harness.want("db")], interval=60)
        assert reading.data == b"hunter2-is-no-password"
        shown = repr((reading, harness.registry, harness.credentials, harness.registry.queues))
        assert "hunter2" not in shown
        assert "key-acct" not in shown


async def test_new_object_goes_ahead_of_synced_ones_after_a_restart(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=8) as harness:
        names = [f"s{i}" for i in range(300)]
        harness.cloud.values = dict.fromkeys([*names, "new"], b"x")
        for name in names:
            harness.registry.register(f"ns/{name}", [harness.want(name)], interval=60, urgent=False)
        await asyncio.sleep(1)
        harness.registry.register("ns/new", [harness.want("new")], interval=60)
        # One of the synced ones is edited: its source is moved up, and called once.
        harness.registry.register("ns/edited", [harness.want("s299")], interval=60)
        await asyncio.sleep(2)
        assert harness.notified_of("ns/new") == 1
        assert harness.notified_of("ns/edited") == 1
        assert harness.cloud.count("s299") == 1
        await asyncio.sleep(60)
        assert all(harness.notified_of(f"ns/{name}") == 1 for name in names)


async def test_a_source_that_comes_while_all_ends_is_not_fetched(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        pass
    # Its task group is over, and a reconcile that was under way registers.
    harness.registry.register("ns/late", [harness.want("late")], interval=None)
    await asyncio.sleep(1)
    assert harness.cloud.calls == []
