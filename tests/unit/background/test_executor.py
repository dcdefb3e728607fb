"""Threads that may hang, and what does not wait for them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from secret_sync.background import DaemonExecutor

SECONDS = 10.0


def test_a_call_gives_its_result_or_its_exception() -> None:
    executor = DaemonExecutor(2, "test")
    assert executor.submit(divmod, 7, 2).result(SECONDS) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 7, 0).result(SECONDS)


def test_no_more_run_at_a_time_than_the_limit_and_the_rest_in_order() -> None:
    executor = DaemonExecutor(2, "test")
    go_on = threading.Event()
    running: list[int] = []

    def wait(number: int) -> None:
        running.append(number)
        assert go_on.wait(SECONDS)

    futures = [executor.submit(wait, number) for number in range(6)]
    while len(running) < 2:
        time.sleep(0.001)
    time.sleep(0.02)
    assert running == [0, 1]
    cancelled = futures[3]
    assert cancelled.cancel()
    go_on.set()
    for future in futures:
        if future is not cancelled:
            future.result(SECONDS)
    assert sorted(running) == [0, 1, 2, 4, 5]


def test_threads_end_with_the_last_call() -> None:
    executor = DaemonExecutor(4, "a thread of this test")
    for future in [executor.submit(int) for _ in range(20)]:
        future.result(SECONDS)
    deadline = time.monotonic() + SECONDS
    while any(thread.name == "a thread of this test" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_shutting_down_waits_a_moment_for_what_runs_and_cancels_the_rest() -> None:
    executor = DaemonExecutor(1, "test", patience=SECONDS)
    running = executor.submit(time.sleep, 0.1)
    waiting = executor.submit(time.sleep, 60)
    executor.shutdown()
    assert running.done()
    assert waiting.cancelled()


def test_shutting_down_does_not_wait_longer() -> None:
    executor = DaemonExecutor(1, "test", patience=0.05)
    go_on = threading.Event()
    hanging = executor.submit(go_on.wait, 30)
    executor.shutdown()
    assert hanging.running()
    go_on.set()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_hanging_call_delays_neither_the_loop_nor_the_interpreter(loop: str) -> None:
    program = (
        f"import asyncio, time, {loop} as loops\n"
        "from secret_sync.background import DaemonExecutor\n"
        "async def main():\n"
        "    executor = DaemonExecutor(4, 'test')\n"
        "    loop = asyncio.get_running_loop()\n"
        "    for _ in range(8): loop.run_in_executor(executor, time.sleep, 60)\n"
        "    await asyncio.sleep(0.1)\n"
        "asyncio.Runner(loop_factory=loops.new_event_loop).run(main())\n"
        "print('goodbye', flush=True)\n"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("goodbye\n", "")
