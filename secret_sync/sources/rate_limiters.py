"""The rate limiters of all queues, which are kept for a while after their queues are closed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secret_sync.cloud.rate_limiter import RateLimiter

#: Seconds for which an unused limiter is kept: a new one would allow a burst and would not know
#: that the service has just throttled a call.
KEEP_SECONDS: Final = 600.0
#: Unused limiters kept at most; beyond it the one that was idle longest is removed.
MAX_IDLE: Final = 1000


class RateLimiterPool:
    """One limiter for each key of a queue."""

    __slots__ = ("_idle", "_limiters", "_new")

    def __init__(self, new: Callable[[str], RateLimiter]) -> None:
        self._new = new
        self._limiters: dict[Hashable, RateLimiter] = {}
        # When each became unused, the longest idle first.
        self._idle: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of limiters, including unused ones."""
        return len(self._limiters)

    def take(self, provider: str, key: Hashable) -> RateLimiter:
        """Return the limiter of a key that is now in use."""
        self._forget()
        self._idle.pop(key, None)
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = self._new(provider)
        return limiter

    def leave(self, key: Hashable) -> None:
        """Mark the limiter of a key as unused."""
        self._idle[key] = asyncio.get_running_loop().time()
        self._forget()

    def _forget(self) -> None:
        horizon = asyncio.get_running_loop().time() - KEEP_SECONDS
        while self._idle:
            key = next(iter(self._idle))
            if self._idle[key] >= horizon and len(self._idle) <= MAX_IDLE:
                return
            del self._idle[key], self._limiters[key]
