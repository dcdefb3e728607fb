"""From a metric to the line in the log: the exemplar is the id of the reconcile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from secret_sync.controller.sync import UNCHANGED
from secret_sync.metrics import Metrics, QueueMetrics, SyncMetrics, WorkerMetrics
from secret_sync.queue import Backoff, WorkQueue, run_workers
from tests.support.scraping import openmetrics, samples
from tests.unit.controller.extracting import an_es
from tests.unit.controller.looping import KEY, Loop
from tests.unit.controller.writing import WriterHarness, own

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from secret_sync.resources import ExternalSecret

    Line = MutableMapping[str, Any]

pytestmark = pytest.mark.looptime


def an_object() -> ExternalSecret:
    return an_es(data=[{"key": "db", "name": "password"}])


def exemplars(metrics: Metrics) -> dict[str, str]:
    """The ids that a scrape shows, by the sample they are at."""
    return {
        sample.name + "".join(sample.labels.get(label, "") for label in ("result", "le")): (
            sample.exemplar.labels["reconcile_id"]
        )
        for sample in samples(metrics.registry)
        if sample.exemplar is not None
    }


async def work(loop: Loop, metrics: Metrics, *, times: int = 1) -> Sequence[Line]:
    """Lets a worker look at the object so many times; returns what it logs."""
    queue: WorkQueue[str] = WorkQueue(
        "externalsecret", backoff=Backoff(), observer=QueueMetrics(metrics, "externalsecret")
    )
    observer = WorkerMetrics(metrics, "externalsecret")
    with capture_logs(processors=[merge_contextvars]) as lines:
        workers = asyncio.create_task(
            run_workers(queue, 1, loop.loop.reconcile, timeout=60, observer=observer)
        )
        for _ in range(times):
            queue.add(KEY)
            await asyncio.sleep(1)
        queue.shut_down()
        await workers
    return lines


async def test_a_slow_write_is_found_in_the_log() -> None:
    es, metrics = an_object(), Metrics("1")
    loop = Loop(es, writer=WriterHarness(es, own()).writer, observer=SyncMetrics(metrics))
    loop.knows(db=b"hunter2")
    loop.state.triggered_at = asyncio.get_running_loop().time()
    await asyncio.sleep(2)
    (line,) = await work(loop, metrics)
    assert (line["event"], line["key"]) == ("secret created", KEY)
    assert exemplars(metrics) == {
        "secret_sync_sync_latency_seconds_bucket2.5": line["reconcile_id"]
    }


async def test_a_failure_is_found_in_the_log_even_after_more_of_the_same() -> None:
    metrics = Metrics("1")
    loop = Loop(an_es(), observer=SyncMetrics(metrics))
    (line,) = await work(loop, metrics, times=3)
    assert (line["event"], line["reason"]) == ("not synced", "NoData")
    # The others have no line that an id of theirs would lead to.
    assert exemplars(metrics) == {"secret_sync_syncs_totalfailed": line["reconcile_id"]}
    assert 'secret_sync_syncs_total{result="failed"} 3.0 ' in openmetrics(metrics.registry)


async def test_sync_without_a_log_line_has_no_exemplar() -> None:
    metrics = Metrics("1")
    loop = Loop(an_object(), observer=SyncMetrics(metrics))
    loop.writer.answer = UNCHANGED
    loop.knows(db=b"hunter2")
    assert not await work(loop, metrics)
    assert exemplars(metrics) == {}
