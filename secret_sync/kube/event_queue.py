"""Which Event is sent next: namespaces take turns, and several requests are under way at a time.

Neither a namespace with many Events nor one that answers slowly keeps those of another one back.
New Events do not wait for older ones whose count grows.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from secret_sync.clock import loop_time

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

T = TypeVar("T")

EventType: TypeAlias = Literal["Normal", "Warning"]

#: New Events at once, of all objects together; as many whose count grows.
AT_ONCE: Final = 100
#: Seconds for another one of either.
BETWEEN: Final = 0.1
#: Requests under way, and those of them for one namespace.
IN_FLIGHT: Final = 32
IN_FLIGHT_OF_ONE: Final = 4
#: New Events that wait to be sent.
QUEUED: Final = 1000
#: Seconds between two writes of one Event; see ``GROW_AFTER_AT_MOST`` of the recorder.
GROW_AFTER: Final = 10.0
#: Where the API server wants Events about what has no namespace.
_NOWHERE: Final = "default"
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


class About(NamedTuple):
    """The object that an Event is about; ``namespace`` is ``""`` for a cluster-scoped one."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(slots=True, eq=False)
class Series:
    """One Event and the occurrences of it.

    Attributes:
        first, last: When, by the clock on the wall.
        seen: When last, in seconds of the loop.
        pending: Occurrences to be sent; also ones that are on their way.
        sent: Occurrences that the API server knows of.
        grow_after: Seconds before the next write.
        sent_at: When the last one was, in seconds of the loop.
        queued: Waits to be sent, or is on its way; in the queue at most once.
        tries: Writes that failed in passing since one that did not.
    """

    about: About
    type_: EventType
    reason: str
    message: str
    name: str
    first: str
    last: str
    seen: float
    pending: int = 0
    sent: int = 0
    grow_after: float = GROW_AFTER
    sent_at: float = float("-inf")
    queued: bool = False
    tries: int = 0

    @property
    def namespace(self) -> str:
        """Where the Event is, or will be."""
        return self.about.namespace or _NOWHERE


class EventQueue:
    """Hands out Events one by one, as fast as the limits allow; to be used inside one loop."""

    def __init__(self) -> None:
        # What may be sent now.
        self._new: FairQueue[Series] = FairQueue()
        self._grown: FairQueue[Series] = FairQueue()
        self._may_create = Bucket(AT_ONCE, BETWEEN)
        self._may_grow = Bucket(AT_ONCE, BETWEEN)
        # The rest by when it is due; the number decides among equals.
        self._later: list[tuple[float, int, Series]] = []
        self._numbers = count()
        self._in_flight: Counter[str] = Counter()
        self._wake = asyncio.Event()
        # Held by the task that waits for the next Event.
        self._turn = asyncio.Lock()
        self._hurry = False

    def __len__(self) -> int:
        """Return how many wait to be sent."""
        return len(self._new) + len(self._grown) + len(self._later)

    def make_room(self, namespace: str) -> tuple[bool, Series | None]:
        """Make room for a new Event of a namespace, if possible.

        Returns:
            Whether there is, and the Event of a namespace with more of them that makes room.
        """
        if len(self._new) < QUEUED:
            return True, None
        shed = self._new.shed(namespace)
        return shed is not None, shed

    def put(self, series: Series, due: float) -> None:
        """Have an Event sent, not before it is due."""
        series.queued = True
        now = loop_time()
        if due <= now or (self._hurry and not series.tries):
            turns, bucket = self._line(series)
            # Behind others that wait for the next token there is nothing new to be done.
            behind = len(turns) > 0 and not self._hurry and bucket.wait(now) > 0
            turns.put(series.namespace, series)
            if behind:
                return
        else:
            heapq.heappush(self._later, (due, next(self._numbers), series))
        self._wake.set()

    def drop(self, namespace: str) -> list[Series]:
        """Remove and return what is ready to be sent to a namespace."""
        return self._new.drop(namespace) + self._grown.drop(namespace)

    def hurry(self) -> None:
        """From now on wait for no limit but that of requests under way; only retries wait."""
        self._hurry = True
        later, self._later = self._later, []
        for due, _, series in later:
            self.put(series, due)
        self._wake.set()

    def drain(self) -> Iterator[Series]:
        """Remove and return everything."""
        while (series := self._new.take() or self._grown.take()) is not None:
            yield series
        while self._later:
            yield self._later.pop()[-1]

    async def next(self) -> Series | None:
        """Wait for the next Event to send; it counts as under way until ``done``.

        Returns:
            ``None`` if there is a hurry, and nothing is left nor under way.
        """
        async with self._turn:
            while True:
                self._wake.clear()
                now = loop_time()
                while self._later and self._later[0][0] <= now + TICK:
                    self._ready(heapq.heappop(self._later)[-1])
                series = self._take(now)
                if series is not None:
                    self._in_flight[series.namespace] += 1
                    return series
                if self._hurry and not self and not self._in_flight:
                    return None
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._wait(now)):
                        await self._wake.wait()

    def done(self, series: Series) -> None:
        """Note that the request for an Event has ended."""
        self._in_flight[series.namespace] -= 1
        if not self._in_flight[series.namespace]:
            del self._in_flight[series.namespace]
        self._wake.set()

    def _ready(self, series: Series) -> None:
        turns, _ = self._line(series)
        turns.put(series.namespace, series)

    def _line(self, series: Series) -> tuple[FairQueue[Series], Bucket]:
        if series.sent:
            return self._grown, self._may_grow
        return self._new, self._may_create

    def _take(self, now: float) -> Series | None:
        if self._in_flight.total() >= IN_FLIGHT:
            return None
        busy = {name for name, n in self._in_flight.items() if n >= IN_FLIGHT_OF_ONE}
        for turns, bucket in ((self._new, self._may_create), (self._grown, self._may_grow)):
            if not self._hurry and bucket.wait(now):
                continue
            series = turns.take(busy)
            if series is not None:
                bucket.take(now)
                return series
        return None

    def _wait(self, now: float) -> float | None:
        """Return the seconds until something may be sent that may not be now."""
        waits = [self._later[0][0] - now] if self._later else []
        for turns, bucket in ((self._new, self._may_create), (self._grown, self._may_grow)):
            # Without a wait it is a request under way that is waited for.
            if turns and (wait := bucket.wait(now)):
                waits.append(wait)
        return min(waits, default=None)
