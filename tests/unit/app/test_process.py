"""Memory that a burst took goes back to the machine."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: 300 connections come and go. What lives on was made between them, as in a process that works.
BURST = """
import os, sys
from secret_sync.app.process import tune

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "tuned":
    tune()
bytearray(256 * 1024)
before = resident()
buffers, kept = [], []
for _ in range(20):
    buffers += [bytearray(256 * 1024) for _ in range(15)]
    # So large that it finds no place in what importing left free.
    kept.append(bytearray(100 * 1024))
buffers.clear()
print(resident() - before)
"""


def bytes_left(how: str) -> int:
    """What stays resident of 75 MiB that were freed."""
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", BURST, how],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"PATH": os.environ["PATH"]},
    )
    return int(done.stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="NOT RUN: this C library is not glibc, and has neither the flaw nor the setting",
)
def test_buffers_of_connections_that_were_closed_are_not_resident() -> None:
    assert bytes_left("tuned") < 8 * 2**20
    assert bytes_left("as it comes") > 40 * 2**20, "glibc has changed: the setting can go"
