"""The deduplicating work queue."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from secret_sync.backoff import Backoff
from secret_sync.clock import loop_time
from secret_sync.queue.delays import Delays
from secret_sync.queue.level import Item, Level
from secret_sync.queue.priority import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

K = TypeVar("K", bound=Hashable)

_DEFAULT_BACKOFF: Final = Backoff()

# While risen items wait beside more urgent ones, one get in this many takes a risen one. If it
# always did, a queue that is always behind (more sources than the rate allows) would be first come,
# first served, and a new object would wait for the backlog.
_RISEN_SHARE: Final = 4


class QueueShutDown(Exception):  # noqa: N818 - the name and the role of asyncio's own
    """The queue is shut down."""


class QueueObserver(Protocol):
    """Receives the events of a queue, for metrics; durations are in seconds of the loop's clock."""

    def added(self) -> None:
        """Count an add of a key that was not queued already."""

    def waited(self, seconds: float, /) -> None:
        """Observe the time from the first add of an item until it was taken."""

    def worked(self, seconds: float, /) -> None:
        """Observe the time from taking an item until it was done."""

    def retried(self) -> None:
        """Count a retry."""


def _one_tenant(_: object) -> Iterable[Hashable]:
    return ()


class WorkQueue(Generic[K]):
    """Hands every key to one worker at a time, the most urgent first.

    *One worker per key*: a key that is added again while it waits is one item; added while it is in
    flight, it is handed out once more after `done`. All methods belong to the thread of the event
    loop that is running when the queue is first used.

    Order: by priority; within one, tenants take turns, and the keys of one tenant are first
    come, first served: a tenant with thousands of keys delays the others by one key at a time. An
    item rises one level for every `aging` seconds it waits; risen items get one in four of the
    takes for which more urgent ones compete, so nothing starves behind a backlog and
    nothing urgent queues up behind one.

    Args:
        name: What the queue is called in metrics and logs.
        backoff: Delays of `retry`.
        aging: Seconds after which a waiting item rises one priority level.
        observer: Receives the events of the queue.
        tenants: Return the tenants of a key, when it becomes ready. Opaque.

    Raises:
        ValueError: `aging` is not a positive number of seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        backoff: Backoff = _DEFAULT_BACKOFF,
        aging: float = 30.0,
        observer: QueueObserver,
        tenants: Callable[[K], Iterable[Hashable]] = _one_tenant,
    ) -> None:
        if not 0 < aging < math.inf:
            raise ValueError(f"aging must be a positive number of seconds, got {aging}")
        self.name = name
        self._backoff = backoff
        self._aging = aging
        self._observer = observer
        self._tenants = tenants
        self._rng = Random()  # noqa: S311 - spreads retries, protects nothing
        self._shut_down = False

        # Queued keys: each waits in exactly one level of `_levels`, or is in `_processing` too
        # and joins a level when it is done.
        self._dirty: dict[K, Item] = {}
        # Keys in flight -> when they were taken. None of these is in a level.
        self._processing: dict[K, float] = {}
        self._levels: tuple[Level[K], ...] = tuple(Level() for _ in Priority)
        # The sum of the lengths of `_levels`.
        self._depth = 0
        # Takes for which risen items competed with more urgent ones.
        self._passed_over = 0
        # What is called when a key in flight is done.
        self._afterwards: dict[K, Callable[[], None]] = {}
        # Failed tries since the last `forget`; never 0.
        self._failures: dict[K, int] = {}
        self._delays: Delays[K] = Delays(self.add)

        # Callers that wait for an item. While an item waits, either this is empty or a wake-up is
        # on its way: each item that joins wakes one caller, and a caller that takes nothing
        # (cancelled, or `ready`) wakes the next.
        self._getters: deque[asyncio.Future[None]] = deque()
        # Those who wait for `_processing` to be empty.
        self._drainers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Items ready to be taken, without the delayed ones and those in flight."""
        return self._depth

    def __bool__(self) -> bool:
        """Return true: an empty queue is a queue."""
        return True

    def __repr__(self) -> str:
        return (
            f"<WorkQueue {self.name} ready={self._depth} delayed={len(self._delays)} "
            f"in_flight={len(self._processing)}{' shut down' * self._shut_down}>"
        )

    # -- Adding ---------------------------------------------------------------------------

    def add(self, key: K, priority: Priority = Priority.HIGH) -> None:
        """Add `key`; if it is queued already, at most raise its priority.

        Ignored after `shut_down`.
        """
        if self._shut_down:
            return
        item = self._dirty.get(key)
        if item is not None:
            if priority < item.priority:
                self._raise(key, item, priority)
            return
        now = loop_time()
        item = self._dirty[key] = Item(now, now, priority)
        self._observer.added()
        if key not in self._processing:
            self._join(key, item)

    def share(self, key: K, tenant: Hashable) -> None:
        """Let `key` also be taken in the turns of another tenant; do nothing if it is not ready."""
        item = self._dirty.get(key)
        if item is not None and key not in self._processing:
            self._levels[item.priority].share(key, tenant)

    def add_after(self, key: K, delay: float, priority: Priority = Priority.LOW) -> None:
        """Add `key` in `delay` seconds; of several delays of one key the earliest stands.

        A delay that is not positive adds at once. Ignored after `shut_down`.
        """
        if self._shut_down:
            return
        if delay <= 0:
            self.add(key, priority)
            return
        self._delays.put(key, loop_time() + delay, priority)

    def is_in_flight(self, key: K) -> bool:
        """Return whether a worker has `key`; what is added now is for the next one."""
        return key in self._processing

    def when_done(self, key: K, call: Callable[[], None]) -> None:
        """Call back once `key`, which is in flight, is done; the latest call replaces others.

        For a change that the worker itself may turn out to have caused.
        """
        self._afterwards[key] = call

    def cancel(self, key: K) -> None:
        """Drop the delayed add of `key`, if there is one; what is ready or in flight stays."""
        self._delays.drop(key)

    def retry(
        self, key: K, priority: Priority = Priority.MIDDLE, after: float | None = None
    ) -> float:
        """Count a failure of `key` and add it after the backoff that follows from the count.

        Args:
            key: What failed.
            priority: Of the retry.
            after: Seconds to wait at least, from `Retry-After`. They replace a shorter backoff
                and an earlier delay of `key`. Jitter is added: other clients got the same answer.

        Returns:
            The delay, in seconds.
        """
        failures = self._failures.get(key, 0)
        delay = self._backoff.delay(failures, self._rng)
        if after:
            # An overloaded server answers every client with the same short wait.
            delay = max(delay, after * self._rng.uniform(1, 1 + self._backoff.jitter))
            self._delays.drop(key)
        if not self._shut_down:
            self._failures[key] = failures + 1
            self._observer.retried()
            self.add_after(key, delay, priority)
        return delay

    def forget(self, key: K) -> None:
        """Reset the backoff of `key`."""
        self._failures.pop(key, None)

    def discard(self, key: K) -> None:
        """Remove `key` from the ready and delayed keys, and reset its backoff.

        A reconcile in flight finishes; the key is not handed out again for earlier adds.
        """
        self._delays.drop(key)
        self._failures.pop(key, None)
        item = self._dirty.pop(key, None)
        if item is not None and key not in self._processing:
            self._levels[item.priority].leave(key)
            self._depth -= 1

    # -- Taking ---------------------------------------------------------------------------

    async def get(self) -> K:
        """Wait for the most urgent key and take it; `done` must follow.

        *Cancel-safe get*: the key leaves the queue only when this returns.

        Raises:
            QueueShutDown: The queue is shut down; what was queued is dropped.
        """
        while not self._depth:
            await self._wait_for_item()
        now = loop_time()
        key, item = self._choose(now).take()
        del self._dirty[key]
        self._processing[key] = now
        self._depth -= 1
        self._observer.waited(now - item.added)
        return key

    async def ready(self) -> None:
        """Wait until `get` would not have to, and take nothing.

        For a dispatcher that waits for a rate token before it picks the key. Nothing is reserved:
        another caller of `get` may take the item first.

        Raises:
            QueueShutDown: The queue is shut down.
        """
        while not self._depth:
            await self._wait_for_item()
            # The wake-up was meant for a caller that takes the item.
            if len(self):
                self._wake(self._getters)

    def done(self, key: K) -> None:
        """Give `key` back; if it was added meanwhile it is ready again.

        Raises:
            ValueError: `key` is not in flight.
        """
        taken = self._processing.pop(key, None)
        if taken is None:
            raise ValueError("done() without get(): the key is not in flight")
        now = loop_time()
        self._observer.worked(now - taken)
        item = self._dirty.get(key)
        if item is not None:
            item.joined = now
            self._join(key, item)
        if self._afterwards and (call := self._afterwards.pop(key, None)) is not None:
            call()
        if not self._processing:
            while self._drainers:
                self._wake(self._drainers)

    # -- Stopping -------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Drop what is queued and delayed, ignore adds, end every `get`; for good.

        Nothing is lost: the work of the next start follows from the state of the cluster.
        """
        self._shut_down = True
        self._delays.clear()
        self._dirty.clear()
        for level in self._levels:
            level.clear()
        self._depth = 0
        while self._getters:
            self._wake(self._getters)

    async def drained(self) -> None:
        """Wait until no key is in flight."""
        while self._processing:
            await self._wait_in(self._drainers)

    # -- Read at scrape time --------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Keys taken and not done."""
        return len(self._processing)

    @property
    def unfinished_work_seconds(self) -> float:
        """The sum of the seconds since each key in flight was taken."""
        taken = self._processing.values()
        return loop_time() * len(taken) - math.fsum(taken) if taken else 0.0

    @property
    def longest_running_processor_seconds(self) -> float:
        """The seconds since the oldest key in flight was taken."""
        return loop_time() - min(self._processing.values()) if self._processing else 0.0

    # -- Inside ---------------------------------------------------------------------------

    def _join(self, key: K, item: Item) -> None:
        self._levels[item.priority].join(key, item, self._tenants(key))
        self._depth += 1
        self._wake(self._getters)

    def _raise(self, key: K, item: Item, priority: Priority) -> None:
        if key not in self._processing:
            self._levels[item.priority].leave(key)
            item.joined = loop_time()
            self._levels[priority].join(key, item, self._tenants(key))
        item.priority = priority

    def _choose(self, now: float) -> Level[K]:
        """Return the level to take from: the most urgent, or sometimes one with risen items."""
        urgent: Level[K] | None = None
        risen: list[Level[K]] = []
        due = 0.0
        for level in self._levels:
            if urgent is not None:
                due += self._aging
                # However long the urgent ones waited: they may be another tenant's backlog.
                if level.items and level.oldest.joined + due <= now:
                    risen.append(level)
            elif level.items:
                urgent = level
        if urgent is None:
            raise IndexError("pop from an empty queue")
        if not risen:
            return urgent
        self._passed_over += 1
        if self._passed_over % _RISEN_SHARE:
            return urgent
        return risen[self._passed_over // _RISEN_SHARE % len(risen)]

    async def _wait_for_item(self) -> None:
        if self._shut_down:
            raise QueueShutDown(self.name)
        await self._wait_in(self._getters)

    async def _wait_in(self, waiters: deque[asyncio.Future[None]]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                # Woken and cancelled at once: the item still waits, so the next waiter must run.
                if self._depth:
                    self._wake(waiters)
            else:
                with suppress(ValueError):
                    waiters.remove(waiter)
            raise

    @staticmethod
    def _wake(waiters: deque[asyncio.Future[None]]) -> None:
        """Wake the first waiter that is not cancelled."""
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
