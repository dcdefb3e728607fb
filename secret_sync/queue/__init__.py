"""Work queues: deduplication, delays, backoff, priorities, and the loop of workers on top."""

from __future__ import annotations

from secret_sync.backoff import Backoff
from secret_sync.queue.gathering import Gathering
from secret_sync.queue.priority import Priority
from secret_sync.queue.time_slices import TimeSlicedWorker
from secret_sync.queue.worker import (
    Done,
    NotBefore,
    Outcome,
    Pace,
    RequeueAfter,
    Result,
    Retry,
    WorkerObserver,
    reconcile_id,
    run_workers,
)
from secret_sync.queue.workqueue import QueueObserver, QueueShutDown, WorkQueue

__all__ = [
    "Backoff",
    "Done",
    "Gathering",
    "NotBefore",
    "Outcome",
    "Pace",
    "Priority",
    "QueueObserver",
    "QueueShutDown",
    "RequeueAfter",
    "Result",
    "Retry",
    "TimeSlicedWorker",
    "WorkQueue",
    "WorkerObserver",
    "reconcile_id",
    "run_workers",
]
