"""Delayed keys."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from secret_sync.clock import loop_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.queue.priority import Priority

K = TypeVar("K", bound=Hashable)

# Loops may run a timer up to one tick early (uvloop counts whole milliseconds). Taking what is
# due within the tick keeps the timer from being armed again for the same moment in a hot loop.
_TICK = 0.001

# Below this many heap entries it is not worth looking for abandoned ones.
_COMPACT_FROM = 64


class _Delayed(NamedTuple):
    when: float
    serial: int
    priority: Priority


class Delays(Generic[K]):
    """Delivers each key once, at the earliest of its times (*earliest delay wins*).

    Args:
        deliver: Called in the loop with a key whose time has come, and its priority.
    """

    __slots__ = ("_armed_for", "_deliver", "_heap", "_serial", "_timer", "_waiting")

    def __init__(self, deliver: Callable[[K, Priority], None]) -> None:
        self._deliver = deliver
        # What is to be delivered. A heap entry counts only while its serial stands here, so that
        # dropping a key or moving it forward is O(1).
        self._waiting: dict[K, _Delayed] = {}
        # (when, serial, key). Holds an entry for each of `_waiting`, and at most as many
        # abandoned ones (beyond a small constant).
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        # Armed for the heap's first entry or earlier whenever the heap is not empty.
        self._timer: asyncio.Handle | None = None
        # Kept here: uvloop answers a `call_at` of less than a tick with a handle that has no time.
        self._armed_for = math.inf

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: K) -> bool:
        return key in self._waiting

    def put(self, key: K, when: float, priority: Priority) -> None:
        """Deliver `key` at `when` (loop time), unless it is due earlier already.

        Of two puts the earlier time and the higher priority stand.
        """
        known = self._waiting.get(key)
        if known is not None:
            priority = min(priority, known.priority)
            if known.when <= when:
                if priority != known.priority:
                    self._waiting[key] = known._replace(priority=priority)
                return
        self._serial += 1
        self._waiting[key] = _Delayed(when, self._serial, priority)
        heapq.heappush(self._heap, (when, self._serial, key))
        if len(self._heap) > 2 * len(self._waiting) + _COMPACT_FROM:
            self._heap = [(item.when, item.serial, key) for key, item in self._waiting.items()]
            heapq.heapify(self._heap)
        self._arm()

    def drop(self, key: K) -> None:
        """Forget `key`; nothing happens if it does not wait."""
        # The timer stays: one that finds nothing due costs less than one cancelled per drop.
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """Forget everything and stop the timer."""
        self._waiting.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        first = self._heap[0][0]
        if self._timer is not None:
            if self._armed_for <= first:
                return
            self._timer.cancel()
        self._armed_for = first
        self._timer = asyncio.get_running_loop().call_at(first, self._fire)

    def _fire(self) -> None:
        self._timer = None
        horizon = loop_time() + _TICK
        while self._heap and self._heap[0][0] <= horizon:
            _, serial, key = heapq.heappop(self._heap)
            item = self._waiting.get(key)
            if item is not None and item.serial == serial:
                del self._waiting[key]
                self._deliver(key, item.priority)
        if self._heap:
            self._arm()
