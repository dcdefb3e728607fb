"""An event loop for state machines, whose steps say how much time passes."""

from __future__ import annotations

import asyncio


class HandLoop(asyncio.SelectorEventLoop):
    """A loop whose clock moves when it is told to."""

    now = 0.0

    def time(self) -> float:
        return self.now
