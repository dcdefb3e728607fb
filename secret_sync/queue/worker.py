"""The loop of workers that empties a queue."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import structlog
from structlog.contextvars import bind_contextvars

from secret_sync.queue.pace import Pace
from secret_sync.queue.priority import Priority
from secret_sync.queue.workqueue import QueueShutDown

if TYPE_CHECKING:
    from secret_sync.queue.workqueue import WorkQueue

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)

# Beside structlog's context: to read one of that takes as long as all else that a write is told.
_turn_id: ContextVar[str] = ContextVar("turn_id", default="")


def turn_id() -> str:
    """The `reconcile_id` on the log lines of this turn of a worker (C3); `""` outside of one."""
    return _turn_id.get()


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to do until the next event: success, a terminal error, the object is gone (C4)."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """All is well, or nothing is to be gained by hurry; look again in `seconds`."""

    seconds: float
    priority: Priority = Priority.LOW


@dataclass(frozen=True, slots=True)
class Postpone:
    """Nothing was done: it is too early. Former failures still count."""

    seconds: float
    priority: Priority = Priority.HIGH


@dataclass(frozen=True, slots=True)
class Retry:
    """It failed and may succeed later: again after the queue's backoff.

    Attributes:
        after: Seconds that the other side asked to wait, which count instead, or `None`.
    """

    priority: Priority = Priority.MIDDLE
    after: float | None = None


Outcome: TypeAlias = Done | RequeueAfter | Postpone | Retry

Handler: TypeAlias = Callable[[K], Awaitable[Outcome]]


class Result(StrEnum):
    """How a turn of a worker ended; a metric label."""

    DONE = "done"
    REQUEUE_AFTER = "requeue_after"
    RETRY = "retry"
    TIMEOUT = "timeout"
    """The worker's own time limit struck; a `TimeoutError` from within counts as `ERROR`."""
    ERROR = "error"
    """The handler raised."""


class WorkerObserver(Protocol):
    """What workers tell their metrics."""

    def finished(self, result: Result) -> None:
        """A turn ended. One that was cancelled from outside is not reported."""


async def run_workers(
    queue: WorkQueue[K],
    count: int,
    handle: Handler[K],
    *,
    timeout: float,  # noqa: ASYNC109 - the limit of each turn, not of this call
    observer: WorkerObserver,
    describe: Callable[[K], str] = str,
) -> None:
    """Work on `queue` with `count` workers until it is shut down (C1, Q13).

    After `queue.shut_down()` each worker finishes what it has in hand, and this returns. To stop
    sooner, cancel this: the handlers are cancelled and every key is given back.

    Args:
        queue: Where the keys come from and go back to.
        count: Number of workers.
        handle: Works on one key. What it raises is counted, logged without the exception's
            variables, and retried (C2).
        timeout: Seconds a turn may take.
        observer: Hears how each turn ended.
        describe: Renders a key for the log context.
    """
    pace = Pace()
    async with asyncio.TaskGroup() as workers:
        for number in range(count):
            workers.create_task(
                _work(queue, handle, timeout, observer, describe, pace),
                name=f"{queue.name}-worker-{number}",
            )


async def _work(
    queue: WorkQueue[K],
    handle: Handler[K],
    timeout: float,  # noqa: ASYNC109 - as above
    observer: WorkerObserver,
    describe: Callable[[K], str],
    pace: Pace,
) -> None:
    while True:
        await pace.wait()
        try:
            key = await queue.get()
        except QueueShutDown:
            return
        try:
            # A worker is a task of its own, so this context is its own too, until the next (C3).
            this = secrets.token_hex(6)
            _turn_id.set(this)
            bind_contextvars(reconcile_id=this, key=describe(key))
            outcome, result = await _turn(handle, key, timeout)
            _settle(queue, key, outcome)
            observer.finished(result)
        finally:
            queue.done(key)


async def _turn(
    handle: Handler[K],
    key: K,
    timeout: float,  # noqa: ASYNC109 - as above
) -> tuple[Outcome, Result]:
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            outcome = await handle(key)
    except Exception as error:  # C2: one object's fault stops nothing else
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
            # Nothing to do until the next event: what was to be looked at again, was.
            queue.cancel(key)
        case RequeueAfter(seconds, priority):
            queue.forget(key)
            queue.add_after(key, seconds, priority)
        case Postpone(seconds, priority):
            queue.add_after(key, seconds, priority)
        case Retry(priority, after):
            queue.retry(key, priority, after)
