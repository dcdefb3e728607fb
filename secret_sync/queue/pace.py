"""How much work may follow without a pause for everything else on the event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Final

#: Seconds of work in one turn of the event loop, after which the next piece waits for another one.
LONGEST: Final = 0.01


class Pace:
    """Spreads pieces of work that never wait for anything over several turns of the event loop.

    A task that finds its queue full and its work done without a pause would keep the loop until
    the queue is empty, and so would several such tasks together. They share one of these.
    """

    __slots__ = ("_began", "_counting")

    def __init__(self) -> None:
        # When this turn of the loop began, as far as its work is counted.
        self._began = 0.0
        self._counting = False

    async def wait(self) -> None:
        """Return when there is time for another piece of work."""
        while self._counting and time.perf_counter() - self._began > LONGEST:  # noqa: ASYNC110 (each turn of the loop)
            await asyncio.sleep(0)
        if not self._counting:
            self._counting = True
            self._began = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._counting = False
