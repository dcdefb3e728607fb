"""Statuses are written beside the work that they report, and only when they have changed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.publishing import REFUSED_AGAIN_AFTER, STATUS_AGING, StatusWriter
from secret_sync.controller.view import CATCH_UP
from secret_sync.kube import (
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    Change,
    OutdatedError,
    Resource,
    Store,
)
from secret_sync.metrics import Metrics, QueueMetrics, WorkerMetrics
from secret_sync.queue import NotBefore, WorkQueue, run_workers
from secret_sync.resources import Condition, ExternalSecretStatus
from secret_sync.resources.meta import namespace_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from secret_sync.kube import (
        ApiError,
    )
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

KIND = Resource("example.com", "v1", "things", "Thing")


def saying(message: str, status: str = "True") -> ExternalSecretStatus:
    return ExternalSecretStatus(ready=Condition("Ready", status, "Some", message, "then", 1))


@dataclass
class PlayedStatusApi:
    """Takes a tenth of a second for each status; answers with a new resource version."""

    faults: list[ApiError] = field(default_factory=list)
    written: list[tuple[str, str]] = field(default_factory=list)

    async def status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        await asyncio.sleep(0.1)
        if self.faults:
            raise self.faults.pop(0)
        self.written.append((name, status["conditions"][0]["message"]))
        return {"metadata": {"resourceVersion": str(100 + len(self.written))}}


@dataclass
class StatusHarness:
    api: PlayedStatusApi
    statuses: StatusWriter[ExternalSecretStatus]
    states: SyncStateStore
    schemas: Schemas
    objects: Store[ExternalSecret]


@asynccontextmanager
async def harness(workers: int = 1) -> AsyncIterator[StatusHarness]:
    metrics = Metrics("test")
    queue: WorkQueue[str] = WorkQueue(
        "status",
        aging=STATUS_AGING,
        observer=QueueMetrics(metrics, "status"),
        tenants=lambda key: (namespace_of(key),),
    )
    api = PlayedStatusApi()
    schemas = Schemas()
    objects: Store[ExternalSecret] = Store()
    states = SyncStateStore()
    played: Any = api
    statuses: StatusWriter[ExternalSecretStatus] = StatusWriter(
        played, KIND, queue, schemas, objects, states
    )
    observer = WorkerMetrics(metrics, "status")
    task = asyncio.create_task(
        run_workers(queue, workers, NotBefore(statuses.write), timeout=60, observer=observer)
    )
    yield StatusHarness(api, statuses, states, schemas, objects)
    queue.shut_down()
    await task


async def test_a_status_is_written_once_and_not_again(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        assert d.statuses.put("ns/some", es, saying("one"))
        assert not d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        # The informer has not brought it back yet.
        assert d.statuses.known("ns/some", es) == saying("one")
        assert not d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        assert d.api.written == [("some", "one")]


async def test_fields_that_the_installed_crd_drops_cause_no_write(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        reported = replace(saying("one"), forced="now")
        d.schemas.put("things.example.com", ("status.observedForceSync",))
        assert d.statuses.put("ns/some", es, reported)
        await asyncio.sleep(CATCH_UP + 1)
        stored = replace(es, status=saying("one"), resource_version="200")
        assert not d.statuses.put("ns/some", stored, reported)
        assert d.statuses.put("ns/some", stored, replace(reported, target="other"))
        d.schemas.put("things.example.com", ())
        assert d.statuses.put("ns/some", replace(stored, uid="another"), reported)


async def test_status_lost_by_a_restored_api_server_is_written_again(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        d.states.mark_restored("ns/some")
        assert d.statuses.known("ns/some", es) == es.status
        assert d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        assert d.api.written == [("some", "one")] * 2


async def test_of_several_statuses_only_the_last_is_written(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        for message in ("one", "two", "three"):
            d.statuses.put("ns/some", es, saying(message))
        await asyncio.sleep(1)
        assert d.api.written == [("some", "three")]


async def test_status_put_during_a_refused_write_waits_too(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        away = ApiUnavailableError("busy", status=429, retry_after=30.0)
        d.api.faults.append(away)
        d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(0.05)
        d.statuses.put("ns/some", es, saying("two"))
        await asyncio.sleep(29)
        assert d.api.written == []
        await asyncio.sleep(10)
        assert d.api.written == [("some", "two")]


async def test_status_is_written_no_earlier_than_the_api_server_asks(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        d.api.faults.append(ApiUnavailableError("busy", status=429, retry_after=20.0))
        d.statuses.put("ns/some", es, saying("one"))
        for _ in range(19):
            await asyncio.sleep(1)
            # Neither a reconcile nor a new status is a reason to come earlier.
            d.statuses.put("ns/some", es, saying("one"))
            d.statuses.put("ns/some", es, saying("two"))
        assert d.api.written == []
        assert d.api.faults == []
        await asyncio.sleep(7)
        assert d.api.written == [("some", "two")]


async def test_status_put_during_a_write_is_written_after_it(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(0.05)
        d.statuses.put("ns/some", es, saying("two"))
        assert d.statuses.known("ns/some", es) == saying("two")
        await asyncio.sleep(1)
        assert d.api.written == [("some", "one"), ("some", "two")]


@pytest.mark.parametrize("status", ["False", "Unknown", "True"])
async def test_thousands_of_events_of_one_namespace_do_not_delay_another(
    make_es: MakeES, status: str
) -> None:
    async with harness(workers=4) as d:
        for number in range(2000):
            es = make_es(metadata={"namespace": "greedy", "name": str(number)})
            d.statuses.put(f"greedy/{number}", es, saying("one of many", status))
        await asyncio.sleep(2)
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(0.9)
        assert ("some", "one") in d.api.written


async def test_failures_go_first(make_es: MakeES) -> None:
    async with harness() as d:
        for name in "abcd":
            es = make_es(metadata={"name": name})
            d.statuses.put(f"ns/{name}", es, saying("fine"))
        d.statuses.put("ns/bad", make_es(metadata={"name": "bad"}), saying("not fine", "False"))
        await asyncio.sleep(1)
        assert d.api.written.index(("bad", "not fine")) == 0
        assert len(d.api.written) == 5


async def test_an_api_server_that_is_away_gets_it_later(make_es: MakeES) -> None:
    async with harness() as d:
        d.api.faults = [ApiUnavailableError("away"), ApiUnavailableError("still away")]
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(10)
        assert d.api.written == [("some", "one")]


async def test_a_refused_one_is_tried_again_slowly(make_es: MakeES) -> None:
    async with harness() as d:
        d.api.faults = [ApiRefusedError("no", status=403, reason="Forbidden")]
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(REFUSED_AGAIN_AFTER - 1)
        assert not d.api.written
        await asyncio.sleep(2)
        assert d.api.written == [("some", "one")]


async def test_of_a_deleted_object_nothing_is_said(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        d.api.faults = [ApiNotFoundError("gone", status=404)]
        d.statuses.put("ns/some", es, saying("one"))
        d.statuses.put("ns/other", make_es(metadata={"name": "other"}), saying("two"))
        d.states.forget("ns/other")
        await asyncio.sleep(10)
        assert not d.api.written
        assert d.statuses.known("ns/some", es) == es.status


async def test_a_new_object_of_the_name_knows_nothing_of_the_old_one(make_es: MakeES) -> None:
    async with harness() as d:
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(1)
        successor = make_es(metadata={"uid": "another"})
        assert d.statuses.known("ns/some", successor) == successor.status


async def test_status_confirmed_by_the_informer_is_forgotten(make_es: MakeES) -> None:
    es = make_es()
    async with harness() as d:
        d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        back = replace(es, resource_version="101", status=saying("one"))
        d.statuses.seen(Change("ns/some", es, back))
        assert d.states.of("ns/some").status_written is None
        # Somebody else wrote over it: that is what a user reads now.
        assert d.statuses.known("ns/some", replace(back, status=saying("x"))) == saying("x")


async def test_status_in_a_reconciled_copy_is_not_taken_for_the_stored_one(
    make_es: MakeES,
) -> None:
    begun = replace(make_es(), status=saying("synced"))
    async with harness() as d:
        # Put by the reconcile before, it is written and brought back while the Secret is.
        d.statuses.put("ns/some", begun, saying("is being deleted"))
        await asyncio.sleep(1)
        back = replace(begun, resource_version="101", status=saying("is being deleted"))
        d.objects.put("ns/some", back)
        d.statuses.seen(Change("ns/some", begun, back))
        assert d.statuses.put("ns/some", begun, saying("synced"))
        await asyncio.sleep(1)
        assert d.api.written[-1] == ("some", "synced")


async def test_status_refused_by_a_conflict_is_retried(make_es: MakeES) -> None:
    async with harness() as d:
        d.api.faults = [OutdatedError("contention", status=409)]
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(5)
        assert d.api.written == [("some", "one")]


async def test_status_of_a_replaced_object_is_dropped(make_es: MakeES) -> None:
    async with harness() as d:
        d.api.faults = [OutdatedError("another uid", status=422)]
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(5)
        assert not d.api.written
        d.api.faults = [OutdatedError("another uid, said otherwise", status=409)]
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(0.2)
        successor = make_es(metadata={"uid": "another"})
        d.statuses.seen(Change("ns/some", None, successor))
        await asyncio.sleep(60)
        assert not d.api.written


async def test_after_a_long_outage_the_next_work_on_the_object_has_it_written(
    make_es: MakeES,
) -> None:
    es = make_es()
    async with harness() as d:
        d.api.faults = [ApiUnavailableError("away")] * 8
        d.statuses.put("ns/some", es, saying("one"))
        for _ in range(600):
            await asyncio.sleep(1)
            if not d.api.faults:
                break
        assert not d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(0.2)
        assert d.api.written == [("some", "one")]


async def test_an_object_that_goes_during_the_write_leaves_nothing_behind(make_es: MakeES) -> None:
    async with harness() as d:
        d.statuses.put("ns/some", make_es(), saying("one"))
        await asyncio.sleep(0.05)
        d.states.forget("ns/some")
        await asyncio.sleep(1)
        assert d.api.written == [("some", "one")]
        assert d.states.find("ns/some") is None


async def test_an_informer_that_never_gets_there_is_believed_in_the_end(
    make_es: MakeES,
) -> None:
    # A server that was restored from a backup gives out lower versions for good.
    es = make_es()
    async with harness() as d:
        d.statuses.put("ns/some", es, saying("one"))
        await asyncio.sleep(1)
        assert d.statuses.known("ns/some", es) == saying("one")
        await asyncio.sleep(CATCH_UP)
        assert d.statuses.known("ns/some", es) == es.status
