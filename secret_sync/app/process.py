"""Tuning of the interpreter and the C library, once, before the event loop starts."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

#: New containers between two collections of the youngest generation.
_GC_YOUNG: Final = 20_000
#: Halves the time that such a thread keeps the loop waiting (benchmarks/parse.py).
_SWITCH: Final = 0.002
#: Bytes from which glibc has a block mapped, and unmapped when it is freed: where it begins.
_MAPPED_FROM: Final = 128 * 1024
#: ``M_MMAP_THRESHOLD`` of <malloc.h>.
_MMAP_THRESHOLD: Final = -3
#: ``M_ARENA_MAX``, and how many heaps there may be: that of the loop, and one for the threads.
_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def tune() -> None:
    """Tune the whole process; to be called when everything is imported."""
    # What was imported stays; the collector need not walk it again and again. There is hardly any
    # garbage in it, and to look for that would take 30 ms.
    gc.freeze()
    gc.enable()
    # What a sync makes has hardly any cycles; by default they are looked for after 700 objects.
    gc.set_threshold(_GC_YOUNG, 20, 20)
    # A thread that reads a large document gives way to the loop after so many seconds.
    sys.setswitchinterval(_SWITCH)
    _bound_the_heap()


def _bound_the_heap() -> None:
    """Have freed memory go back to the machine, and keep few heaps.

    A connection with TLS has a buffer of 256 KiB. The first of them that is freed makes glibc keep
    blocks of that size in its heap from then on (mallopt(3), "dynamic mmap threshold"), where one
    small block after them keeps hundreds of freed ones resident: after an outage the process
    would stay at what its most connections took. A threshold that is set does not move.

    The threads that look up names, parse and read files would have heaps of their own, up to eight
    for each processor, and what is freed in one serves no other.

    Does nothing where the C library has no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MAPPED_FROM)
        mallopt(_ARENA_MAX, _ARENAS)
