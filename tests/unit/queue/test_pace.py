"""Work that never waits for anything leaves time for everything else, in real time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from secret_sync.queue import Done, Pace, run_workers

if TYPE_CHECKING:
    from secret_sync.queue import Outcome, WorkQueue
    from tests.unit.queue.conftest import Recorder

pytestmark = pytest.mark.slow


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def count_turns(until: asyncio.Task[None]) -> int:
    turns = 0
    while not until.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


async def test_reconciles_that_all_wait_for_the_same_thing_share_the_loop(
    queue: WorkQueue[str], recorder: Recorder
) -> None:
    left = 200

    async def handle(key: str) -> Outcome:
        nonlocal left
        work(0.002)
        left -= 1
        if not left:
            queue.shut_down()
        return Done()

    for number in range(left):
        queue.add(str(number))
    workers = asyncio.create_task(run_workers(queue, 8, handle, timeout=30, observer=recorder))
    # Four tenths of a second of work, in pieces of some ten milliseconds.
    assert await count_turns(workers) > 20
    assert not left


async def test_several_tasks_have_one_pace() -> None:
    pace = Pace()

    async def busy() -> None:
        for _ in range(5):
            await pace.wait()
            work(0.011)

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(busy())

    # Each piece takes a turn of its own, whoever does it.
    assert await count_turns(asyncio.create_task(all_of_them())) >= 40
