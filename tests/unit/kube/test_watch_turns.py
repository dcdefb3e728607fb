"""One chunk of a watch may hold hundreds of events: everything else goes on meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from secret_sync.kube import watch
from secret_sync.kube.resource import JSON
from secret_sync.kube.watch import WatchState
from tests.unit.kube.fakes import OneChunk

if TYPE_CHECKING:
    import pytest


def line(number: int) -> bytes:
    metadata = {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": str(number)}
    value = {"kind": "Secret", "metadata": metadata}
    return orjson.dumps({"type": "MODIFIED", "object": value}) + b"\n"


class WorkClock:
    """Stands still but for the work that is done: the event loop's own would under uvloop."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


async def test_chunk_of_slow_events_leaves_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = b"".join(line(number) for number in range(1, 101))
    clock, turns = WorkClock(), 0
    monkeypatch.setattr(watch, "time", clock)

    def work(*_: object) -> None:
        clock.now += 0.005

    async def heart() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(heart())
    client: Any = OneChunk(chunk)
    state = WatchState("0")
    await watch.watch(
        client, "p", state, accept=JSON, kind="Secret", on_open=lambda: None, on_event=work
    )
    beating.cancel()
    assert state.resource_version == "100"
    # 100 events of 5 ms, and never more than three of them in a row.
    assert turns > 100 // 3 - 1
