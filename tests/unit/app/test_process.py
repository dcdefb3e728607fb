"""Memory that a burst took goes back to the machine."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(ctypes.CDLL(None), "mallopt"),
        reason="NOT RUN: this C library is not glibc, and has neither the flaws nor the settings",
    ),
]

#: 300 connections come and go. What lives on was made between them, as in a process that works.
BURST = """
import os, sys
from secret_sync.app.process import return_memory, tune

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

tune()
bytearray(256 * 1024)
before = resident()
buffers, kept = [], []
for _ in range(20):
    buffers += [bytearray(256 * 1024) for _ in range(15)]
    # So large that it finds no place in what importing left free.
    kept.append(bytearray(100 * 1024))
buffers.clear()
freed = resident() - before
return_memory()
print(freed, resident() - before)
"""
READS = """
import os, resource
from secret_sync.app.process import return_memory, tune

def read(times):
    held = []
    for _ in range(times):
        os.write(out, b"x" * 2000)
        held = [*held[-2:], os.read(in_, 256 * 1024)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

in_, out = os.pipe()
tune()
read(50)
return_memory()
before = faults()
read(1000)
print(faults() - before)
"""


def numbers_of(program: str) -> list[int]:
    """Run it in a process of its own: another test may have set the allocator already."""
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    return [int(word) for word in done.stdout.split()]


def test_buffers_of_connections_that_were_closed_are_not_resident() -> None:
    freed, returned = numbers_of(BURST)
    assert freed > 40 * 2**20, "glibc has changed: nobody needs to give back what was freed"
    assert returned < 8 * 2**20


def test_read_buffers_are_reused_by_later_reads() -> None:
    (faults,) = numbers_of(READS)
    assert faults < 500, "each read faults its pages in again"
