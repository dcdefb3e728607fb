"""The loop of workers that empties a queue; how fast, and not before which time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar

import structlog
from structlog.contextvars import bind_contextvars

from secret_sync.queue.priority import Priority
from secret_sync.queue.workqueue import QueueShutDown

if TYPE_CHECKING:
    from secret_sync.queue.workqueue import WorkQueue

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)

#: Seconds of work in one iteration of the event loop, after which the next piece yields.
LONGEST: Final = 0.01

# Beside structlog's context, which is slow to read.
_reconcile_id: ContextVar[str] = ContextVar("reconcile_id", default="")


def reconcile_id() -> str:
    """Return the `reconcile_id` of the log lines of this reconcile; `""` outside of one."""
    return _reconcile_id.get()


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to do until the next event: success, a terminal error, the object is gone."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Success, or a problem that a quick retry does not solve; reconcile again in `seconds`."""

    seconds: float
    priority: Priority = Priority.LOW


@dataclass(frozen=True, slots=True)
class Postpone:
    """Nothing was done: it is too early. Former failures still count."""

    seconds: float
    priority: Priority = Priority.HIGH


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure that may pass: retry after the queue's backoff.

    Attributes:
        after: Seconds to wait instead, from `Retry-After`, or `None`.
    """

    priority: Priority = Priority.MIDDLE
    after: float | None = None


Outcome: TypeAlias = Done | RequeueAfter | Postpone | Retry

Handler: TypeAlias = Callable[[K], Awaitable[Outcome]]


class Result(StrEnum):
    """How a reconcile ended; a metric label."""

    DONE = "done"
    REQUEUE_AFTER = "requeue_after"
    RETRY = "retry"
    TIMEOUT = "timeout"
    """The worker's own time limit struck; a `TimeoutError` from within counts as `ERROR`."""
    ERROR = "error"
    """The handler raised."""


class WorkerObserver(Protocol):
    """Receives the results of reconciles, for metrics."""

    def finished(self, result: Result) -> None:
        """Count a reconcile that was not cancelled."""


async def run_workers(
    queue: WorkQueue[K],
    count: int,
    handle: Handler[K],
    *,
    timeout: float,  # noqa: ASYNC109 - the limit of each reconcile, not of this call
    observer: WorkerObserver,
) -> None:
    """Work on `queue` with `count` workers until it is shut down.

    After `queue.shut_down()` each worker finishes its reconcile, and this returns. To stop sooner,
    cancel this: the handlers are cancelled and every key is given back.

    Args:
        queue: Where the keys come from and go back to.
        count: Number of workers.
        handle: Reconciles one key. Its exceptions are counted, logged without the values of
            variables, and retried.
        timeout: Seconds that a reconcile may take.
        observer: Receives the result of each reconcile.
    """
    pace = Pace()
    async with asyncio.TaskGroup() as workers:
        for number in range(count):
            workers.create_task(
                _work(queue, handle, timeout, observer, pace),
                name=f"{queue.name}-worker-{number}",
            )


async def _work(
    queue: WorkQueue[K],
    handle: Handler[K],
    timeout: float,  # noqa: ASYNC109 - as above
    observer: WorkerObserver,
    pace: Pace,
) -> None:
    while True:
        await pace.wait()
        try:
            key = await queue.get()
        except QueueShutDown:
            return
        try:
            # A worker is a task of its own, and so is its context, until the next reconcile.
            this = f"{random.getrandbits(48):012x}"
            _reconcile_id.set(this)
            bind_contextvars(reconcile_id=this, key=str(key))
            outcome, result = await _reconcile(handle, key, timeout)
            _settle(queue, key, outcome)
            observer.finished(result)
        finally:
            queue.done(key)


async def _reconcile(
    handle: Handler[K],
    key: K,
    timeout: float,  # noqa: ASYNC109 - as above
) -> tuple[Outcome, Result]:
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            outcome = await handle(key)
    except Exception as error:  # contained: one object must not stop the others
        if isinstance(error, TimeoutError) and limit.expired():
            log.warning("reconcile timed out", timeout_seconds=timeout)
            return Retry(), Result.TIMEOUT
        log.exception("reconcile raised", exc_info=error)
        return Retry(), Result.ERROR
    match outcome:
        case Done():
            return outcome, Result.DONE
        case RequeueAfter() | Postpone():
            return outcome, Result.REQUEUE_AFTER
        case Retry():
            return outcome, Result.RETRY


def _settle(queue: WorkQueue[K], key: K, outcome: Outcome) -> None:
    match outcome:
        case Done():
            queue.forget(key)
            # Nothing to do until the next event: an earlier requeue is obsolete.
            queue.cancel(key)
        case RequeueAfter(seconds, priority):
            queue.forget(key)
            queue.add_after(key, seconds, priority)
        case Postpone(seconds, priority):
            queue.add_after(key, seconds, priority)
        case Retry(priority, after):
            queue.retry(key, priority, after)


class Pace:
    """Spreads pieces of work that never wait over several iterations of the event loop.

    Tasks that take items from a full queue and never wait would block the loop until the queue is
    empty. They share one instance.
    """

    __slots__ = ("_began", "_counting")

    def __init__(self) -> None:
        # When the first piece of this iteration began.
        self._began = 0.0
        self._counting = False

    async def wait(self) -> None:
        """Yield to the event loop if the time of this iteration is used up."""
        while self._counting and time.perf_counter() - self._began > LONGEST:  # noqa: ASYNC110 (each iteration of the loop)
            await asyncio.sleep(0)
        if not self._counting:
            self._counting = True
            self._began = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._counting = False


class NotBefore(Generic[K]):
    """Handles keys, but none before the time that its last failure demanded.

    The queue delays the retry by itself, but an event enqueues the key at once, and an event during
    the processing of the key does so as soon as it is done.
    """

    def __init__(self, handle: Callable[[K], Awaitable[Outcome]]) -> None:
        self._handle = handle
        # Each of these keys is queued for its time or later, and removed when it is taken.
        self._until: dict[K, float] = {}

    def __len__(self) -> int:
        """Return the number of keys that are queued for a demanded time."""
        return len(self._until)

    async def __call__(self, key: K) -> Outcome:
        """Process a key, or requeue it for its time."""
        now = asyncio.get_running_loop().time()
        until = self._until.pop(key, now)
        if until > now:
            self._until[key] = until
            return Postpone(until - now)
        outcome = await self._handle(key)
        if isinstance(outcome, Retry) and outcome.after:
            self._until[key] = asyncio.get_running_loop().time() + outcome.after
        return outcome
