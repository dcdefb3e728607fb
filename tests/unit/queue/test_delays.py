"""Delayed keys and retries of the work queue."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.queue import Backoff, WorkQueue
from tests.unit.queue.conftest import HIGH, LOW, MIDDLE, take_all

if TYPE_CHECKING:
    from tests.unit.queue.conftest import Recorder

pytestmark = pytest.mark.looptime


async def test_the_earliest_delay_wins(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 30)
    queue.add_after("a", 5)
    queue.add_after("a", 60)
    assert await queue.get() == "a"
    assert now() == pytest.approx(5)
    queue.done("a")
    await asyncio.sleep(100)
    assert len(queue) == 0, "delivered once"


async def test_delays_of_many_keys_come_in_order_on_one_timer(queue: WorkQueue[str]) -> None:
    for seconds in (30, 10, 20):
        queue.add_after(str(seconds), seconds)
    arrivals = []
    for _ in range(3):
        key = await queue.get()
        arrivals.append((key, round(now(), 2)))
    assert arrivals == [("10", 10), ("20", 20), ("30", 30)]


async def test_of_two_delays_the_higher_priority_stands(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 5, LOW)
    queue.add_after("a", 9, HIGH)
    queue.add_after("b", 5, MIDDLE)
    await asyncio.sleep(6)
    assert await take_all(queue) == ["a", "b"]


async def test_no_delay_adds_at_once(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 0)
    assert len(queue) == 1


async def test_cancel_drops_a_delayed_add_only(queue: WorkQueue[str]) -> None:
    queue.add("ready")
    queue.add_after("ready", 5)
    queue.add_after("delayed", 5)
    queue.cancel("ready")
    queue.cancel("delayed")
    await asyncio.sleep(10)
    assert await take_all(queue) == ["ready"]


async def test_a_cancelled_delay_does_not_hold_back_a_later_one(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 5)
    queue.cancel("a")
    queue.add_after("a", 20)
    assert await queue.get() == "a"
    assert now() == pytest.approx(20)


async def test_moving_one_key_forward_again_and_again_holds_no_memory(
    queue: WorkQueue[str],
) -> None:
    tracemalloc.start()
    for step in range(10_000):
        queue.add_after("a", 20_000 - step)
    await asyncio.sleep(0)  # the loop drops the cancelled timers
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000, "ten bytes for each time"
    assert await queue.get() == "a"
    assert now() == pytest.approx(10_001)


async def test_retries_back_off_and_forget_resets_the_backoff(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    assert [queue.retry("a") for _ in range(4)] == [1, 2, 4, 8]
    queue.forget("a")
    assert queue.retry("a") == 1
    assert recorder.retries == 5


async def test_a_fresh_add_does_not_wait_for_the_backoff(queue: WorkQueue[str]) -> None:
    for _ in range(9):
        queue.retry("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert now() == 0


async def test_delayed_keys_do_not_come_back_together(recorder: Recorder) -> None:
    backoff = Backoff(base=1, cap=15, jitter=0.25)
    queue: WorkQueue[int] = WorkQueue("some", backoff=backoff, observer=recorder)
    delays = [queue.retry(key, after=20.0) for key in range(200)]
    assert 20 <= min(delays) < 21
    assert 24 < max(delays) <= 25


async def test_retry_after_does_not_shorten_the_backoff(recorder: Recorder) -> None:
    backoff = Backoff(base=1, cap=15, jitter=0.25)
    queue: WorkQueue[str] = WorkQueue("some", backoff=backoff, observer=recorder)
    # As API Priority and Fairness asks at every rejection.
    delays = [queue.retry("a", after=1.0) for _ in range(8)]
    assert 1 <= delays[0] <= 1.25
    assert delays[-1] >= 15 * 0.75


async def test_a_retry_is_of_middle_priority_and_a_delay_of_low(queue: WorkQueue[str]) -> None:
    queue.add_after("refresh", 1)
    queue.retry("retried")
    await asyncio.sleep(2)
    queue.add("changed")
    assert await take_all(queue) == ["changed", "retried", "refresh"]
