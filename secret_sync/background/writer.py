"""A writer for a file descriptor whose other end may not be read."""

from __future__ import annotations

import io
import os
import queue
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

#: Bytes that wait to be written; above the lines of thousands of objects that change at once.
CAPACITY: Final = 4 * 1024 * 1024
#: Bytes from which no more lines are joined into one write: what a pipe holds by default.
_BATCH: Final = 64 * 1024
_POLL: Final = 0.005
#: Seconds after a write in which lines gather for the next one: to wake the thread for each of
#: them would make the event loop hand over the interpreter's lock each time.
_GATHER: Final = 0.02


class BackgroundWriter(io.RawIOBase):
    """A stream that never makes its users wait: a daemon thread writes what they give it.

    Each call of :meth:`write` takes one or more whole lines; their order is kept. Lines that do
    not fit in the queue, or that the descriptor refuses, are dropped and counted.

    The descriptor is written to directly: a buffered stream that a daemon thread is stuck in would
    make the interpreter abort when it flushes that stream at the end.

    Args:
        descriptor: What to write to; it stays open.
        on_dropped: Called in the thread when a write succeeds again, with the number of lines
            dropped since it was last called.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        on_dropped: Callable[[int], None] = lambda _count: None,
    ) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_dropped = on_dropped
        #: Lines that did not fit in the queue.
        self.overflowed = 0
        #: Lines that the descriptor refused.
        self.refused = 0
        self._reported = 0
        self._accepted = 0
        self._settled = 0
        # Reentrant, since a finalizer may log wherever the garbage collector runs.
        self._lock = threading.RLock()
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="log writer", daemon=True).start()

    def writable(self) -> bool:
        """Return true."""
        return True

    def isatty(self) -> bool:
        """Tell whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        """Queue whole lines, or drop them if the queue is full."""
        content = bytes(data)
        size = len(content)
        with self._lock:
            if self._accepted - self._settled + size > CAPACITY:
                self.overflowed += content.count(b"\n")
            else:
                self._accepted += size
                self._queue.put(content)
        return size

    def as_text(self) -> TextIO:
        """Return a stream for text that goes the same way, line by line."""
        # The type stubs ask for more than what is used of a stream that is only written to.
        raw: Any = self
        return io.TextIOWrapper(
            raw, encoding="utf-8", errors="backslashreplace", line_buffering=True
        )

    def drain(self, seconds: float) -> bool:
        """Wait until all has been written, no longer than so many seconds; return whether it was.

        It blocks, so it is for the end of the process.
        """
        deadline = time.monotonic() + seconds
        while self._settled < self._accepted:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def _run(self) -> None:
        while True:
            content = self._next_batch()
            try:
                _write_all(self._descriptor, content)
            except OSError:
                self.refused += content.count(b"\n")
            else:
                self._report()
            self._settled += len(content)
            if self._queue.empty():
                time.sleep(_GATHER)

    def _next_batch(self) -> bytes:
        lines = [self._queue.get()]
        size = len(lines[0])
        while size < _BATCH and not self._queue.empty():
            lines.append(self._queue.get())
            size += len(lines[-1])
        return b"".join(lines)

    def _report(self) -> None:
        dropped = self.overflowed + self.refused
        if dropped > self._reported:
            count = dropped - self._reported
            self._reported = dropped
            self._on_dropped(count)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Another process that shares the descriptor has made it non-blocking.
            select.select([], [descriptor], [])
