"""``TimeSlicedWorker``: namespaces take turns; a replaced or dropped job reports nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.queue import TimeSlicedWorker
from secret_sync.queue.time_slices import SLICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator


def steps(log: list[str], name: str, number: int) -> Generator[None, None, str]:
    """Work of so many turns, each of which is written down."""
    for _ in range(number):
        log.append(name)
        time.sleep(SLICE)
        yield
    return f"result of {name}"


@asynccontextmanager
async def running(worker: TimeSlicedWorker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def idle(worker: TimeSlicedWorker) -> None:
    async with asyncio.timeout(10):
        done = asyncio.Event()
        worker.add("last", "last", steps([], "last", 0), lambda _: done.set())
        while len(worker):
            await done.wait()
            await asyncio.sleep(SLICE)


async def test_another_namespace_waits_for_one_turn_and_not_for_the_whole_job() -> None:
    worker, log, results = TimeSlicedWorker(), list[str](), list[str]()
    worker.add("large", "a", steps(log, "large", 10), results.append)
    async with running(worker):
        await asyncio.sleep(SLICE)
        worker.add("small", "b", steps(log, "small", 1), results.append)
        await idle(worker)
    assert "small" in log[:5]
    assert results == ["result of small", "result of large"]


async def test_jobs_of_one_namespace_go_one_after_the_other() -> None:
    worker, log, results = TimeSlicedWorker(), list[str](), list[str]()
    for name in "abc":
        worker.add("ns", name, steps(log, name, 2), results.append)
    async with running(worker):
        await idle(worker)
    assert results == ["result of a", "result of b", "result of c"]
    assert log == ["a", "a", "b", "b", "c", "c"]


async def test_task_dropped_or_replaced_while_it_runs_reports_nothing() -> None:
    worker, results = TimeSlicedWorker(), list[str]()
    begun, let = threading.Event(), threading.Event()

    def held(name: str) -> Generator[None, None, str]:
        begun.set()
        let.wait(10)
        yield
        return name

    async with running(worker):
        for again in (True, False):
            begun.clear()
            let.clear()
            worker.add("ns", "job", held("old"), results.append)
            await asyncio.to_thread(begun.wait, 10)
            if again:
                worker.add("ns", "job", steps([], "new", 0), results.append)
            else:
                worker.drop("ns", "job")
            let.set()
            await idle(worker)
    assert results == ["result of new"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.sampled_from(["add", "drop"])),
        max_size=12,
    )
)
def test_every_job_that_is_wanted_is_finished_once(calls: list[tuple[str, int, str]]) -> None:
    async def scenario() -> None:
        worker, finished = TimeSlicedWorker(), list[int]()
        wanted: dict[tuple[str, int], int] = {}

        def quick(number: int) -> Generator[None, None, int]:
            yield
            return number

        for number, (namespace, key, call) in enumerate(calls):
            if call == "add":
                worker.add(namespace, key, quick(number), finished.append)
                wanted[namespace, key] = number
            else:
                worker.drop(namespace, key)
                wanted.pop((namespace, key), None)
        assert len(worker) == len(wanted)
        async with running(worker):
            await idle(worker)
        assert sorted(finished) == sorted(wanted.values())

    asyncio.run(scenario())
