"""Child processes: logged, stopped by their own id, never outliving their parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.controlplane.errors import CancelledStartError, ControlPlaneError
from secret_sync.local.controlplane.ports import LOOPBACK, ReservedPort
from secret_sync.local.controlplane.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SHELL = "/bin/sh"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for process in starter.processes:
        process.kill()


class Starter:
    def __init__(self, folder: Path) -> None:
        self._log = folder / "sh.log"
        self.processes: list[Process] = []

    def __call__(self, script: str) -> Process:
        self.processes.append(Process([SHELL, "-c", script], log=self._log))
        return self.processes[-1]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_printed(process: Process, text: str) -> None:
    process.wait_until(lambda: text in process.tail(), seconds=10, cancelled=threading.Event())


def test_process_id_is_the_programs_own_and_its_output_is_kept(started: Starter) -> None:
    process = started("echo I am $$; echo oh >&2")
    assert process.wait(10) == 0
    assert process.tail() == f"I am {process.pid}\noh\n"


def test_stop_asks_first(started: Starter) -> None:
    process = started("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done")
    until_printed(process, "up")
    process.stop(10)
    assert process.returncode == 7
    assert process.tail().endswith("bye\n")


def test_stop_kills_the_stubborn_with_its_children(started: Starter) -> None:
    process = started("trap '' TERM; sleep 60 & echo child $!; while :; do sleep 0.01; done")
    until_printed(process, "child")
    child = int(process.tail().split()[1])
    process.stop(0.1)
    assert process.returncode == -signal.SIGKILL
    until_gone(child)


def test_stopping_what_has_ended_is_nothing(started: Starter) -> None:
    process = started("exit 0")
    process.wait(10)
    process.stop(0.1)
    process.kill()
    assert process.returncode == 0


def test_early_end_is_reported_with_the_end_of_the_log(started: Starter) -> None:
    process = started("echo no such flag; exit 2")
    with pytest.raises(ControlPlaneError, match=r"(?s)sh ended with status 2; .*no such flag"):
        process.wait_until(lambda: False, seconds=10, cancelled=threading.Event())


def test_timeout_is_reported_with_the_end_of_the_log(started: Starter) -> None:
    process = started("echo thinking; exec sleep 60")
    with pytest.raises(ControlPlaneError, match="sh was not ready within 0 s"):
        process.wait_until(lambda: False, seconds=0.1, cancelled=threading.Event())


def test_waiting_can_be_cancelled(started: Starter) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(CancelledStartError):
        started("exec sleep 60").wait_until(lambda: False, seconds=10, cancelled=cancelled)


def test_long_log_is_shown_from_a_whole_line_on(started: Starter) -> None:
    process = started("for i in $(seq 1000 9999); do echo line $i; done")
    process.wait(10)
    tail = process.tail()
    assert tail.startswith("...line ")
    assert tail.endswith("line 9999\n")
    assert len(tail) <= 2003


def test_process_ends_with_the_thread_that_started_it(started: Starter) -> None:
    with ThreadPoolExecutor(1) as executor:
        process = executor.submit(started, "echo up; exec sleep 60").result()
        until_printed(process, "up")
    assert process.wait(10) == -signal.SIGKILL


def test_process_ends_with_its_parent(tmp_path: Path) -> None:
    script = f"""
import pathlib, time
from secret_sync.local.controlplane.process import Process
process = Process(["/bin/sleep", "60"], log=pathlib.Path({str(tmp_path / "log")!r}))
print(process.pid, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:  # noqa: S603  # ours
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    until_gone(child)


def test_reserved_port_is_free_for_a_server_that_shares_it_alone() -> None:
    port = ReservedPort()
    for _ in range(2):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            server.bind((LOOPBACK, port.number))
            server.listen()
            with socket.create_connection((LOOPBACK, port.number), timeout=5):
                server.accept()[0].close()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, port.number))
    port.close()


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
