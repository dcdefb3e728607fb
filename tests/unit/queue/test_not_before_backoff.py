"""An event during a wait that the server asked for neither restarts the backoff nor is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.metrics import Metrics, QueueMetrics, WorkerMetrics
from secret_sync.queue import Backoff, NotBefore, Priority, Retry, WorkQueue, run_workers
from secret_sync.queue.worker import Done

if TYPE_CHECKING:
    from secret_sync.queue.worker import Outcome

pytestmark = pytest.mark.looptime


async def test_events_do_not_restart_the_backoff_of_a_server_that_stays_overloaded() -> None:
    metrics = Metrics("test")
    queue: WorkQueue[str] = WorkQueue(
        "test", backoff=Backoff(base=1.0, cap=15.0), observer=QueueMetrics(metrics, "test")
    )

    async def handle(_key: str) -> Outcome:
        return Retry(after=1.0)

    observer = WorkerMetrics(metrics, "test")
    workers = asyncio.create_task(
        run_workers(queue, 2, NotBefore(handle), timeout=60, observer=observer)
    )
    queue.add("some")
    while now() < 60:
        await asyncio.sleep(0.5)
        queue.add("some", Priority.HIGH)
    queue.shut_down()
    await workers
    # Each failure counted: the next wait is a long one.
    assert queue.retry("some") > 10


async def test_urgent_key_stays_urgent_after_the_wait() -> None:
    metrics = Metrics("test")
    queue: WorkQueue[str] = WorkQueue("test", observer=QueueMetrics(metrics, "test"))
    outcomes: list[Outcome] = [Retry(after=1.0)]
    began: dict[str, float] = {}

    async def handle(key: str) -> Outcome:
        began[key] = now()
        await asyncio.sleep(0.05)
        return outcomes.pop(0) if outcomes else Done()

    observer = WorkerMetrics(metrics, "test")
    workers = asyncio.create_task(
        run_workers(queue, 1, NotBefore(handle), timeout=60, observer=observer)
    )
    queue.add("urgent")
    await asyncio.sleep(0.5)
    # Its spec is edited while it waits; others are created as fast as they are worked on.
    queue.add("urgent", Priority.HIGH)
    number = 0
    while now() < 20:
        await asyncio.sleep(0.05)
        queue.add(f"other {number}", Priority.HIGH)
        number += 1
        if len(queue) < 10:
            number += 1
            queue.add(f"other {number}", Priority.HIGH)
    queue.shut_down()
    await workers
    assert 1.0 <= began["urgent"] < 5.0
