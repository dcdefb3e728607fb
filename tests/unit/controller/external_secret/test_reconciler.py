"""The control loop of ExternalSecrets: all or nothing, without waiting, and always with a word."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.confirmation import OwnerGoneError
from secret_sync.controller.sync import UNCHANGED, Problem, Refused
from secret_sync.errors import DefiniteError, NotFoundError, TransientError
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason
from tests.unit.controller.extracting import an_es, extract, reading
from tests.unit.controller.looping import KEY, Loop

if TYPE_CHECKING:
    from secret_sync.errors import SecretSyncError
    from secret_sync.kube import ApiError
    from secret_sync.resources import ExternalSecret

pytestmark = pytest.mark.looptime

TWO = [{"key": "a"}, {"key": "b"}]
GONE = NotFoundError("no such secret", code="Forbidden.ResourceNotFound")
FORBIDDEN = DefiniteError("RAM says no", code="Forbidden.NoPermission")
AWAY = TransientError("no answer")


def two(**spec: Any) -> ExternalSecret:
    """Of two entries that are written as they are."""
    return an_es(data=TWO, **spec)


# -- Good days ----------------------------------------------------------------------------


async def test_known_values_are_written_at_once() -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    assert await loop.reconcile() == Done()
    assert loop.writer.written == [{"a": b"1", "b": b"2"}]
    assert loop.reported == ("True", "Synced")
    assert loop.results == [("a", "Succeeded", ""), ("b", "Succeeded", "")]
    assert loop.events.reasons == ["Synced"]
    assert [result for result, _ in loop.observer.reported] == ["written"]


async def test_missing_values_make_the_reconcile_pending() -> None:
    loop = Loop(two())
    loop.knows(a=b"1")
    assert await loop.reconcile() == RequeueAfter(10.0, Priority.LOW)
    assert loop.reported == ("", "")
    await asyncio.sleep(11)
    assert await loop.reconcile() == Done()
    assert loop.reported == ("Unknown", "Pending")
    assert not loop.writer.written
    loop.knows(b=b"2")
    assert await loop.reconcile() == Done()
    assert loop.reported == ("True", "Synced")


@pytest.mark.parametrize(
    ("in_step", "drifted", "urgent"),
    [(False, False, True), (True, False, False), (True, True, True)],
)
async def test_restart_enqueues_a_synced_object_with_low_priority(
    *, in_step: bool, drifted: bool, urgent: bool
) -> None:
    loop = Loop(two())
    if in_step:
        loop.knows(a=b"1", b=b"2")
        await loop.reconcile()
        loop.objects.put(KEY, replace(two(), status=loop.statuses.held[KEY]))
    loop.writer.drifted = drifted
    await loop.reconcile()
    assert loop.sources.urgent is urgent


@pytest.mark.parametrize("data", [{"data": TWO}, {"dataProcess": [extract("a"), extract("b")]}])
async def test_values_are_fetched_again_only_if_they_are_needed(data: dict[str, Any]) -> None:
    loop = Loop(an_es(**data))
    values = b'{"x": 1}', b'{"y": 2}'
    loop.knows(a=values[0], b=values[1])
    await loop.reconcile()
    loop.knows(b=reading(values[1], in_hand=False))
    loop.writer.right = True
    loop.writer.answer = UNCHANGED
    assert await loop.reconcile() == Done()
    assert not any(line.startswith("fetch") for line in loop.sources.log)
    loop.writer.right = False
    await loop.reconcile()
    assert loop.sources.log[-1] == "fetch b"
    assert len(loop.writer.written) == 2
    assert loop.reported == ("True", "Synced")


# -- Mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("es", "reason"),
    [
        (an_es(), Reason.NO_DATA),
        (two(provider="vault"), Reason.UNKNOWN_PROVIDER),
        (an_es(data=[*TWO, {"key": "c", "secretStoreRef": {"name": "no"}}]), "StoreNotFound"),
        (an_es(data=TWO, dataProcess=[extract("c", ("(", ""))]), Reason.INVALID_REGEX),
    ],
)
async def test_invalid_object_costs_no_call_and_is_reported(
    es: ExternalSecret, reason: str
) -> None:
    loop = Loop(es)
    loop.knows(a=b"1", b=b"2", c=b"3")
    assert await loop.settle() == Done()
    assert loop.sources.log == ["suspend"]
    assert not loop.writer.written
    assert loop.reported == ("False", reason)
    # What may arrive with the same apply is warned of only after a while.
    assert loop.events.reasons == ([] if reason == "StoreNotFound" else ["SyncFailed"])


async def test_nothing_is_fetched_before_the_expressions_are_compiled() -> None:
    loop = Loop(an_es(data=TWO, dataProcess=[extract("c", ("[a-z]+", "x"))]))
    loop.knows(a=b"1", b=b"2", c=b'{"y": 3}')
    assert isinstance(await loop.reconcile(), RequeueAfter)
    assert not loop.sources.log
    assert await loop.settle() == Done()
    assert loop.reported == ("True", "Synced")


async def test_several_mistakes_are_reported_by_the_first_and_a_count() -> None:
    refs = [{"key": key, "secretStoreRef": {"name": "no"}} for key in "abc"]
    loop = Loop(an_es(data=refs))
    await loop.reconcile()
    assert loop.ready is not None
    assert loop.ready.message.startswith("entry 'a' ")
    assert loop.ready.message.endswith("; other entries fail, too: see status.dataSyncResults")
    assert [result[1] for result in loop.results] == ["Failed"] * 3


async def test_empty_document_is_reported_for_its_entry() -> None:
    loop = Loop(an_es(data=[{"key": "a"}], dataProcess=[extract("b")]))
    loop.knows(a=b"1", b=b"[]")
    assert await loop.reconcile() == Done()
    assert not loop.writer.written
    assert loop.reported == ("False", "NotADocument")
    assert loop.results == [("a", "Succeeded", "NotWritten"), ("b", "Failed", "NotADocument")]


async def test_zero_keys_of_entries_that_all_succeeded_are_not_written() -> None:
    loop = Loop(an_es(dataProcess=[extract("a")]))
    loop.knows(a=b"{}")
    assert await loop.reconcile() == Done()
    assert not loop.writer.written
    assert loop.reported == ("False", "NoData")


# -- Failures -----------------------------------------------------------------------------


async def test_failed_entry_leaves_the_whole_secret_as_it_is() -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    await loop.reconcile()
    # A user name is renewed, and its password cannot be read any more.
    loop.knows(a=b"new", b=reading(b"2", error=FORBIDDEN))
    assert await loop.reconcile() == Done()
    assert loop.writer.written == [{"a": b"1", "b": b"2"}]
    assert loop.reported == ("False", "Forbidden")
    assert loop.results == [("a", "Succeeded", "NotWritten"), ("b", "Failed", "Forbidden")]


@pytest.mark.parametrize("data", [{"data": TWO}, {"dataProcess": [extract("a"), extract("b")]}])
async def test_drift_is_repaired_from_the_last_good_values(data: dict[str, Any]) -> None:
    loop = Loop(an_es(**data))
    loop.knows(a=b'{"x": 1}', b=b'{"y": 2}')
    await loop.reconcile()
    loop.knows(b=reading(b'{"y": 2}', error=FORBIDDEN))
    await loop.reconcile()
    first, again = loop.writer.written
    assert again == first
    assert loop.reported == ("False", "Forbidden")


async def test_drift_is_repaired_while_a_fetch_is_pending() -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    await loop.reconcile()
    loop.knows(b=replace(reading(b"2"), pending=True))
    await loop.reconcile()
    assert loop.writer.written == [{"a": b"1", "b": b"2"}] * 2
    assert loop.reported == ("True", "Synced")


@pytest.mark.parametrize(
    ("cleanup", "errors", "cleaned"),
    [
        (True, (GONE, GONE), True),
        (False, (GONE, GONE), False),
        (True, (GONE, None), False),
        (True, (GONE, FORBIDDEN), False),
        (True, (GONE, AWAY), False),
    ],
)
async def test_a_secret_goes_only_if_asked_for_and_only_with_all_its_values(
    errors: tuple[SecretSyncError | None, ...], *, cleanup: bool, cleaned: bool
) -> None:
    loop = Loop(two(), cleanup=cleanup)
    loop.knows(a=reading(b"1", error=errors[0]), b=reading(b"2", error=errors[1]))
    assert await loop.reconcile() == Done()
    assert loop.secret_cleanup.log == (["clean up"] if cleaned else [])
    assert loop.reported == ("False", "SecretNotFound")
    assert loop.events.reasons == (["SecretDeleted"] if cleaned else []) + ["SyncFailed"]


async def test_secret_is_not_deleted_before_the_last_answer() -> None:
    loop = Loop(two(), cleanup=True)
    gone = reading(b"1", error=GONE)
    loop.knows(a=gone, b=replace(gone, pending=True))
    await loop.reconcile()
    assert loop.secret_cleanup.log == []


async def test_unmanaged_secret_is_not_reported_as_deleted() -> None:
    loop = Loop(two(), cleanup=True)
    loop.secret_cleanup.own = False
    loop.knows(a=reading(b"1", error=GONE), b=reading(b"2", error=GONE))
    await loop.reconcile()
    assert loop.events.reasons == ["SyncFailed"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (ApiUnavailableError("away", status=503), Retry()),
        (ApiRefusedError("no such right", status=403), RequeueAfter(60.0)),
    ],
)
async def test_a_secret_that_cannot_be_deleted_is_not_said_to_be(
    fault: ApiError, outcome: Any
) -> None:
    loop = Loop(two(), cleanup=True)
    loop.secret_cleanup.fault = fault
    loop.knows(a=reading(b"1", error=GONE), b=reading(b"2", error=GONE))
    assert await loop.reconcile() == outcome
    assert "SecretDeleted" not in loop.events.reasons


async def test_condition_reports_the_failed_fetch_before_the_write_conflict() -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    await loop.reconcile()
    loop.knows(b=reading(b"2", error=FORBIDDEN))
    loop.writer.answer = Refused(Problem(Reason.WRITE_CONFLICT, "somebody keeps undoing it"))
    # A fetch that fails again enqueues nothing, so the object has to requeue itself.
    assert await loop.reconcile() == RequeueAfter(60.0)
    assert loop.reported == ("False", "Forbidden")


async def test_correct_secret_is_not_repaired_from_documents() -> None:
    loop = Loop(an_es(dataProcess=[extract("a")]))
    loop.knows(a=b'{"x": 1}')
    await loop.reconcile()
    loop.knows(a=reading(b'{"x": 1}', error=FORBIDDEN))
    loop.writer.right = True
    await loop.reconcile()
    assert len(loop.writer.written) == 1
    # Nor from values that are not cached.
    loop.writer.right = False
    loop.knows(a=reading(b'{"x": 1}', in_hand=False, error=FORBIDDEN))
    await loop.reconcile()
    assert len(loop.writer.written) == 1


async def test_a_write_that_is_refused_is_tried_again_slowly() -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    loop.writer.answer = Refused(Problem(Reason.SECRET_CONFLICT, "somebody else's"))
    assert await loop.reconcile() == RequeueAfter(60.0)
    assert loop.reported == ("False", "SecretConflict")
    assert loop.events.reasons == ["Conflict"]
    # What was called otherwise before stays until the new one is there.
    assert loop.secret_cleanup.log == []


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (ApiUnavailableError("away", status=503), Retry()),
        (ApiUnavailableError("busy", status=429, retry_after=20.0), Retry(after=20.0)),
        # Its change may have been undone before the watch could bring it.
        (OwnerGoneError("deleted meanwhile"), RequeueAfter(60.0)),
    ],
)
async def test_transient_failure_is_no_condition(fault: SecretSyncError, outcome: Any) -> None:
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    loop.writer.answer = fault
    assert await loop.reconcile() == outcome
    assert loop.reported == ("", "")


async def test_transient_failure_leaves_the_line_of_those_that_merge() -> None:
    """Until its retry, which may be a minute away, nobody waits for it."""
    loop = Loop(two())
    loop.knows(a=b"1", b=b"2")
    loop.writer.answer = ApiUnavailableError("busy", status=429, retry_after=20.0)
    loop.turns.take("ns/first", "ns/target")
    loop.turns.take(KEY, "ns/target")
    loop.turns.take("ns/last", "ns/target")
    await loop.reconcile()
    loop.turns.end("ns/first")
    assert loop.enqueued == ["ns/last"]
