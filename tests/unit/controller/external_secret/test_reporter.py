"""``SyncReporter``: how a reconcile went, as status, as Event and as metric."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from secret_sync.controller.external_secret import reporter as module
from secret_sync.controller.external_secret.desired import Desired, Overwritten
from secret_sync.controller.external_secret.extraction import EntryOutcome
from secret_sync.controller.external_secret.reporter import (
    REPORT_LATE_AFTER,
    REPORT_PENDING_AFTER,
    SyncReporter,
)
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.publishing import EventPublisher
from secret_sync.controller.sync import (
    UNCHANGED,
    Changed,
    Pending,
    Problem,
    Refused,
    SyncContext,
    Unchanged,
)
from secret_sync.resources import Condition, DataEntry, Reason
from tests.unit.controller.fakes import Events, Observer, Statuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, ExternalSecretStatus

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

KEY = "ns/some"
BEFORE = "2026-01-01T00:00:00Z"
FORBIDDEN = Problem(Reason.FORBIDDEN, "RAM says no")


class ReporterHarness:
    def __init__(self, es: ExternalSecret) -> None:
        self.statuses, self.events, self.observer = Statuses(), Events(), Observer()
        statuses: Any = self.statuses
        self.reporter = SyncReporter(statuses, EventPublisher(self.events), self.observer)
        self.context = SyncContext(KEY, es, SyncState(uid=es.uid))

    def written(
        self, made: Desired, outcomes: list[EntryOutcome], *, changed: bool, controller: str = ""
    ) -> None:
        """Report that the Secret is as desired."""
        self.context.desired, self.context.outcomes = made, outcomes
        written = Changed("secret updated", len(made.keys), 0, controller)
        self.reporter.report(self.context, written if changed else Unchanged(controller))

    def created_once(self) -> None:
        self.context.desired = None
        self.reporter.report(self.context, UNCHANGED)

    def failed(self, problem: Problem, outcomes: list[EntryOutcome]) -> None:
        self.context.outcomes = outcomes
        self.reporter.report(self.context, Refused(problem))

    def waited(self, entries: int, seconds: float, *, known: bool = False) -> float | None:
        """Report that it has waited for so many seconds."""
        self.context.state.waiting_since = asyncio.get_running_loop().time() - seconds
        return self.reporter.report(self.context, Pending(entries, known))

    @property
    def status(self) -> ExternalSecretStatus:
        return self.statuses.held[KEY]

    @property
    def ready(self) -> Condition:
        assert self.status.ready is not None
        return self.status.ready


@pytest.fixture
def harness(make_es: MakeES) -> ReporterHarness:
    return ReporterHarness(make_es(metadata={"generation": 3}))


def desired(*keys: str, overwritten: tuple[Overwritten, ...] = ()) -> Desired:
    names = frozenset(keys or ("password",))
    return Desired(b"wanted", names, dict.fromkeys(names, b"hunter2"), (), overwritten)


def outcome(key: str = "db", problem: Problem | None = None) -> EntryOutcome:
    return EntryOutcome(DataEntry(key, key, "", "", None), "v1", problem)


# -- In sync ------------------------------------------------------------------------------


async def test_a_secret_that_was_written(harness: ReporterHarness) -> None:
    harness.context.state.waiting_since = 1.0
    harness.written(desired(), [outcome()], changed=True)
    assert (harness.ready.status, harness.ready.reason) == ("True", "Synced")
    assert harness.ready.message == "Secret some holds 1 key"
    assert (harness.ready.observed_generation, harness.status.observed_generation) == (3, 3)
    assert harness.status.target == "some"
    assert harness.status.last_sync_time
    (result,) = harness.status.results
    assert (result.key, result.status, result.reason, result.version_id) == (
        "db",
        "Succeeded",
        "",
        "v1",
    )
    assert harness.events.reasons == ["Synced"]
    assert harness.context.state.waiting_since is None


@pytest.mark.parametrize(
    ("target", "made", "message"),
    [
        ({}, desired("a", "b"), "Secret some holds 2 keys"),
        ({"name": "other"}, desired("a"), "Secret other holds 1 key"),
        (
            {"creationPolicy": "Merge"},
            desired("a", "b"),
            "Secret some holds 2 keys of this object",
        ),
        (
            {},
            desired("a", "b", overwritten=(Overwritten("b", "x", "y"), Overwritten("a", "x", "y"))),
            "Secret some holds 2 keys; written by more than one entry, the last one counts: a, b",
        ),
        (
            {},
            desired("a", overwritten=(Overwritten("a", "x", "y"), Overwritten("a", "y", "z"))),
            "Secret some holds 1 key; written by more than one entry, the last one counts: a",
        ),
    ],
)
async def test_success_message_counts_the_keys(
    make_es: MakeES, target: dict[str, str], made: Desired, message: str
) -> None:
    harness = ReporterHarness(make_es(target=target))
    harness.written(made, [outcome()], changed=True)
    assert harness.ready.message == message


async def test_co_owners_are_reported_until_they_let_go(make_es: MakeES) -> None:
    harness = ReporterHarness(make_es(target={"creationPolicy": "Merge"}))
    harness.context.state.shared = (("a", ("gitops",)), ("b", ("gitops", "kubectl-edit")))
    harness.written(desired("a", "b"), [outcome()], changed=False)
    assert harness.ready.message == (
        "Secret some holds 2 keys of this object; gitops, kubectl-edit set a, b as well, to the "
        "same value: a new value will not be written (KeyConflict) until the key is deleted there"
    )
    assert harness.ready.status == "True"
    harness.context.state.shared = ()
    harness.written(desired("a", "b"), [outcome()], changed=False)
    assert harness.ready.message == "Secret some holds 2 keys of this object"


async def test_unchanged_round_writes_no_status(harness: ReporterHarness) -> None:
    harness.written(desired(), [outcome()], changed=True)
    before = harness.status
    for _ in range(3):
        harness.written(desired(), [outcome()], changed=False)
    assert harness.status == before
    assert harness.statuses.changes == 1
    assert harness.events.reasons == ["Synced"]


CREATED = "Secret some was created; it is not fetched again (refreshPolicy CreatedOnce)"


async def test_report_stands_for_a_secret_that_was_only_read(harness: ReporterHarness) -> None:
    harness.written(desired(), [outcome()], changed=True)
    before = harness.status
    harness.created_once()
    assert harness.status == before
    assert harness.events.reasons == ["Synced"]


@pytest.mark.parametrize(("status", "generation"), [("", 0), ("True", 2), ("False", 3)])
async def test_missing_or_outdated_condition_is_replaced(
    make_es: MakeES, status: str, generation: int
) -> None:
    ready = Condition("Ready", status, "Some", "message", BEFORE, generation)
    result = {"ExternalSecretKey": "db", "status": "Succeeded", "synchronizationTime": BEFORE}
    reported = {"conditions": [ready.to_dict()] if status else [], "dataSyncResults": [result]}
    harness = ReporterHarness(make_es(metadata={"generation": 3}, status=reported))
    harness.created_once()
    assert (harness.ready.status, harness.ready.message) == ("True", CREATED)
    assert [r.time for r in harness.status.results] == [BEFORE]
    assert harness.events.take() == [("Normal", "Synced", CREATED)]


# -- Not in sync --------------------------------------------------------------------------


async def test_a_failure(harness: ReporterHarness) -> None:
    harness.written(desired(), [outcome("a"), outcome("b")], changed=True)
    before = harness.status
    harness.events.take()
    harness.context.state.waiting_since = 1.0
    harness.failed(FORBIDDEN, [outcome("a"), outcome("b", FORBIDDEN)])
    assert (harness.ready.status, harness.ready.reason) == ("False", "Forbidden")
    assert harness.ready.message == "RAM says no"
    # All or nothing: the good one is not in the Secret either.
    assert [(r.key, r.status, r.reason) for r in harness.status.results] == [
        ("a", "Succeeded", "NotWritten"),
        ("b", "Failed", "Forbidden"),
    ]
    # Of what was written before nothing is taken back.
    assert (harness.status.target, harness.status.last_sync_time) == ("some", before.last_sync_time)
    assert harness.events.take() == [("Warning", "SyncFailed", "Forbidden: RAM says no")]
    assert harness.observer.reported[-1] == ("failed", None)
    assert harness.context.state.waiting_since is None


async def test_same_failure_is_not_reported_again(harness: ReporterHarness) -> None:
    for number in range(3):
        problem = Problem(Reason.FORBIDDEN, f"RAM says no (Forbidden, request 0A{number})")
        harness.failed(problem, [outcome(problem=problem)])
    assert harness.statuses.changes == 1
    assert harness.events.reasons == ["SyncFailed"]


async def test_ready_is_unknown_under_an_outdated_crd(harness: ReporterHarness) -> None:
    problem = Problem(Reason.CRD_OUTDATED, "the CRD lacks fields")
    harness.failed(problem, [])
    assert (harness.ready.status, harness.ready.reason) == ("Unknown", "CRDOutdated")


# -- Waiting ------------------------------------------------------------------------------


async def test_an_object_that_waits_says_so_after_a_while(harness: ReporterHarness) -> None:
    assert harness.waited(1, 0.0) == REPORT_PENDING_AFTER
    assert KEY not in harness.statuses.held
    assert harness.waited(1, REPORT_PENDING_AFTER) is None
    assert (harness.ready.status, harness.ready.reason) == ("Unknown", "Pending")
    assert harness.ready.message == "1 of 1 entries are waiting for Alibaba Cloud"
    assert harness.observer.reported == [("pending", None)] * 2
    assert not harness.events.reported


async def test_pending_message_names_what_is_missing(harness: ReporterHarness) -> None:
    harness.waited(0, 11.0)
    assert harness.ready.message == "waiting for the values to be fetched again, parsed or rendered"


@pytest.mark.parametrize(
    ("status", "generation", "reported"),
    [
        ("True", 3, False),
        ("True", 2, True),
        ("False", 3, True),
        ("Unknown", 3, True),
    ],
)
async def test_synced_object_waits_without_a_report(
    make_es: MakeES, status: str, generation: int, *, reported: bool
) -> None:
    ready = Condition("Ready", status, "Some", "message", BEFORE, generation)
    given = {"conditions": [ready.to_dict()], "observedGeneration": generation}
    harness = ReporterHarness(make_es(metadata={"generation": 3}, status=given))
    # There is nothing to come back for either.
    assert harness.waited(1, 4.0) == (6.0 if reported else None)
    assert harness.waited(1, 11.0) is None
    assert (KEY in harness.statuses.held) is reported


async def test_values_that_change_too_fast_are_reported(
    make_es: MakeES,
) -> None:
    ready = Condition("Ready", "True", "Synced", "message", BEFORE, 3)
    given = {"conditions": [ready.to_dict()], "observedGeneration": 3}
    harness = ReporterHarness(make_es(metadata={"generation": 3}, status=given))
    waits = partial(harness.waited, 1, known=True)
    assert waits(0.0) == REPORT_LATE_AFTER
    assert KEY not in harness.statuses.held
    assert waits(REPORT_LATE_AFTER) is None
    assert (harness.ready.status, harness.ready.reason) == ("Unknown", "Pending")
    assert "the Secret holds the previous values" in harness.ready.message


# -- Metrics ------------------------------------------------------------------------------


async def test_the_latency_is_that_of_the_write_since_its_cause(harness: ReporterHarness) -> None:
    harness.context.state.triggered_at = asyncio.get_running_loop().time()
    await asyncio.sleep(2.5)
    harness.written(desired(), [outcome()], changed=True)
    # The next one has another cause, or none.
    harness.written(desired(), [outcome()], changed=True)
    assert harness.observer.reported == [("written", pytest.approx(2.5)), ("written", None)]


@pytest.mark.parametrize("result", ["unchanged", "failed"])
async def test_sync_without_a_write_observes_no_latency(
    harness: ReporterHarness, result: str
) -> None:
    harness.context.state.triggered_at = 0.0
    if result == "failed":
        harness.failed(FORBIDDEN, [])
    else:
        harness.written(desired(), [outcome()], changed=False)
    assert harness.observer.reported == [(result, None)]
    assert harness.context.state.triggered_at is None


async def test_only_new_failures_are_logged(
    harness: ReporterHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "reconcile_id", lambda: "c0ffee")
    for _ in range(2):
        harness.failed(FORBIDDEN, [])
    harness.written(desired(), [outcome()], changed=True)
    harness.written(desired(), [outcome()], changed=False)
    assert harness.observer.lines == ["c0ffee", "", "c0ffee", ""]


async def test_a_restored_secret_is_counted_and_logged_and_nothing_else(
    harness: ReporterHarness,
) -> None:
    harness.context.state.triggered_at = asyncio.get_running_loop().time() - 2.5
    with capture_logs() as lines:
        harness.reporter.restored(harness.context, Changed("secret updated", 1, 0))
    (line,) = lines
    assert (line["event"], line["secret"], line["removed"]) == ("secret updated", "some", 0)
    ((result, latency),) = harness.observer.reported
    assert result == "written"
    assert latency == pytest.approx(2.5)
    assert not harness.events.reported
    assert not harness.statuses.held


@pytest.mark.parametrize("restoring", [False, True])
async def test_a_write_in_a_conflict_is_in_the_log(
    harness: ReporterHarness, *, restoring: bool
) -> None:
    refused = Refused(Problem(Reason.WRITE_CONFLICT, "stop it"), Changed("secret updated", 1, 0))
    report = harness.reporter.restored if restoring else harness.reporter.report
    with capture_logs() as lines:
        report(harness.context, refused)
    expected = ["secret updated", "not restored" if restoring else "not synced"]
    assert [line["event"] for line in lines] == expected


async def test_a_write_is_in_condition_event_metric_and_log(harness: ReporterHarness) -> None:
    with capture_logs() as lines:
        harness.written(desired("a", "b"), [outcome()], changed=True)
    (line,) = lines
    assert (line["event"], line["secret"], line["keys"]) == ("secret updated", "some", 2)
    assert harness.ready.status == "True"
    assert harness.events.reasons == ["Synced"]
    assert harness.observer.reported == [("written", None)]


async def test_waiting_answers_no_cause(harness: ReporterHarness) -> None:
    harness.context.state.triggered_at = 0.0
    harness.waited(1, 5.0)
    assert harness.context.state.triggered_at == 0.0


async def test_no_value_is_ever_reported(harness: ReporterHarness) -> None:
    harness.written(desired(), [outcome()], changed=True)
    assert "hunter2" not in f"{harness.status!r} {harness.events.reported!r}"


# -- What arrives with the same apply ---------------------------------------------------------


NO_STORE = Problem(Reason.STORE_NOT_FOUND, "there is no such store")
NO_KEY = Problem(Reason.ACCESS_KEY_NOT_FOUND, "there is no such Secret")


async def test_reference_that_arrives_within_two_seconds_is_no_warning(
    harness: ReporterHarness,
) -> None:
    harness.failed(NO_STORE, [])
    assert harness.ready.reason == "StoreNotFound"
    await asyncio.sleep(1)
    harness.failed(NO_KEY, [])
    await asyncio.sleep(0.5)
    harness.written(desired(), [outcome()], changed=True)
    await asyncio.sleep(10)
    assert harness.events.reasons == ["Synced"]


async def test_reference_that_is_missing_after_two_seconds_is_a_warning(
    harness: ReporterHarness,
) -> None:
    harness.failed(NO_STORE, [])
    await asyncio.sleep(1.9)
    assert harness.events.reasons == []
    await asyncio.sleep(0.2)
    assert harness.events.take() == [
        ("Warning", "SyncFailed", "StoreNotFound: there is no such store")
    ]
    harness.failed(NO_KEY, [])
    assert harness.events.reasons == ["SyncFailed"]


async def test_object_that_was_in_sync_is_warned_of_at_once(harness: ReporterHarness) -> None:
    harness.written(desired(), [outcome()], changed=True)
    harness.failed(NO_STORE, [])
    assert harness.events.reasons == ["Synced", "SyncFailed"]
