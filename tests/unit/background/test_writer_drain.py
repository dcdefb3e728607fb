"""The end of the process loses no line that the descriptor would have taken."""

from __future__ import annotations

import os

from secret_sync.background import BackgroundWriter
from secret_sync.background.writer import CAPACITY
from secret_sync.logs import DRAIN_WITHIN


def test_a_full_queue_is_written_within_the_time_that_the_end_of_the_process_has() -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    writer = BackgroundWriter(sink)
    line = b"x" * 399 + b"\n"
    for _ in range(CAPACITY // len(line)):
        writer.write(line)
    assert writer.overflowed == 0
    assert writer.drain(DRAIN_WITHIN)
