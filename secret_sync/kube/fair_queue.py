"""Taking turns, and how often: what Events wait in and for."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Container

T = TypeVar("T")

#: Seconds that do not count: timers are no more exact, and a shorter wait would turn in circles.
TICK: Final = 0.001


class FairQueue(Generic[T]):
    """Queues by tenant that are served in turn, first come first served within each."""

    def __init__(self) -> None:
        # Who is served next comes first; empty queues are deleted.
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        """Return how many wait, of all tenants."""
        return self._length

    def put(self, tenant: str, item: T) -> None:
        """Add an item behind those of its tenant."""
        self._queues.setdefault(tenant, deque()).append(item)
        self._length += 1

    def take(self, busy: Container[str] = ()) -> T | None:
        """Remove and return the next item of the tenant whose turn it is.

        Args:
            busy: Tenants that are passed over; they keep their place.
        """
        tenant = next((name for name in self._queues if name not in busy), None)
        if tenant is None:
            return None
        queue = self._queues[tenant]
        item = queue.popleft()
        self._length -= 1
        if queue:
            self._queues.move_to_end(tenant)
        else:
            del self._queues[tenant]
        return item

    def shed(self, tenant: str) -> T | None:
        """Remove and return the last item of the longest queue, to make room for a tenant.

        Returns:
            ``None`` if that would give the tenant more room than another one has.
        """
        longest = max(self._queues, key=lambda name: len(self._queues[name]), default=tenant)
        mine = len(self._queues.get(tenant, ()))
        if longest == tenant or len(self._queues[longest]) <= mine + 1:
            return None
        self._length -= 1
        return self._queues[longest].pop()

    def drop(self, tenant: str) -> list[T]:
        """Remove and return all items of a tenant."""
        items = list(self._queues.pop(tenant, ()))
        self._length -= len(items)
        return items


class Bucket:
    """Token bucket: `size` at once, one more every `refill` seconds."""

    __slots__ = ("_at", "_refill", "_size", "_tokens")

    def __init__(self, size: float, refill: float) -> None:
        self._size = size
        self._refill = refill
        self._tokens = size
        self._at = float("-inf")

    def wait(self, now: float) -> float:
        """Return the seconds until there is one."""
        self._tokens = min(self._size, self._tokens + (now - self._at) / self._refill)
        self._at = now
        seconds = (1 - self._tokens) * self._refill
        return seconds if seconds > TICK else 0.0

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        if self.wait(now):
            return False
        self._tokens -= 1
        return True
