from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.queue import Backoff, QueueShutDown, WorkQueue
from tests.unit.queue.conftest import HIGH, LOW, MIDDLE, take_all

if TYPE_CHECKING:
    from tests.unit.queue.conftest import Recorder

pytestmark = pytest.mark.looptime


# -- deduplication ----------------------------------------------------------------


async def test_a_key_added_twice_is_one_item(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("a")
    assert await take_all(queue) == ["a", "b"]


async def test_a_second_add_raises_the_priority_but_never_lowers_it(
    queue: WorkQueue[str],
) -> None:
    queue.add("raised", LOW)
    queue.add("kept", HIGH)
    queue.add("other", MIDDLE)
    queue.add("raised", HIGH)
    queue.add("kept", LOW)
    assert await take_all(queue) == ["kept", "raised", "other"]


async def test_add_during_processing_runs_exactly_once_more(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 0, "never two workers on one key"
    queue.done("a")
    assert await take_all(queue) == ["a"]


async def test_call_when_done_follows_the_key_and_may_add_it_again(queue: WorkQueue[str]) -> None:
    queue.add("a")
    key = await queue.get()
    called: list[str] = []
    queue.when_done(key, lambda: called.append("replaced"))

    def call() -> None:
        called.append(f"in flight: {queue.is_in_flight(key)}")
        queue.add(key)

    queue.when_done(key, call)
    assert called == []
    queue.done(key)
    assert called == ["in flight: False"]
    assert await take_all(queue) == ["a"]
    assert called == ["in flight: False"], "once"


async def test_a_raise_during_processing_counts_when_it_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a", LOW)
    queue.add("a", HIGH)
    queue.add("b", MIDDLE)
    queue.done("a")
    assert await take_all(queue) == ["a", "b"]


async def test_done_without_an_add_between_leaves_nothing(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.done(await queue.get())
    assert len(queue) == 0
    assert queue.in_flight == 0


async def test_done_for_a_key_that_is_not_in_flight_is_a_bug(queue: WorkQueue[str]) -> None:
    queue.add("a")
    with pytest.raises(ValueError, match="not in flight"):
        queue.done("a")


async def test_discard_drops_a_key_that_is_ready_delayed_or_failing(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    queue.add("ready")
    queue.add_after("delayed", 5)
    queue.retry("failing")
    for key in ("ready", "delayed", "failing", "unknown"):
        queue.discard(key)
    await asyncio.sleep(10)
    assert len(queue) == 0
    assert queue.retry("failing") == 1, "the backoff is reset"


async def test_discard_of_a_key_in_flight_drops_the_adds_meanwhile(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.discard("a")
    queue.done("a")
    assert len(queue) == 0


# -- cancel-safe get ------------------------------------------------------------------


async def test_get_waits_for_an_add(queue: WorkQueue[str]) -> None:
    asyncio.get_running_loop().call_later(7, queue.add, "a")
    assert await queue.get() == "a"
    assert now() == 7


async def test_getter_cancelled_after_its_wake_up_passes_it_on(
    queue: WorkQueue[str],
) -> None:
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")  # for the first getter
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with asyncio.timeout(1):
        assert await second == "a"


async def test_a_getter_cancelled_while_waiting_takes_no_wake_up(
    queue: WorkQueue[str],
) -> None:
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    first.cancel()
    queue.add("a")
    async with asyncio.timeout(1):
        assert await second == "a"
    with suppress(asyncio.CancelledError):
        await first


async def test_key_taken_by_another_getter_leaves_the_first_waiting(
    queue: WorkQueue[str],
) -> None:
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    assert await queue.get() == "a"
    await asyncio.sleep(1)
    assert not waiting.done()
    queue.add("b")
    async with asyncio.timeout(1):
        assert await waiting == "b"


async def test_ready_takes_nothing_and_the_most_urgent_is_picked_after(
    queue: WorkQueue[str],
) -> None:
    queue.add("refresh", LOW)
    await queue.ready()
    assert len(queue) == 1
    queue.add("new object", HIGH)  # while the dispatcher waits for its token
    assert await queue.get() == "new object"


async def test_ready_passes_its_wake_up_on_to_a_getter(queue: WorkQueue[str]) -> None:
    ready = [asyncio.create_task(queue.ready()) for _ in range(3)]
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    async with asyncio.timeout(1):
        assert await getter == "a"
        await ready[0]
    for task in ready[1:]:
        task.cancel()
    await asyncio.gather(*ready, return_exceptions=True)


async def test_ready_cancelled_after_its_wake_up_passes_it_on(queue: WorkQueue[str]) -> None:
    ready = asyncio.create_task(queue.ready())
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    ready.cancel()
    async with asyncio.timeout(1):
        assert await getter == "a"
    with suppress(asyncio.CancelledError):
        await ready


# -- priorities and aging -----------------------------------------------------------


async def test_fifo_within_a_priority(queue: WorkQueue[str]) -> None:
    for key in "cab":
        queue.add(key, MIDDLE)
    assert await take_all(queue) == ["c", "a", "b"]


async def test_no_starvation_under_load(queue: WorkQueue[str]) -> None:
    """More urgent work than workers, for ever: the rest is still done."""
    queue.add("low", LOW)
    queue.add("middle", MIDDLE)
    queue.add("urgent-0")
    taken: dict[str, float] = {}
    for number in range(1, 500):
        queue.add(f"urgent-{number}")
        queue.add(f"urgent-{number}-b")
        key = await queue.get()
        taken[key] = now()
        queue.done(key)
        await asyncio.sleep(0.1)
    # Ten seconds a level, and then at most four takes, a tenth of a second each; urgent work
    # that had queued up before counts as older.
    assert 10 <= taken["middle"] <= 22
    assert 20 <= taken["low"] <= 42


async def test_before_its_time_an_item_does_not_rise(queue: WorkQueue[str]) -> None:
    queue.add("low", LOW)
    for number in range(19):
        await asyncio.sleep(1)
        queue.add(str(number))
        queue.add(f"{number}-b")
        assert await queue.get() != "low"


async def test_a_backlog_of_old_refreshes_does_not_delay_a_new_object(
    queue: WorkQueue[str],
) -> None:
    for number in range(1000):
        queue.add(f"refresh-{number}", LOW)
    await asyncio.sleep(1000)
    for round_ in range(50):
        queue.add(f"new-{round_}")
        taken = [await queue.get() for _ in range(2)]
        assert f"new-{round_}" in taken


async def test_risen_items_get_one_in_four_of_contested_takes(queue: WorkQueue[str]) -> None:
    for number in range(30):
        queue.add(f"low-{number}", LOW)
    await asyncio.sleep(100)
    for number in range(30):
        queue.add(f"high-{number}", HIGH)
    first = [await queue.get() for _ in range(40)]
    assert sum(key.startswith("low") for key in first) == 10
    assert [key for key in first if key.startswith("low")] == [f"low-{n}" for n in range(10)]


# -- shutdown ------------------------------------------------------------------------


async def test_shutdown_drops_what_is_queued_and_ignores_adds(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add_after("b", 1)
    queue.shut_down()
    queue.add("c")
    queue.add_after("d", 1)
    queue.retry("e")
    await asyncio.sleep(1000)
    assert len(queue) == 0
    with pytest.raises(QueueShutDown):
        await queue.get()
    with pytest.raises(QueueShutDown):
        await queue.ready()


async def test_shutdown_ends_everyone_who_waits(queue: WorkQueue[str]) -> None:
    waiting = [
        *(asyncio.create_task(queue.get()) for _ in range(3)),
        *(asyncio.create_task(queue.ready()) for _ in range(3)),
    ]
    await asyncio.sleep(1)
    queue.shut_down()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [QueueShutDown] * 6


async def test_drained_waits_for_what_is_in_flight(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    loop = asyncio.get_running_loop()
    loop.call_later(3, queue.done, await queue.get())
    loop.call_later(5, queue.done, await queue.get())
    queue.add("a")
    queue.shut_down()
    await asyncio.gather(queue.drained(), queue.drained())
    assert now() == pytest.approx(5)
    assert len(queue) == 0, "an add before the shutdown is dropped too"


# -- what metrics read ---------------------------------------------------------------


async def test_counts_accepted_adds_and_depth_without_delayed(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    queue.add("a")
    queue.add("a")
    queue.add_after("b", 5)
    assert recorder.adds == 1
    assert len(queue) == 1
    await asyncio.sleep(6)
    assert recorder.adds == 2
    assert len(queue) == 2


async def test_durations_run_from_the_first_add_and_from_the_take(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    queue.add("a", LOW)
    await asyncio.sleep(2)
    queue.add("a", HIGH)
    await asyncio.sleep(1)
    await queue.get()
    queue.add("a")
    await asyncio.sleep(4)
    queue.done("a")
    await queue.get()
    assert recorder.waits == pytest.approx([3, 4])
    assert recorder.works == pytest.approx([4])


async def test_unfinished_and_longest_are_computed_when_read(queue: WorkQueue[str]) -> None:
    assert queue.unfinished_work_seconds == queue.longest_running_processor_seconds == 0
    queue.add("a")
    queue.add("b")
    await queue.get()
    await asyncio.sleep(2)
    await queue.get()
    await asyncio.sleep(1)
    assert queue.unfinished_work_seconds == pytest.approx(4)
    assert queue.longest_running_processor_seconds == pytest.approx(3)
    assert queue.in_flight == 2


# -- The object ---------------------------------------------------------------------------


async def test_an_empty_queue_is_still_true_and_says_what_it_holds(queue: WorkQueue[str]) -> None:
    assert queue
    queue.add("a")
    queue.add_after("b", 1)
    assert repr(queue) == "<WorkQueue test ready=1 delayed=1 in_flight=0>"
    queue.shut_down()
    assert repr(queue) == "<WorkQueue test ready=0 delayed=0 in_flight=0 shut down>"


@pytest.mark.parametrize("aging", [0, -1, float("inf"), float("nan")])
def test_ageing_that_makes_no_sense_is_refused(aging: float, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="aging"):
        WorkQueue[str]("test", backoff=Backoff(), aging=aging, observer=recorder)
