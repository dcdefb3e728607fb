"""A control loop: a queue, its workers, and what they do with a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from secret_sync.metrics import QueueMetrics
from secret_sync.queue import Backoff, NotBefore, WorkQueue, run_workers
from secret_sync.resources.meta import namespace_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.metrics import Metrics, WorkerMetrics
    from secret_sync.queue import Outcome
    from secret_sync.settings import Settings

#: Handles one key of a queue.
Handler: TypeAlias = "Callable[[str], Awaitable[Outcome]]"

#: Seconds for one reconcile; it only ever waits for the API server.
RECONCILE_WITHIN: Final = 60.0
#: Seconds between two retries at most, and a quarter more: half a minute after an outage the API
#: server has got all events that it missed.
RETRY_WITHIN: Final = 15.0
#: Seconds after which less urgent work of a control loop has its share.
AGING: Final = 30.0


@dataclass(frozen=True, slots=True)
class ControlLoop:
    """Workers that take keys from a queue.

    Attributes:
        workers: How many keys are handled at once.
        handler: Handles one key.
    """

    queue: WorkQueue[str]
    workers: int
    handler: Handler

    async def run(self, observer: WorkerMetrics) -> None:
        """Work until the queue is shut down."""
        await run_workers(
            self.queue,
            self.workers,
            NotBefore(self.handler),
            timeout=RECONCILE_WITHIN,
            observer=observer,
        )


def build_queue(
    settings: Settings, metrics: Metrics, name: str, aging: float = AGING
) -> WorkQueue[str]:
    """Return the queue of a control loop, in which namespaces take turns."""
    base = settings.reconcile_period
    return WorkQueue(
        name,
        backoff=Backoff(base=base, cap=max(RETRY_WITHIN, base)),
        aging=aging,
        observer=QueueMetrics(metrics, name),
        tenants=lambda key: (namespace_of(key),),
    )
