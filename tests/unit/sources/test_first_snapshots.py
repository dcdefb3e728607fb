"""The first values of a user: after a restart, and of a new object."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.errors import DefiniteError
from tests.unit.sources.rotating import Object, names_of, play, run_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeHarness = Callable[..., Any]


@pytest.mark.looptime
async def test_a_restart_that_finds_the_versions_of_the_status_asks_each_source_once(
    make_harness: MakeHarness,
) -> None:
    async with make_harness(rate=8) as harness:
        cloud, names = play(harness), names_of(60)
        cloud.rotate(*names)
        one = Object(harness, "ns/a", names, interval=None, status=("v1",) * 60)
        began = now()
        one.reconcile()
        # Far more than two seconds pass between the first and the last answer.
        await run_objects(harness, [one], 200)
        assert cloud.called_since(began) == Counter(names)
        assert one.written == [(1,) * 60]


@pytest.mark.looptime
async def test_a_restart_that_finds_a_change_asks_the_others_again(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        cloud.rotate("user", "password")
        one = Object(harness, "ns/a", ["user", "password"], interval=None, status=("v0", "v0"))
        one.reconcile()
        await asyncio.sleep(0.02)
        # Between the moments at which the two calls read.
        cloud.rotate("user", "password")
        await run_objects(harness, [one], 4)
        # Both are a change, and neither was asked after the other's answer: once more each.
        assert cloud.called_since(0) == {"user": 2, "password": 2}
        await run_objects(harness, [one], 100)
        assert one.written[-1] == (2, 2)
        assert all(len(set(written)) == 1 for written in one.written)


@pytest.mark.looptime
async def test_first_values_that_lie_apart_are_asked_again(make_harness: MakeHarness) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        cloud.failing.add("late")
        one = Object(harness, "ns/a", ["early", "late"], interval=None)
        one.reconcile()
        await run_objects(harness, [one], 10)
        cloud.failing.clear()
        await run_objects(harness, [one], 60)
        assert cloud.called_since(0)["early"] == 2
        assert one.written == [(0, 0)]


@pytest.mark.looptime
async def test_first_values_next_to_each_other_cost_no_further_call(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness, latencies=(0.1, 0.9))
        objects = [
            Object(harness, f"ns/{n}", [f"u{n}", f"p{n}"], interval=None) for n in range(200)
        ]
        for each in objects:
            each.reconcile()
        await run_objects(harness, objects, 100)
        assert set(cloud.called_since(0).values()) == {1}
        assert all(each.written == [(0, 0)] for each in objects)


@pytest.mark.looptime
async def test_a_first_answer_that_is_late_is_not_next_to_another(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        # Read at once, answered late; the other one is read after a rotation.
        cloud.slow["user"] = 4.5
        cloud.failing.add("password")
        one = Object(harness, "ns/a", ["user", "password"], interval=None)
        one.reconcile()
        await run_objects(harness, [one], 3)
        cloud.rotate("user", "password")
        cloud.failing.clear()
        await run_objects(harness, [one], 60)
        assert one.written == [(1, 1)]


@pytest.mark.looptime
async def test_a_new_object_takes_confirmed_values_without_a_call(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        first = Object(harness, "ns/a", ["user", "password"], interval=3600.0)
        first.reconcile()
        await run_objects(harness, [first], 30)
        second = Object(harness, "ns/b", ["user", "password"], interval=3600.0)
        second.reconcile()
        assert second.written == [(0, 0)]
        assert len(cloud.calls) == 2


@pytest.mark.looptime
async def test_an_object_that_never_had_a_pair_gets_none_while_one_half_fails(
    make_harness: MakeHarness,
) -> None:
    async with make_harness() as harness:
        cloud = play(harness)
        cloud.error = DefiniteError("no such secret", code="NotFound")
        one = Object(harness, "ns/a", ["user", "password"], interval=10.0)
        one.reconcile()
        await run_objects(harness, [one], 5)
        cloud.failing.add("password")
        cloud.rotate("user", "password")
        await run_objects(harness, [one], 60)
        other = Object(harness, "ns/b", ["user", "password"], interval=10.0)
        other.reconcile()
        # A failure that is not of just now is asked about again, and answered at once.
        await run_objects(harness, [one, other], 3)
        user, password = other.reconcile()
        assert user.data == b"user of generation 1"
        assert (password.pending, password.error) == (False, cloud.error)
        await run_objects(harness, [one, other], 60)
        assert not other.written
        assert one.written == [(0, 0)]
