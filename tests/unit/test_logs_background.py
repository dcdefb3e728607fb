"""The log of a process that nothing may stop, as whoever reads it sees it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from secret_sync import logs
from secret_sync.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PREPARED = """
import sys, structlog
from secret_sync import logs
logs.write_in_background()
logs.configure("info", "json")
log = structlog.get_logger("test")
"""


def start(program: str, stderr: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", PREPARED + program], stdout=subprocess.PIPE, stderr=stderr
    )


def lines_of(program: str) -> list[str]:
    with start(program) as child:
        _, written = child.communicate(timeout=30)
    return written.decode().splitlines()


def event(line: str) -> Any:
    return json.loads(line)["event"]


def test_all_that_was_logged_is_there_at_the_end_in_its_order() -> None:
    lines = lines_of("for number in range(5000): log.info('some', number=number)")
    assert [json.loads(line)["number"] for line in lines] == list(range(5000))


def test_crash_is_logged_after_the_lines_before_it() -> None:
    lines = lines_of("log.info('first')\nprint('second', file=sys.stderr)\nraise SystemError('x')")
    assert (event(lines[0]), lines[1]) == ("first", "second")
    assert (lines[2], lines[-1]) == ("Traceback (most recent call last):", "SystemError: x")


def test_dropped_lines_are_counted_and_reported_when_the_log_is_read_again() -> None:
    program = """
import time
for number in range(60): log.info("x" * 100_000, number=number)
sys.stdout.write("written\\n"), sys.stdout.flush()
while sys.stdin.readline():
    log.info("later")
print(logs.dropped_lines())
"""
    with subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-c", PREPARED + program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "written\n"
        kept = []
        while (line := json.loads(child.stderr.readline()))["event"].startswith("x"):
            kept.append(line["number"])
        # From the oldest on: what led to the trouble is worth most.
        assert kept == list(range(len(kept)))
        assert line["event"] == "log lines lost"
        assert line["lines"] == 60 - len(kept) > 0
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert event(child.stderr.readline()) == "later"
        child.stdin.close()
        assert child.stdout.readline() == f"{{'queue_full': {line['lines']}, 'write_failed': 0}}\n"


def test_a_process_ends_soon_although_nobody_reads_its_log() -> None:
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    program = """
for number in range(1000): log.info("some", number=number)
print(1, flush=True)
sys.exit("a last word")
"""
    with start(program, into) as child:
        assert child.stdout is not None
        assert child.stdout.read(2) == b"1\n"
        begun = time.monotonic()
        assert child.wait(20) == 1
        assert time.monotonic() - begun < 10
    os.close(into)
    os.close(out)


def test_refused_lines_are_reported_as_lost(tmp_path: Path) -> None:
    into = tmp_path / "log"
    program = """
import resource, signal, time
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log.info("refused")
while not logs.dropped_lines()["write_failed"]: time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("written")
"""
    with into.open("wb") as log, start(program, log) as child:
        assert child.wait(20) == 0
    written, lost = map(json.loads, into.read_text().splitlines())
    assert (written["event"], lost["event"], lost["lines"]) == ("written", "log lines lost", 1)


def test_a_process_without_standard_error_runs_without_a_log() -> None:
    program = f"{PREPARED}log.info('some')\nprint('some', file=sys.stderr)\nprint('alive')"
    child = subprocess.run(  # noqa: S603 (our own program)
        ["/bin/sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program],
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    assert (child.returncode, child.stdout) == (0, b"alive\n")


def test_lost_lines_are_counted_from_the_start() -> None:
    metrics = Metrics("1.2.3")
    metrics.watch_log(logs.dropped_lines)
    shown = generate_latest(metrics.registry).decode()
    for reason in ("queue_full", "write_failed"):
        assert f'secret_sync_log_lines_dropped_total{{reason="{reason}"}} 0.0' in shown
