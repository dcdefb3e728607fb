"""The rate limiters of all lanes, which outlive these."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secret_sync.cloud.rate_limiter import RateLimiter

#: A limiter that no lane passes is kept for so many seconds: a new one would start with a burst,
#: and would not know that the service complained a moment ago.
KEPT: Final = 600.0
#: So many of these at most; beyond it the one that was idle for longest goes.
KEPT_AT_MOST: Final = 1000


class RateLimiterPool:
    """One limiter for each key of a lane.

    Args:
        new: Builds the limiter of a provider.
    """

    __slots__ = ("_idle", "_limiters", "_new")

    def __init__(self, new: Callable[[str], RateLimiter]) -> None:
        self._new = new
        self._limiters: dict[Hashable, RateLimiter] = {}
        # Since when nobody passes them, the longest idle first.
        self._idle: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """RateLimiterPool kept."""
        return len(self._limiters)

    def take(self, provider: str, key: Hashable) -> RateLimiter:
        """The limiter of a key that comes into use."""
        self._forget()
        self._idle.pop(key, None)
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = self._new(provider)
        return limiter

    def leave(self, key: Hashable) -> None:
        """The key goes out of use."""
        self._idle[key] = asyncio.get_running_loop().time()
        self._forget()

    def _forget(self) -> None:
        horizon = asyncio.get_running_loop().time() - KEPT
        while self._idle:
            key = next(iter(self._idle))
            if self._idle[key] >= horizon and len(self._idle) <= KEPT_AT_MOST:
                return
            del self._idle[key], self._limiters[key]
