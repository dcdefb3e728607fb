"""A key is not processed before the time that `Retry-After` gave, whatever enqueues it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.metrics import Metrics, QueueMetrics, WorkerMetrics
from secret_sync.queue import Backoff, Done, NotBefore, Priority, Retry, WorkQueue, run_workers

if TYPE_CHECKING:
    from secret_sync.queue import Outcome

pytestmark = pytest.mark.looptime


async def tries(*outcomes: Outcome, every: float, seconds: float) -> list[float]:
    """When one key is worked on, to these outcomes, while an event enqueues it all the time."""
    metrics = Metrics("test")
    queue: WorkQueue[str] = WorkQueue(
        "test", backoff=Backoff(base=1.0, cap=15.0), observer=QueueMetrics(metrics, "test")
    )
    left, began = list(outcomes), []

    async def handle(key: str) -> Outcome:
        began.append(now())
        # Also while it is in flight.
        queue.add(key)
        await asyncio.sleep(0.01)
        return left.pop(0) if left else Done()

    observer = WorkerMetrics(metrics, "test")
    work = run_workers(queue, 2, NotBefore(handle), timeout=60, observer=observer)
    workers = asyncio.create_task(work)
    queue.add("some")
    while now() < seconds:
        await asyncio.sleep(every)
        queue.add("some", Priority.HIGH)
    queue.shut_down()
    await workers
    return began


async def test_events_do_not_hurry_what_the_server_asked_to_wait_for() -> None:
    began = await tries(Retry(after=10.0), Retry(after=10.0), every=0.5, seconds=25)
    assert began[0] == 0.0
    assert 10.0 <= began[1] <= 11.0
    assert 20.0 <= began[2] - 0.02 <= 22.0


async def test_without_its_asking_an_event_is_answered_at_once() -> None:
    began = await tries(Retry(), every=0.5, seconds=0.9)
    assert began[1] < 0.1


async def test_nothing_is_kept_of_a_key_that_was_handed_out_again() -> None:
    outcomes: list[Outcome] = [Retry(after=5.0), Done()]

    async def handle(_: str) -> Outcome:
        return outcomes.pop(0)

    asked = NotBefore(handle)
    await asked("some")
    assert len(asked) == 1
    await asyncio.sleep(10)
    assert await asked("some") == Done()
    assert len(asked) == 0
