"""Collections of the garbage collector are noted in a file, and summed up from it."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from benchmarks.pauses import Collected, Pause, noted, read

if TYPE_CHECKING:
    from pathlib import Path


def test_each_collection_meanwhile_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "pauses"
    callbacks = list(gc.callbacks)
    began = time.monotonic()
    with path.open("w", encoding="ascii") as file, noted(file):
        gc.collect(1)
        gc.collect()
    assert gc.callbacks == callbacks
    # Others may be due by themselves.
    found = [pause for pause in read(path) if pause.generation > 0]
    assert [pause.generation for pause in found][:1] == [1]
    assert found[-1].generation == 2
    assert all(began - 1e-6 <= pause.ended <= time.monotonic() + 1e-6 for pause in found)
    assert all(pause.seconds >= 0 for pause in found)


def test_sum_has_what_ended_in_the_time() -> None:
    pauses = [Pause(1.0, 2, 9.0), Pause(2.0, 0, 0.5), Pause(3.0, 1, 0.75), Pause(4.0, 2, 9.0)]
    found = Collected.between(pauses, 2.0, 4.0)
    assert found == Collected(2, 1.25, pauses[2])
    assert str(found) == "2 in 1.25 s, longest 750.0 ms (generation 1)"


def test_sum_of_nothing_is_nothing() -> None:
    found = Collected.between([], 0.0, 1.0)
    assert (found.count, found.seconds, found.longest.seconds) == (0, 0.0, 0.0)
