"""What holds only on the loop that production runs on."""

from __future__ import annotations

import asyncio

import uvloop

from secret_sync.queue import Priority, WorkQueue


class _Deaf:
    def added(self) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def worked(self, seconds: float) -> None: ...
    def retried(self) -> None: ...


def test_a_delay_of_less_than_a_millisecond_and_another_one() -> None:
    # uvloop answers such a call_at with a handle that does not know its time.
    async def scenario() -> list[str]:
        queue: WorkQueue[str] = WorkQueue("test", observer=_Deaf())
        queue.add_after("soon", 0.0002, Priority.LOW)
        queue.add_after("later", 0.01, Priority.LOW)
        taken = []
        for _ in range(2):
            key = await queue.get()
            taken.append(key)
            queue.done(key)
        return taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scenario()) == ["soon", "later"]
