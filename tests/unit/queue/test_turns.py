"""Tenants take turns within a priority, whatever each of them adds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.queue import Priority, WorkQueue

if TYPE_CHECKING:
    from tests.unit.queue.conftest import Recorder

pytestmark = pytest.mark.looptime


@pytest.fixture
def turns(recorder: Recorder) -> WorkQueue[str]:
    return WorkQueue("turns", aging=10, observer=recorder, tenants=lambda key: key.split("/")[:1])


async def take(queue: WorkQueue[str], count: int) -> list[str]:
    taken = [await queue.get() for _ in range(count)]
    for key in taken:
        queue.done(key)
    return taken


@pytest.mark.parametrize("priority", Priority)
async def test_5000_keys_of_one_tenant_delay_another_tenants_key_by_one(
    turns: WorkQueue[str], priority: Priority
) -> None:
    for n in range(5000):
        turns.add(f"greedy/{n}", priority)
    await take(turns, 100)
    turns.add("other/one", priority)
    assert await take(turns, 3) == ["greedy/100", "other/one", "greedy/101"]


async def test_each_of_many_tenants_has_one_turn_in_a_round(turns: WorkQueue[str]) -> None:
    for n in range(3):
        for tenant in "abcd":
            turns.add(f"{tenant}/{n}")
            turns.add(f"{tenant}/{n}/more")
    for _ in range(6):
        assert [key[0] for key in await take(turns, 4)] == list("abcd")


async def test_adding_again_and_again_buys_no_further_turn(turns: WorkQueue[str]) -> None:
    turns.add("honest/1")
    turns.add("honest/2")
    order = []
    for n in range(4):
        turns.add(f"greedy/{n}")
        order += await take(turns, 1)
    assert order == ["honest/1", "greedy/0", "honest/2", "greedy/1"]


async def test_a_more_urgent_key_goes_before_any_turn(turns: WorkQueue[str]) -> None:
    for n in range(10):
        turns.add(f"a/{n}", Priority.LOW)
    turns.add("b/1", Priority.LOW)
    turns.add("a/9", Priority.HIGH)
    assert await take(turns, 3) == ["a/9", "a/0", "b/1"]


@pytest.mark.parametrize("priority", [Priority.MIDDLE, Priority.LOW])
async def test_an_old_backlog_of_urgent_keys_does_not_hold_up_what_has_risen(
    turns: WorkQueue[str], priority: Priority
) -> None:
    for n in range(5000):
        turns.add(f"greedy/{n}")
        turns.add(f"greedy/{n}/later", Priority.MIDDLE)
    await asyncio.sleep(1000)
    turns.add("other/one", priority)
    await asyncio.sleep(priority * 10)
    # One take in four is of what has risen, of either priority in turn, and of a tenant in turn.
    assert "other/one" in await take(turns, 4 * 2 * 2)


async def test_a_key_that_several_tenants_want_goes_with_the_first_turn(
    recorder: Recorder,
) -> None:
    queue: WorkQueue[str] = WorkQueue(
        "shared",
        observer=recorder,
        tenants=lambda key: ("busy", "idle") if key == "shared" else ("busy",),
    )
    for n in range(100):
        queue.add(f"{n}")
    queue.add("shared")
    assert await take(queue, 3) == ["0", "shared", "1"]


async def test_a_key_that_waits_already_may_be_wanted_by_a_further_tenant(
    turns: WorkQueue[str],
) -> None:
    for n in range(100):
        turns.add(f"greedy/{n}")
    turns.share("greedy/99", "other")
    turns.share("greedy/unknown", "other")
    assert await take(turns, 3) == ["greedy/0", "greedy/99", "greedy/1"]
