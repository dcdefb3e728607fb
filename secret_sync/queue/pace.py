"""How much work may be done without yielding to the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Final

#: Seconds of work in one iteration of the event loop, after which the next piece yields.
LONGEST: Final = 0.01


class Pace:
    """Spreads pieces of work that never wait over several iterations of the event loop.

    Tasks that take items from a full queue and never wait would block the loop until the queue is
    empty. They share one instance.
    """

    __slots__ = ("_began", "_counting")

    def __init__(self) -> None:
        # When the first piece of this iteration began.
        self._began = 0.0
        self._counting = False

    async def wait(self) -> None:
        """Yield to the event loop if the time of this iteration is used up."""
        while self._counting and time.perf_counter() - self._began > LONGEST:  # noqa: ASYNC110 (each iteration of the loop)
            await asyncio.sleep(0)
        if not self._counting:
            self._counting = True
            self._began = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._counting = False
