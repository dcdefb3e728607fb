from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import pytest
import structlog
from structlog.testing import capture_logs

from secret_sync.clock import loop_time as now
from secret_sync.queue import (
    Done,
    Outcome,
    Priority,
    RequeueAfter,
    Result,
    Retry,
    reconcile_id,
    run_workers,
)

if TYPE_CHECKING:
    from secret_sync.queue import WorkQueue
    from tests.unit.queue.conftest import Recorder

Handle: TypeAlias = Callable[[str], Awaitable[Outcome]]
Run: TypeAlias = Callable[..., Coroutine[None, None, None]]

pytestmark = pytest.mark.looptime


@pytest.fixture
def run(queue: WorkQueue[str], recorder: Recorder) -> Run:
    """Run workers for some (virtual) seconds, then shut down as the app does."""

    async def run(handle: Handle, *, seconds: float = 1000, count: int = 2) -> None:
        workers = asyncio.create_task(
            run_workers(queue, count, handle, timeout=30, observer=recorder)
        )
        await asyncio.sleep(seconds)
        queue.shut_down()
        await workers

    return run


async def test_done_forgets_and_gives_the_key_back(
    queue: WorkQueue[str], recorder: Recorder, run: Run
) -> None:
    seen = []

    async def handle(key: str) -> Outcome:
        seen.append(key)
        return Done()

    queue.add("a")
    queue.retry("a")
    await run(handle)
    assert seen == ["a"], "the retry that waited is answered, too"
    assert queue.retry("a") == 1, "the backoff is reset"
    assert queue.in_flight == 0
    assert recorder.results == [Result.DONE]


async def test_requeue_after_comes_back_in_time_and_forgets(
    queue: WorkQueue[str], recorder: Recorder, run: Run
) -> None:
    times = []

    async def handle(_key: str) -> Outcome:
        times.append(round(now(), 2))
        return RequeueAfter(120)

    queue.retry("a")
    await run(handle, seconds=400)
    assert times == [1, 121, 241, 361]
    assert queue.retry("a") == 1, "the backoff is reset"
    assert set(recorder.results) == {Result.REQUEUE_AFTER}


async def test_retry_backs_off(queue: WorkQueue[str], recorder: Recorder, run: Run) -> None:
    times = []

    async def handle(_key: str) -> Outcome:
        times.append(round(now(), 2))
        return Retry()

    queue.add("a")
    await run(handle, seconds=20)
    assert times == [0, 1, 3, 7, 15]
    assert set(recorder.results) == {Result.RETRY}


async def test_a_retry_comes_when_the_other_side_asked_for_it(
    queue: WorkQueue[str], run: Run
) -> None:
    times = []

    async def handle(_key: str) -> Outcome:
        times.append(round(now(), 2))
        return Retry(after=20) if len(times) < 3 else Retry()

    queue.add("a")
    # What was to be looked at sooner is not: it would be refused again.
    queue.add_after("a", 5)
    await run(handle, seconds=50)
    assert times == [0, 20, 40, 44]


async def test_outcomes_carry_their_priority(queue: WorkQueue[str], run: Run) -> None:
    order = []

    async def handle(key: str) -> Outcome:
        order.append(key)
        if len(order) > 3:
            return Done()
        return RequeueAfter(5, Priority.HIGH) if key == "urgent" else RequeueAfter(4.9995)

    for key in ("x", "y", "urgent"):
        queue.add(key)
    await run(handle, count=1, seconds=10)
    assert order == ["x", "y", "urgent", "urgent", "x", "y"]


async def test_an_unexpected_exception_is_counted_logged_and_retried(
    queue: WorkQueue[str], recorder: Recorder, run: Run
) -> None:
    tries: Counter[str] = Counter()

    async def handle(key: str) -> Outcome:
        tries[key] += 1
        if key == "bad" and tries[key] < 3:
            raise RuntimeError("boom")
        return Done()

    queue.add("bad")
    queue.add("good")
    with capture_logs() as logs:
        await run(handle)
    assert tries == {"bad": 3, "good": 1}
    assert Counter(recorder.results) == {Result.ERROR: 2, Result.DONE: 2}
    assert [entry["event"] for entry in logs] == ["reconcile raised"] * 2
    assert queue.retry("bad") == 1, "the backoff is reset"


async def test_the_own_timeout_counts_apart_from_one_within(
    queue: WorkQueue[str], recorder: Recorder, run: Run
) -> None:
    seen = set()

    async def handle(key: str) -> Outcome:
        if key in seen:
            return Done()
        seen.add(key)
        if key == "slow":
            await asyncio.sleep(1000)
        raise TimeoutError

    queue.add("slow")
    queue.add("inner")
    with capture_logs():
        await run(handle)
    assert Counter(recorder.results) == {Result.TIMEOUT: 1, Result.ERROR: 1, Result.DONE: 2}


async def test_cancellation_is_never_swallowed_and_gives_the_key_back(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    cancelled = []

    async def handle(key: str) -> Outcome:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cancelled.append(key)
            raise
        return Done()

    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, 2, handle, timeout=30, observer=recorder))
    await asyncio.sleep(1)
    workers.cancel()
    with pytest.raises(asyncio.CancelledError):
        await workers
    assert cancelled == ["a"]
    assert queue.in_flight == 0
    assert recorder.results == []


async def test_reconcile_id_and_key_are_bound_while_the_handler_runs(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    contexts = []
    ids = []

    async def handle(_key: str) -> Outcome:
        contexts.append(structlog.contextvars.get_contextvars())
        ids.append(reconcile_id())
        return Done()

    with structlog.contextvars.bound_contextvars(component="test"):
        workers = asyncio.create_task(run_workers(queue, 1, handle, timeout=30, observer=recorder))
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    queue.shut_down()
    await workers
    assert [context["key"] for context in contexts] == ["a", "b"]
    assert ids == [context["reconcile_id"] for context in contexts]
    assert len(set(ids)) == 2
    assert {context["component"] for context in contexts} == {"test"}
    assert "key" not in structlog.contextvars.get_contextvars()
    assert reconcile_id() == ""


async def test_shutdown_lets_the_workers_finish_what_is_in_flight(
    queue: WorkQueue[str], recorder: Recorder, run: Run
) -> None:
    finished = []

    async def handle(key: str) -> Outcome:
        await asyncio.sleep(20)
        finished.append((key, now()))
        return RequeueAfter(1)

    for key in "abcd":
        queue.add(key)
    await run(handle, seconds=5)
    assert finished == [("a", 20), ("b", 20)], "c and d are dropped"


async def test_key_has_one_worker_at_a_time_and_loses_no_update(
    queue: WorkQueue[str], run: Run
) -> None:
    busy: set[str] = set()
    state: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    async def handle(key: str) -> Outcome:
        assert key not in busy
        busy.add(key)
        version = state[key]
        await asyncio.sleep(0.3)
        seen[key] = version
        busy.remove(key)
        return Done()

    async def write(key: str, pause: float) -> None:
        for _ in range(50):
            state[key] += 1
            queue.add(key)
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as writers:
        for number, key in enumerate("abc"):
            writers.create_task(write(key, 0.07 + number / 10))
        writers.create_task(run(handle, seconds=100, count=8))
    assert seen == state == {"a": 50, "b": 50, "c": 50}


async def test_workers_cancelled_at_any_moment_lose_no_key(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    """A pool is replaced again and again while keys arrive; each key is started on in the end."""
    started: set[str] = set()

    async def handle(key: str) -> Outcome:
        started.add(key)
        await asyncio.sleep(0)
        return Done()

    expected = set()
    for number in range(100):
        pool = asyncio.create_task(run_workers(queue, 2, handle, timeout=30, observer=recorder))
        for step in range(number % 7):
            await asyncio.sleep(0)
            queue.add(f"{number}-{step}")
            expected.add(f"{number}-{step}")
        pool.cancel()
        with suppress(asyncio.CancelledError):
            await pool
    pool = asyncio.create_task(run_workers(queue, 2, handle, timeout=30, observer=recorder))
    await asyncio.sleep(1)
    queue.shut_down()
    await pool
    assert started == expected
