"""Tuning of the interpreter and of the C library's memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from typing import Final

#: New containers between two collections of the youngest generation.
_GC_YOUNG: Final = 20_000
#: A sync has ten turns of the loop or so, each of which may wait that long for the interpreter
#: (benchmarks/templated.py).
_SWITCH: Final = 0.0005
#: Bytes from which an allocation is a mapping of its own, and bytes of unused heap that are kept.
#: Above the 256 KiB that uvloop allocates for each read of a TLS connection.
_MAPPED_FROM: Final = 1024 * 1024
_HEAP_KEPT: Final = 16 * 1024 * 1024
#: How many heaps there may be: that of the loop, and one for the threads.
_ARENAS: Final = 2
#: The numbers of glibc's ``malloc.h``.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
#: Seconds between two looks for freed memory. A look takes up to 20 ms at 350 MiB.
_RETURN_EVERY: Final = 30.0


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
    _tune_heap()


def return_memory() -> None:
    """Give the pages of freed memory back to the machine; a no-op where it is not glibc.

    A connection with TLS has a buffer of 256 KiB. One small block that lives on after them keeps
    hundreds of freed ones resident: without this the process would stay at what its most
    connections took.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(_MAPPED_FROM)


async def keep_returning_memory() -> None:
    """Give freed memory back every half minute."""
    while True:
        await asyncio.sleep(_RETURN_EVERY)
        return_memory()


def _tune_heap() -> None:
    """Let reads reuse their memory, and keep few heaps; a no-op where it is not glibc.

    uvloop reads TLS connections into a fresh ``bytes`` of 256 KiB (``SSL_READ_MAX_SIZE`` in its
    ``sslproto.pxd``), most of which it gives back. By default glibc maps and unmaps such a block,
    or trims the heap each time: a seventh of the CPU of a sync went into the page faults.

    The threads that look up names, parse and read files would have heaps of their own, up to eight
    for each processor, and what is freed in one serves no other.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        mallopt(_M_TRIM_THRESHOLD, _HEAP_KEPT)
        mallopt(_M_ARENA_MAX, _ARENAS)
