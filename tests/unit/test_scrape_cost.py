"""What a scrape reads of 10,000 objects and as many sources holds the loop for milliseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from secret_sync.controller.status import count_by_ready
from secret_sync.resources import ExternalSecret
from secret_sync.sources import SourceRegistry
from secret_sync.sources.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

MANY: Final = 10_000
#: Seconds of CPU time, however busy the machine is; a tenth of what may ever hold the loop.
LIMIT: Final = 0.02


def cost(look: Callable[[], object]) -> float:
    """Seconds of CPU time of the best of several."""
    found = []
    for _ in range(5):
        began = time.thread_time()
        look()
        found.append(time.thread_time() - began)
    return min(found)


def test_counting_objects() -> None:
    metadata = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "1"}
    condition = {"type": "Ready", "status": "True", "reason": "Synced", "message": "m"}
    value = {"metadata": metadata, "spec": {}, "status": {"conditions": [condition]}}
    objects = [ExternalSecret.from_dict(value) for _ in range(MANY)]
    assert count_by_ready(objects)["True"] == MANY
    assert cost(lambda: count_by_ready(objects)) < LIMIT


@pytest.mark.looptime
async def test_looking_at_sources() -> None:
    nothing: Any = None
    registry = SourceRegistry(
        fetchers={},
        credentials=nothing,
        new_gate=nothing,
        observers={},
        notify=nothing,
    )
    for number in range(MANY):
        record = Record(nothing, nothing, nothing, fetched_at=-1000.0)
        for user in range(5):
            record.use(f"ns/{user}", 120.0)
        key: Any = number
        registry._records[key] = record
    stale, overdue = registry.freshness()
    assert stale == MANY
    assert overdue == pytest.approx(868, abs=1)
    assert cost(registry.freshness) < LIMIT
