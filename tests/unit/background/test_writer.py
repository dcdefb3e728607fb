"""Lines on their way to a pipe that is read, that is not read, and that is broken."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from secret_sync.background import BackgroundWriter
from secret_sync.background import writer as writer_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 10.0
#: The least that a pipe can hold, in bytes.
PIPE = 4096


class Pipe:
    """A small one."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, PIPE)
        self.reader = os.fdopen(self.out, "rb")

    def read_lines(self, count: int) -> list[bytes]:
        return [self.reader.readline().rstrip(b"\n") for _ in range(count)]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    # With the reader gone, a thread that still writes comes back.
    pipe.reader.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def line(number: int) -> bytes:
    return f"line {number:03} ".encode() + b"." * 90 + b"\n"


def test_lines_come_out_in_their_order(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.into)
    for number in range(500):
        writer.write(line(number))
    assert pipe.read_lines(500) == [line(number)[:-1] for number in range(500)]
    assert writer.drain(SECONDS)


def test_lines_of_several_threads_stay_whole(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.into)

    def log(name: str) -> None:
        for number in range(200):
            writer.write(f"{name} {number} {'.' * 300}\n".encode())

    threads = [threading.Thread(target=log, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    lines = pipe.read_lines(800)
    for thread in threads:
        thread.join()
    for name in b"a", b"b", b"c", b"d":
        numbers = [int(one.split()[1]) for one in lines if one.startswith(name)]
        assert numbers == list(range(200))


def test_lines_that_do_not_fit_are_dropped_counted_and_reported_once(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CAPACITY", 100 * len(line(0)))
    reported: list[int] = []
    writer = BackgroundWriter(pipe.into, on_dropped=reported.append)
    begun = time.monotonic()
    for number in range(300):
        writer.write(line(number))
    # Waiting for room, however short for each line, takes longer.
    assert time.monotonic() - begun < 10
    assert writer.overflowed == 200
    assert not writer.drain(0.05)
    assert pipe.read_lines(100) == [line(number)[:-1] for number in range(100)]
    assert writer.drain(SECONDS)
    writer.write(line(0))
    assert pipe.read_lines(1) == [line(0)[:-1]]
    assert writer.drain(SECONDS)
    assert (reported, writer.overflowed, writer.refused) == ([200], 200, 0)


def test_lines_refused_by_a_broken_pipe_are_counted(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.into)
    pipe.reader.close()
    for number in range(10):
        writer.write(line(number))
    until(lambda: writer.refused == 10)
    assert writer.drain(SECONDS)


def test_a_pipe_that_another_process_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.into, False)
    writer = BackgroundWriter(pipe.into)
    for number in range(300):
        writer.write(line(number))
    assert pipe.read_lines(300) == [line(number)[:-1] for number in range(300)]


def test_printed_text_comes_out_line_by_line(pipe: Pipe) -> None:
    stream = BackgroundWriter(pipe.into).as_text()
    print("a", 1, file=stream)
    stream.write("one\ntwo\n")
    assert pipe.read_lines(3) == [b"a 1", b"one", b"two"]


def test_the_interpreter_ends_although_the_thread_is_stuck(pipe: Pipe) -> None:
    program = (
        "from secret_sync.background import BackgroundWriter\n"
        "writer = BackgroundWriter(2)\n"
        "for _ in range(1000): writer.write(b'x' * 99 + b'\\n')\n"
        "print(writer.drain(0.2), flush=True)\n"
    )
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=pipe.into,
        check=True,
        timeout=30,
    )
    assert done.stdout == b"False\n"
