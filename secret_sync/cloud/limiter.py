"""The gate before each call: so many a second, fewer when the service complains."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from aiolimiter import AsyncLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

# A leaky bucket passes its whole capacity at once. With a capacity of a second's worth the
# first second would see twice the rate and trip the very quota it is there to keep; with a
# tenth no second sees more than 1.1 times the rate (plus one call for rates below ten).
_BURST_SECONDS = 0.1
# Half at once and back by a twentieth a second: ten seconds from a halved rate to the full one.
_LOWER_FACTOR = 0.5
_RAISE_STEP = 0.05
_ADJUST_SECONDS = 1.0
# However often it is throttled, a source is asked for at least every two seconds: a rate that
# approaches zero would not notice that the trouble is over.
_SLOWEST = 0.5
# Of an unlimited gate there is no rate to halve, so it stops for a moment instead.
_UNLIMITED_PAUSE = 1.0

# Timers count in milliseconds (uvloop); a shorter sleep would only turn the loop in circles.
_TICK = 0.001


class _Bucket(AsyncLimiter):
    """The leaky bucket, which can also tell how long to wait instead of waiting itself."""

    __slots__ = ()

    @classmethod
    def of(cls, rate: float) -> _Bucket:
        capacity = max(1.0, rate * _BURST_SECONDS)
        return cls(capacity, capacity / rate)

    def delay(self) -> float:
        """Return the seconds until there is room for one more call; ``acquire`` then is instant."""
        if self.has_capacity():
            return 0.0
        return (self._level + 1.0 - self.max_rate) * self.time_period / self.max_rate


class RateGate:
    """Lets callers pass at a limited rate that adapts to throttling answers.

    Built inside the running loop, one for each quota. Each try of a call, repeated ones too,
    passes it once. Meant for one waiter (C0): the dispatcher, which then picks the work item.
    """

    __slots__ = ("_adjusted", "_bucket", "_limit", "_loop", "_on_wait", "_rate", "_resume_at")

    def __init__(self, rate: float | None, *, on_wait: Callable[[float], None]) -> None:
        """Build an open gate.

        Args:
            rate: Calls a second; ``None`` or 0 lifts the limit.
            on_wait: Told of the seconds that each caller waited, 0.0 included.
        """
        self._loop = asyncio.get_running_loop()
        self._on_wait = on_wait
        self._limit = rate or None
        self._rate = self._limit
        self._bucket = None if self._limit is None else _Bucket.of(self._limit)
        self._resume_at = 0.0
        self._adjusted = -math.inf

    @property
    def rate(self) -> float | None:
        """The calls a second let through at present; ``None`` if unlimited."""
        return self._rate

    @property
    def limit(self) -> float | None:
        """The calls a second let through at best; ``None`` if unlimited."""
        return self._limit

    async def acquire(self) -> None:
        """Wait for the right to make one call."""
        started = self._loop.time()
        # Everything is looked at anew after each sleep: the rate may have been changed meanwhile.
        while (delay := self._delay()) > 0.0:  # noqa: ASYNC110 - only time opens the gate
            await asyncio.sleep(max(delay, _TICK))
        if self._bucket is not None:
            await self._bucket.acquire()
        self._on_wait(self._loop.time() - started)

    def throttled(self, retry_after: float | None) -> None:
        """Slow down: the service refused a call for its rate.

        The rate is halved at most once a second, since calls that were under way together are
        refused together.

        Args:
            retry_after: The seconds that nobody shall pass, or ``None``.
        """
        now = self._loop.time()
        if retry_after is not None:
            self._resume_at = max(self._resume_at, now + retry_after)
        if self._limit is None or self._rate is None:
            self._resume_at = max(self._resume_at, now + _UNLIMITED_PAUSE)
        elif self._may_adjust(now):
            self._replace(max(self._rate * _LOWER_FACTOR, min(_SLOWEST, self._limit)), now)
            # The new bucket has its whole burst to give; without a pause that would follow at once.
            self._resume_at = max(self._resume_at, now + 1.0 / self._rate)

    def succeeded(self) -> None:
        """Note a call that was not refused: a lowered rate rises, at most once a second."""
        if self._limit is None or self._rate is None or self._rate >= self._limit:
            return
        now = self._loop.time()
        if self._may_adjust(now):
            raised = self._rate + self._limit * _RAISE_STEP
            self._replace(min(self._limit, raised), now)

    def __repr__(self) -> str:
        return f"<RateGate rate={self._rate} limit={self._limit}>"

    def _delay(self) -> float:
        pause = self._resume_at - self._loop.time()
        return pause if pause > 0.0 or self._bucket is None else self._bucket.delay()

    def _may_adjust(self, now: float) -> bool:
        return now - self._adjusted >= _ADJUST_SECONDS

    def _replace(self, rate: float, now: float) -> None:
        self._rate = rate
        self._bucket = _Bucket.of(rate)
        self._adjusted = now
