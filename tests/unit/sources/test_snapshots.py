"""A user is given values of one generation only, whatever is rotated, fails or is slow when.

The cloud writes a whole generation in one step, as people do who rotate a user name together with
its password. ``Object`` does what a reconcile does with the readings: it writes if nothing is
pending and nothing failed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.clock import loop_time as now
from secret_sync.errors import DefiniteError, TransientError
from tests.support.fake_time import run_in_fake_time
from tests.unit.sources.rotating import Object, names_of, play, run_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.credentials import Credentials
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources import Source

    MakeHarness = Callable[..., Any]

#: Longer than any failure waits.
SETTLED = 700.0


@pytest.mark.looptime
@pytest.mark.parametrize("count", [2, 5, 20])
async def test_sources_rotated_together_are_never_mixed(
    make_harness: MakeHarness, count: int
) -> None:
    async with make_harness() as harness:
        cloud, names = play(harness, latencies=(0.0, 0.1, 1.5)), names_of(count)
        one = Object(harness, "ns/a", names, interval=10.0)
        one.reconcile()
        await run_objects(harness, [one], 30)
        for generation in range(1, 11):
            cloud.rotate(*names)
            await run_objects(harness, [one], 7.3)
            assert len(set(cloud.generations.values())) == 1, generation
        await run_objects(harness, [one], 60)
        assert one.written[-1] == (10,) * count
        assert all(len(set(written)) == 1 for written in one.written)
        assert len(one.written) > 2


@pytest.mark.looptime
@pytest.mark.parametrize("count", [2, 5, 20])
async def test_a_change_asks_the_others_at_once_after_5_s_and_after_30_s(
    make_harness: MakeHarness, count: int
) -> None:
    async with make_harness() as harness:
        cloud, names = play(harness), names_of(count)
        one = Object(harness, "ns/a", names, interval=None)
        one.reconcile()
        await run_objects(harness, [one], 100)
        assert set(cloud.called_since(0).values()) == {1}
        # Somebody else finds the change of the first one.
        other = Object(harness, "ns/b", names[:1], interval=None)
        cloud.rotate(names[0])
        began = now()
        other.reconcile(forced="")
        other.reconcile(forced="now")
        others = Counter(dict.fromkeys(names[1:], 1))
        await run_objects(harness, [one, other], 1)
        assert cloud.called_since(began) == others + Counter(names[:1])
        assert one.written[-1] == (1,) + (0,) * (count - 1)
        for pause in (5, 25):
            began = now()
            await run_objects(harness, [one, other], pause)
            assert cloud.called_since(began) == others
        began = now()
        await run_objects(harness, [one, other], 1000)
        assert not cloud.called_since(began)


@pytest.mark.looptime
async def test_an_answer_under_way_while_another_source_changes_confirms_nothing(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        one = Object(harness, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(harness, [one], 5)
        # Reads at once, and answers late.
        cloud.slow["user"] = 2.0
        slow = Object(harness, "ns/b", ["user"], interval=None)
        quick = Object(harness, "ns/c", ["password"], interval=None)
        for each in (slow, quick):
            each.reconcile()
        slow.reconcile(forced="now")
        await run_objects(harness, [one, slow, quick], 0.5)
        cloud.rotate("user", "password")
        quick.reconcile(forced="now")
        await run_objects(harness, [one, slow, quick], 10)
        assert one.written == [(0, 0), (1, 1)]


@pytest.mark.looptime
async def test_the_newest_change_counts_only_if_it_was_asked_after_the_others(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        one = Object(harness, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(harness, [one], 5)
        # The password is read in the second generation, and that is known after the user of the
        # third one.
        cloud.rotate("user", "password")
        cloud.slow["password"] = 2.0
        one.reconcile(forced="now")
        slow = Object(harness, "ns/b", ["user"], interval=None)
        await run_objects(harness, [one, slow], 1)
        cloud.rotate("user", "password")
        slow.reconcile()
        slow.reconcile(forced="now")
        await run_objects(harness, [one, slow], 30)
        assert one.written[0] == (0, 0)
        assert one.written[-1] == (2, 2)
        assert all(len(set(written)) == 1 for written in one.written)


@pytest.mark.looptime
async def test_an_unchanged_round_asks_each_source_once(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        cloud, names = play(harness), names_of(5)
        one = Object(harness, "ns/a", names, interval=60.0)
        one.reconcile()
        await run_objects(harness, [one], 30)
        began = now()
        await run_objects(harness, [one], 60)
        assert cloud.called_since(began) == Counter(names)
        assert one.written == [(0,) * 5]


@pytest.mark.looptime
async def test_a_source_used_by_two_objects_is_asked_once_for_both(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        first = Object(harness, "ns/a", ["shared", "mine"], interval=None)
        second = Object(harness, "ns/b", ["shared", "yours"], interval=None)
        first.reconcile()
        second.reconcile()
        await run_objects(harness, [first, second], 200)
        cloud.rotate("shared", "mine", "yours")
        began = now()
        first.reconcile(forced="now")
        await run_objects(harness, [first, second], 3)
        assert cloud.called_since(began)["yours"] == 1
        assert (first.written[-1], second.written[-1]) == ((1, 1), (1, 1))


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error", [TransientError("down"), DefiniteError("no", code="Forbidden.NoPermission")]
)
async def test_failure_right_after_a_change_keeps_the_whole_former_pair(
    make_harness: MakeHarness, error: Exception
) -> None:
    async with make_harness() as harness:
        cloud = play(harness, error=error)
        one = Object(harness, "ns/a", ["user", "password"], interval=10.0)
        one.reconcile()
        await run_objects(harness, [one], 5)
        cloud.rotate("user", "password")
        cloud.failing.add("password")
        await run_objects(harness, [one], 300)
        user, password = one.reconcile()
        # For repairs, and the condition says what is missing.
        assert (user.data, user.version_id) == (b"user of generation 0", "v0")
        assert (password.data, password.version_id) == (b"password of generation 0", "v0")
        assert user.error is None
        assert password.error is error
        assert one.written == [(0, 0)]
        cloud.failing.clear()
        await run_objects(harness, [one], 400)
        assert one.written == [(0, 0), (1, 1)]
        assert harness.registry.cached_bytes == len(b"user of generation 1password of generation 1")


@pytest.mark.looptime
async def test_a_source_that_is_asked_ahead_of_its_schedule_waits_no_longer_for_that(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness, error=DefiniteError("no", code="Forbidden.NoPermission"))
        one = Object(harness, "ns/a", ["user", "password"], interval=5.0)
        one.reconcile()
        await run_objects(harness, [one], 3)
        cloud.failing.add("password")
        for _ in range(3):
            cloud.rotate("user", "password")
            await run_objects(harness, [one], 6)
        assert cloud.called_since(0)["password"] > 3
        cloud.failing.clear()
        # The rest of the wait after the first refusal, and what it is spread by.
        await run_objects(harness, [one], 30)
        assert one.written == [(0, 0), (3, 3)]


@pytest.mark.looptime
async def test_adjacent_failures_are_reported_once(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        cloud = play(harness, error=DefiniteError("no", code="Forbidden.NoPermission"))
        cloud.failing |= {"user", "password", "slow"}
        cloud.slow |= {"password": 0.1, "slow": 5.0}
        harness.registry.register(
            "ns/a", [harness.want(name) for name in ("user", "password", "slow")], interval=None
        )
        await asyncio.sleep(1)
        # Without what is slow: a failure is reported within a second.
        assert harness.notified_of("ns/a") == 1
        await asyncio.sleep(10)
        assert harness.notified_of("ns/a") == 2


@pytest.mark.looptime
async def test_source_change_with_many_users_is_handled_in_slices(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        names = names_of(50)
        objects = [Object(harness, f"ns/{n}", names, interval=None) for n in range(100)]
        for each in objects:
            each.reconcile()
        await run_objects(harness, objects, 10)
        harness.notified.clear()
        cloud.failing.add(names[0])
        cloud.error = DefiniteError("no such secret", code="NotFound")
        objects[0].reconcile(forced="now")
        seen = [0]
        while seen[-1] < len(objects) - 1:
            harness.changed.clear()
            await harness.changed.wait()
            seen.append(len(harness.notified))
        # The second slice of 2,000 users and sources may run before this does.
        assert max(after - before for before, after in pairwise(seen)) <= 2 * 2000 / 50


@pytest.mark.looptime
async def test_sources_that_change_all_the_time_are_not_asked_all_the_time(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        one = Object(harness, "ns/a", ["user", "password"], interval=120.0)
        one.reconcile()
        await run_objects(harness, [one], 5)
        ask = cloud.__call__

        async def changing(source: Source, credentials: Credentials) -> SecretValue:
            cloud.rotate(source.name)
            return await ask(source, credentials)

        harness.fetchers["kms"] = changing
        await run_objects(harness, [one], 600)
        began = now()
        await run_objects(harness, [one], 600)
        # Once a minute each, and what is polled anyway.
        assert sum(cloud.called_since(began).values()) < 60
        harness.fetchers["kms"] = cloud
        cloud.rotate("user", "password")
        await run_objects(harness, [one], 200)
        assert one.written[-1] == (cloud.generations["user"], cloud.generations["password"])


@pytest.mark.looptime
async def test_rotation_seconds_later_is_found_by_the_recheck(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        one = Object(harness, "ns/a", ["user", "password"], interval=600.0)
        one.reconcile()
        await run_objects(harness, [one], 5)
        finder = Object(harness, "ns/b", ["user"], interval=None)
        cloud.rotate("user")
        finder.reconcile(forced="")
        finder.reconcile(forced="now")
        await run_objects(harness, [one, finder], 3)
        cloud.rotate("password")
        await run_objects(harness, [one, finder], 3)
        assert one.written == [(0, 0), (1, 0), (1, 1)]


@pytest.mark.looptime
async def test_sources_of_one_secret_are_refreshed_together_at_the_shortest_interval(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        nothing = repr(harness.registry)
        cloud = play(harness)
        arn = "acs:kms:cn-test:1:secret/db"
        slow = Object(harness, "ns/slow", [arn], interval=10_000.0)
        fast = Object(harness, "ns/fast", ["db"], interval=30.0)
        slow.reconcile()
        fast.reconcile()
        await run_objects(harness, [slow, fast], 5)
        for _ in range(10):
            began = now()
            await run_objects(harness, [slow, fast], 30)
            calls = cloud.called_since(began)
            assert calls[arn] == calls["db"]
        assert 9 <= cloud.called_since(0)[arn] <= 14
        harness.registry.release("ns/fast")
        began = now()
        await run_objects(harness, [slow], 1000)
        assert not cloud.called_since(began)
        harness.registry.release("ns/slow")
        assert repr(harness.registry) == nothing


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("rotate", "fail", "mend", "force", "restart", "edit", "wait", "rotate")),
        st.integers(0, 3),
        st.sampled_from((0.0, 0.03, 0.2, 1.0, 6.0, 40.0)),
    ),
    min_size=1,
    max_size=30,
)


async def live(make_harness: MakeHarness, steps: Any, seed: int, count: int) -> None:
    random = Random(seed)
    async with make_harness() as harness:
        nothing = repr(harness.registry)
        cloud = play(harness, random=random, latencies=(0.0, 0.01, 0.3, 2.0))
        names = names_of(count)
        objects = [
            Object(harness, "ns/all", names, interval=9.0),
            Object(harness, "ns/some", names[: max(2, count - 1)], interval=31.0),
            Object(harness, "ns/one", names[:1], interval=5.0),
        ]
        for each in objects:
            each.reconcile()
        # A first pair may be a mix, within two seconds; what follows never is.
        await run_objects(harness, objects, 60)
        for turn, (step, index, pause) in enumerate(steps):
            match step:
                case "rotate":
                    cloud.rotate(*names)
                case "fail":
                    cloud.failing.add(names[index % count])
                case "mend":
                    cloud.failing.clear()
                case "force":
                    objects[index % 3].reconcile(forced=str(turn))
                case "restart":
                    harness.registry.release(objects[index % 3].user)
                    objects[index % 3].reconcile()
                case "edit":
                    objects[index % 3].reconcile(revision=turn)
            await run_objects(harness, objects, pause)
        cloud.failing.clear()
        await run_objects(harness, objects, SETTLED)
        for each in objects:
            assert all(len(set(written)) == 1 for written in each.written), each.written
            assert each.written[-1][0] == cloud.generations[names[0]], "all arrives in the end"
            harness.registry.release(each.user)
        assert repr(harness.registry) == nothing


@settings(deadline=None, max_examples=30)
@given(steps=STEPS, seed=st.integers(0, 2**32), count=st.integers(2, 5))
def test_no_interleaving_mixes_generations(
    steps: Any, seed: int, count: int, make_harness: MakeHarness
) -> None:
    run_in_fake_time(live(make_harness, steps, seed, count))
