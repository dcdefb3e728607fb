"""How many requests are served: of one client, and of all together."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from secret_sync.clock import loop_time

#: Clients that are remembered; beyond it the one that was quiet longest is forgotten.
MAX_CLIENTS: Final = 1024


class TokenBucket:
    """Allows a burst, then so many a second."""

    __slots__ = ("_burst", "_level", "_rate", "_updated")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._level = burst
        self._updated = loop_time()

    def has(self) -> bool:
        """Return whether one more is allowed now."""
        now = loop_time()
        self._level = min(self._burst, self._level + (now - self._updated) * self._rate)
        self._updated = now
        return self._level >= 1

    def take(self) -> None:
        """Count one."""
        self._level -= 1


class ClientLimits:
    """A bucket for each client, and one for all.

    Args:
        rate: Requests per second of one client.
        burst: Of one client.
        total: How many times as much all clients together may do.
    """

    __slots__ = ("_all", "_burst", "_clients", "_rate")

    def __init__(self, rate: float, burst: float, total: float) -> None:
        self._rate, self._burst = rate, burst
        self._all = TokenBucket(rate * total, burst * total)
        self._clients: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of clients that are remembered."""
        return len(self._clients)

    def take(self, client: str) -> bool:
        """Count one of a client; return whether it was allowed."""
        bucket = self._clients.get(client)
        if bucket is None:
            bucket = self._clients[client] = TokenBucket(self._rate, self._burst)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(client)
        if not self._all.has() or not bucket.has():
            return False
        # One client that exceeds its own limit costs the others nothing.
        self._all.take()
        bucket.take()
        return True
