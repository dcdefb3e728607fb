"""The rate limiter before each call, which slows down when the service throttles."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from secret_sync.partial_imports import without_init

# It looks its version up.
with without_init("aiolimiter"):
    from aiolimiter.leakybucket import AsyncLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

# A leaky bucket admits its whole capacity at once. With the capacity of a second, the first second
# would have twice the rate and exceed the quota; with that of a tenth, no second has more than 1.1
# times the rate (plus one call for rates below ten).
_BURST_SECONDS = 0.1
# Halved at once, raised by a twentieth per second: ten seconds from a halved rate to the full one.
_LOWER_FACTOR = 0.5
_RAISE_STEP = 0.05
_ADJUST_SECONDS = 1.0
# However often calls are throttled, one is made at least every two seconds: a rate near zero would
# not notice that the service has recovered.
_SLOWEST = 0.5
# Without a limit there is no rate to halve, so it pauses for a moment instead.
_UNLIMITED_PAUSE = 1.0

# Seconds over which the use of the rate is averaged, the latest calls counting most.
_AVERAGED = 60.0

# Timers have a resolution of a millisecond (uvloop); a shorter sleep would be a busy loop.
_TICK = 0.001


#: The level of the bucket is private in aiolimiter: publicly it says only yes or no. A test fails
#: when another version is installed than this was written against.
WRITTEN_AGAINST: Final = ("aiolimiter", "1.3.0")


class _LeakyBucket(AsyncLimiter):
    """A leaky bucket that also returns how long to wait, instead of waiting itself."""

    __slots__ = ()

    @classmethod
    def of(cls, rate: float) -> _LeakyBucket:
        capacity = max(1.0, rate * _BURST_SECONDS)
        return cls(capacity, capacity / rate)

    def delay(self) -> float:
        """Return the seconds until ``acquire`` would not wait."""
        if self.has_capacity():
            return 0.0
        return (self._level + 1.0 - self.max_rate) * self.time_period / self.max_rate


class RateLimiter:
    """Limits calls to a rate that adapts to throttling.

    Built inside the running loop, one for each quota. Each try of a call acquires it once, retries
    included. Meant for one waiter: the dispatcher, which picks the item only after it has acquired
    ("token first, then item").
    """

    __slots__ = (
        "_adjusted",
        "_bucket",
        "_limit",
        "_loop",
        "_on_wait",
        "_rate",
        "_resume_at",
        "_used",
        "_used_at",
    )

    def __init__(self, rate: float | None, *, on_wait: Callable[[float], None]) -> None:
        """Build a limiter at its full rate.

        Args:
            rate: Calls per second; ``None`` or 0 for no limit.
            on_wait: Called with the seconds that each caller waited, 0.0 included.
        """
        self._loop = asyncio.get_running_loop()
        self._on_wait = on_wait
        self._limit = rate or None
        self._rate = self._limit
        self._bucket = None if self._limit is None else _LeakyBucket.of(self._limit)
        self._resume_at = 0.0
        self._adjusted = -math.inf
        self._used = 0.0
        self._used_at = self._loop.time()

    @property
    def rate(self) -> float | None:
        """Return the current calls per second; ``None`` if unlimited."""
        return self._rate

    @property
    def use(self) -> float:
        """Return which share of the current rate was used in about a minute; 0.0 if unlimited."""
        return self._recent() / _AVERAGED / self._rate if self._rate else 0.0

    async def acquire(self) -> None:
        """Wait until one call may be made."""
        started = self._loop.time()
        # Computed again after each sleep: the rate may have changed meanwhile.
        while (delay := self._delay()) > 0.0:  # noqa: ASYNC110 - only time passes, no event
            await asyncio.sleep(max(delay, _TICK))
        if self._bucket is not None:
            await self._bucket.acquire()
        self._used, self._used_at = self._recent() + 1.0, self._loop.time()
        self._on_wait(self._used_at - started)

    def throttled(self, retry_after: float | None) -> None:
        """Slow down: the service refused a call for its rate.

        The rate is halved at most once a second, since concurrent calls are refused together.

        Args:
            retry_after: Seconds without any call, or ``None``.
        """
        now = self._loop.time()
        if retry_after is not None:
            self._resume_at = max(self._resume_at, now + retry_after)
        if self._limit is None or self._rate is None:
            self._resume_at = max(self._resume_at, now + _UNLIMITED_PAUSE)
        elif self._may_adjust(now):
            self._replace(max(self._rate * _LOWER_FACTOR, min(_SLOWEST, self._limit)), now)
            # The new bucket admits a whole burst; without a pause that would follow at once.
            self._resume_at = max(self._resume_at, now + 1.0 / self._rate)

    def succeeded(self) -> None:
        """Record a call that was not refused: a lowered rate is raised, at most once a second."""
        if self._limit is None or self._rate is None or self._rate >= self._limit:
            return
        now = self._loop.time()
        if self._may_adjust(now):
            raised = self._rate + self._limit * _RAISE_STEP
            self._replace(min(self._limit, raised), now)

    def __repr__(self) -> str:
        return f"<RateLimiter rate={self._rate} limit={self._limit}>"

    def _delay(self) -> float:
        pause = self._resume_at - self._loop.time()
        return pause if pause > 0.0 or self._bucket is None else self._bucket.delay()

    def _recent(self) -> float:
        """Return the calls so far, of which the older ones count less."""
        return self._used * math.exp((self._used_at - self._loop.time()) / _AVERAGED)

    def _may_adjust(self, now: float) -> bool:
        return now - self._adjusted >= _ADJUST_SECONDS

    def _replace(self, rate: float, now: float) -> None:
        self._rate = rate
        self._bucket = _LeakyBucket.of(rate)
        self._adjusted = now
