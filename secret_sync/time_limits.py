"""Time limits of equal length, which share a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class TimeLimits:
    """As ``asyncio.timeout``, for the many pieces of work that have the same time.

    Whatever begins first has to end first, so one timer is enough, and is set again only when it
    strikes: one for each, which hardly any piece of work lives to see, costs as much as half a
    turn of a worker. To be used inside one loop.

    Args:
        seconds: That each piece of work has.
    """

    __slots__ = ("_loop", "_running", "_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        # The oldest first; those behind it may have ended.
        self._running: deque[TimeLimit] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many are kept: what is under way, and what ended behind the oldest of it."""
        return len(self._running)

    def begin(self) -> TimeLimit:
        """Return the limit of a piece of work; its time begins when it is entered."""
        return TimeLimit(self)

    def close(self) -> None:
        """Let go of the timer, when no more work is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def start(self, limit: TimeLimit) -> None:
        """Let the time of a limit begin."""
        limit.ends = self._loop.time() + self.seconds
        self._running.append(limit)
        if self._timer is None:
            self._timer = self._loop.call_at(limit.ends, self._strike)

    def drop_ended(self) -> None:
        """Forget the work that has ended, up to the oldest that has not."""
        running = self._running
        while running and running[0].task is None:
            running.popleft()

    def _strike(self) -> None:
        self._timer = None
        self.drop_ended()
        while self._running and self._running[0].ends <= self._loop.time():
            self._running.popleft().strike()
            self.drop_ended()
        if self._running:
            self._timer = self._loop.call_at(self._running[0].ends, self._strike)


class TimeLimit:
    """The limit of one piece of work, a context manager of the task that does it.

    Attributes:
        task: That does the work, while it does.
        ends: When its time is over.
        expired: Whether it was.
    """

    __slots__ = ("_before", "_limits", "ends", "expired", "task")

    def __init__(self, limits: TimeLimits) -> None:
        self._limits = limits
        self.task: asyncio.Task[object] | None = None
        self.ends = 0.0
        self.expired = False
        # Requests to cancel the task that are none of ours.
        self._before = 0

    def __enter__(self) -> None:
        """Begin the work.

        Raises:
            RuntimeError: Not within a task.
        """
        self.task = asyncio.current_task()
        if self.task is None:
            raise RuntimeError("only a task has a time limit")
        self._before = self.task.cancelling()
        self._limits.start(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the work.

        Raises:
            TimeoutError: It was cancelled by this limit, and by nobody else.
        """
        task, self.task = self.task, None
        self._limits.drop_ended()
        if self.expired and task is not None:
            ours = task.uncancel() <= self._before
            if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from error

    def strike(self) -> None:
        """Cancel the work: its time is over."""
        if self.task is not None:
            self.expired = True
            self.task.cancel()
