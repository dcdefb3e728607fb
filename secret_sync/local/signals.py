"""Commands that end on Ctrl-C, SIGTERM and SIGHUP, and clean up behind them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A shell's way to say which signal ended a process.
_EXIT_BASE: Final = 128


class Signals:
    """The first signal ends the command; further ones do not disturb the cleaning up.

    Attributes:
        first: The signal that came first, if one has come.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.first: signal.Signals | None = None
        self._task = task
        self._arrived = asyncio.Event()
        self._awaited = False

    async def wait(self) -> None:
        """Wait for a signal as the regular end: from now on none cancels the command."""
        self._awaited = True
        await self._arrived.wait()

    def receive(self, signum: signal.Signals) -> None:
        """Take note of a signal."""
        if self.first is not None:
            return
        self.first = signum
        if self._awaited:
            self._arrived.set()
        else:
            self._task.cancel()


def run(command: Callable[[Signals], Coroutine[Any, Any, int]]) -> int:
    """Run a command in a loop of its own.

    Returns:
        Its exit code, or 128 and the signal's number if one cancelled it.
    """
    return asyncio.run(_run(command))


async def _run(command: Callable[[Signals], Coroutine[Any, Any, int]]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a command runs in a task")
    signals = Signals(task)
    for signum in _SIGNALS:
        loop.add_signal_handler(signum, signals.receive, signum)
    try:
        return await command(signals)
    except asyncio.CancelledError:
        if signals.first is None:
            raise
        task.uncancel()
        return _EXIT_BASE + signals.first
