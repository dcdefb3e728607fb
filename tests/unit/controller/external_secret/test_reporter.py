"""``SyncReporter``: how a reconcile went, as status, as Event and as metric."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from secret_sync.controller.external_secret.extraction import Desired, EntryOutcome, Overwritten
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
from secret_sync.queue.worker import _reconcile_id
from secret_sync.resources import Condition, DataEntry, Reason
from tests.unit.controller.played import Events, Observer, Statuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, ExternalSecretStatus

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

KEY = "ns/some"
BEFORE = "2026-01-01T00:00:00Z"
FORBIDDEN = Problem(Reason.FORBIDDEN, "RAM says no")


class World:
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
def world(make_es: MakeES) -> World:
    return World(make_es(metadata={"generation": 3}))


def desired(*keys: str, overwritten: tuple[Overwritten, ...] = ()) -> Desired:
    names = frozenset(keys or ("password",))
    return Desired(b"wanted", names, dict.fromkeys(names, b"hunter2"), (), overwritten)


def outcome(key: str = "db", problem: Problem | None = None) -> EntryOutcome:
    return EntryOutcome(DataEntry(key, key, "", "", None), "v1", problem)


# -- In sync ------------------------------------------------------------------------------


async def test_a_secret_that_was_written(world: World) -> None:
    world.context.state.waiting_since = 1.0
    world.written(desired(), [outcome()], changed=True)
    assert (world.ready.status, world.ready.reason) == ("True", "Synced")
    assert world.ready.message == "Secret some holds 1 key"
    assert (world.ready.observed_generation, world.status.observed_generation) == (3, 3)
    assert world.status.target == "some"
    assert world.status.last_sync_time
    (result,) = world.status.results
    assert (result.key, result.status, result.reason, result.version_id) == (
        "db",
        "Succeeded",
        "",
        "v1",
    )
    assert world.events.reasons == ["Synced"]
    assert world.context.state.waiting_since is None


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
    world = World(make_es(target=target))
    world.written(made, [outcome()], changed=True)
    assert world.ready.message == message


async def test_co_owners_are_reported_until_they_let_go(make_es: MakeES) -> None:
    world = World(make_es(target={"creationPolicy": "Merge"}))
    world.context.state.shared = (("a", ("gitops",)), ("b", ("gitops", "kubectl-edit")))
    world.written(desired("a", "b"), [outcome()], changed=False)
    assert world.ready.message == (
        "Secret some holds 2 keys of this object; gitops, kubectl-edit set a, b as well, to the "
        "same value: a new value will not be written (KeyConflict) until the key is deleted there"
    )
    assert world.ready.status == "True"
    world.context.state.shared = ()
    world.written(desired("a", "b"), [outcome()], changed=False)
    assert world.ready.message == "Secret some holds 2 keys of this object"


async def test_unchanged_round_writes_no_status(world: World) -> None:
    world.written(desired(), [outcome()], changed=True)
    before = world.status
    for _ in range(3):
        world.written(desired(), [outcome()], changed=False)
    assert world.status == before
    assert world.statuses.changes == 1
    assert world.events.reasons == ["Synced"]


CREATED = "Secret some was created; it is not fetched again (refreshPolicy CreatedOnce)"


async def test_report_stands_for_a_secret_that_was_only_read(world: World) -> None:
    world.written(desired(), [outcome()], changed=True)
    before = world.status
    world.created_once()
    assert world.status == before
    assert world.events.reasons == ["Synced"]


@pytest.mark.parametrize(("status", "generation"), [("", 0), ("True", 2), ("False", 3)])
async def test_missing_or_outdated_condition_is_replaced(
    make_es: MakeES, status: str, generation: int
) -> None:
    ready = Condition("Ready", status, "Some", "message", BEFORE, generation)
    result = {"ExternalSecretKey": "db", "status": "Succeeded", "synchronizationTime": BEFORE}
    reported = {"conditions": [ready.to_dict()] if status else [], "dataSyncResults": [result]}
    world = World(make_es(metadata={"generation": 3}, status=reported))
    world.created_once()
    assert (world.ready.status, world.ready.message) == ("True", CREATED)
    assert [r.time for r in world.status.results] == [BEFORE]
    assert world.events.take() == [("Normal", "Synced", CREATED)]


# -- Not in sync --------------------------------------------------------------------------


async def test_a_failure(world: World) -> None:
    world.written(desired(), [outcome("a"), outcome("b")], changed=True)
    before = world.status
    world.events.take()
    world.context.state.waiting_since = 1.0
    world.failed(FORBIDDEN, [outcome("a"), outcome("b", FORBIDDEN)])
    assert (world.ready.status, world.ready.reason) == ("False", "Forbidden")
    assert world.ready.message == "RAM says no"
    # All or nothing: the good one is not in the Secret either.
    assert [(r.key, r.status, r.reason) for r in world.status.results] == [
        ("a", "Succeeded", "NotWritten"),
        ("b", "Failed", "Forbidden"),
    ]
    # Of what was written before nothing is taken back.
    assert (world.status.target, world.status.last_sync_time) == ("some", before.last_sync_time)
    assert world.events.take() == [("Warning", "SyncFailed", "Forbidden: RAM says no")]
    assert world.observer.reported[-1] == ("failed", None)
    assert world.context.state.waiting_since is None


async def test_same_failure_is_not_reported_again(world: World) -> None:
    for number in range(3):
        problem = Problem(Reason.FORBIDDEN, f"RAM says no (Forbidden, request 0A{number})")
        world.failed(problem, [outcome(problem=problem)])
    assert world.statuses.changes == 1
    assert world.events.reasons == ["SyncFailed"]


async def test_ready_is_unknown_under_an_outdated_crd(world: World) -> None:
    problem = Problem(Reason.CRD_OUTDATED, "the CRD lacks fields")
    world.failed(problem, [])
    assert (world.ready.status, world.ready.reason) == ("Unknown", "CRDOutdated")


# -- Waiting ------------------------------------------------------------------------------


async def test_an_object_that_waits_says_so_after_a_while(world: World) -> None:
    assert world.waited(1, 0.0) == REPORT_PENDING_AFTER
    assert KEY not in world.statuses.held
    assert world.waited(1, REPORT_PENDING_AFTER) is None
    assert (world.ready.status, world.ready.reason) == ("Unknown", "Pending")
    assert world.ready.message == "1 of 1 entries are waiting for Alibaba Cloud"
    assert world.observer.reported == [("pending", None)] * 2
    assert not world.events.reported


async def test_pending_message_names_what_is_missing(world: World) -> None:
    world.waited(0, 11.0)
    assert world.ready.message == "waiting for the values to be fetched again or parsed"


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
    world = World(make_es(metadata={"generation": 3}, status=given))
    # There is nothing to come back for either.
    assert world.waited(1, 4.0) == (6.0 if reported else None)
    assert world.waited(1, 11.0) is None
    assert (KEY in world.statuses.held) is reported


async def test_values_that_change_too_fast_are_reported(
    make_es: MakeES,
) -> None:
    ready = Condition("Ready", "True", "Synced", "message", BEFORE, 3)
    given = {"conditions": [ready.to_dict()], "observedGeneration": 3}
    world = World(make_es(metadata={"generation": 3}, status=given))
    waits = partial(world.waited, 1, known=True)
    assert waits(0.0) == REPORT_LATE_AFTER
    assert KEY not in world.statuses.held
    assert waits(REPORT_LATE_AFTER) is None
    assert (world.ready.status, world.ready.reason) == ("Unknown", "Pending")
    assert "the Secret holds the previous values" in world.ready.message


# -- Metrics ------------------------------------------------------------------------------


async def test_the_latency_is_that_of_the_write_since_its_cause(world: World) -> None:
    world.context.state.triggered_at = asyncio.get_running_loop().time()
    await asyncio.sleep(2.5)
    world.written(desired(), [outcome()], changed=True)
    # The next one has another cause, or none.
    world.written(desired(), [outcome()], changed=True)
    assert world.observer.reported == [("written", pytest.approx(2.5)), ("written", None)]


@pytest.mark.parametrize("result", ["unchanged", "failed"])
async def test_sync_without_a_write_observes_no_latency(world: World, result: str) -> None:
    world.context.state.triggered_at = 0.0
    if result == "failed":
        world.failed(FORBIDDEN, [])
    else:
        world.written(desired(), [outcome()], changed=False)
    assert world.observer.reported == [(result, None)]
    assert world.context.state.triggered_at is None


async def test_only_new_failures_are_logged(world: World) -> None:
    _reconcile_id.set("c0ffee")
    for _ in range(2):
        world.failed(FORBIDDEN, [])
    world.written(desired(), [outcome()], changed=True)
    world.written(desired(), [outcome()], changed=False)
    assert world.observer.lines == ["c0ffee", "", "c0ffee", ""]


async def test_a_restored_secret_is_counted_and_logged_and_nothing_else(world: World) -> None:
    world.context.state.triggered_at = asyncio.get_running_loop().time() - 2.5
    with capture_logs() as lines:
        world.reporter.restored(world.context, Changed("secret updated", 1, 0))
    (line,) = lines
    assert (line["event"], line["secret"], line["removed"]) == ("secret updated", "some", 0)
    ((result, latency),) = world.observer.reported
    assert result == "written"
    assert latency == pytest.approx(2.5)
    assert not world.events.reported
    assert not world.statuses.held


@pytest.mark.parametrize("restoring", [False, True])
async def test_a_write_in_a_conflict_is_in_the_log(world: World, *, restoring: bool) -> None:
    refused = Refused(Problem(Reason.WRITE_CONFLICT, "stop it"), Changed("secret updated", 1, 0))
    report = world.reporter.restored if restoring else world.reporter.report
    with capture_logs() as lines:
        report(world.context, refused)
    expected = ["secret updated", "not restored" if restoring else "not synced"]
    assert [line["event"] for line in lines] == expected


async def test_a_write_is_in_condition_event_metric_and_log(world: World) -> None:
    with capture_logs() as lines:
        world.written(desired("a", "b"), [outcome()], changed=True)
    (line,) = lines
    assert (line["event"], line["secret"], line["keys"]) == ("secret updated", "some", 2)
    assert world.ready.status == "True"
    assert world.events.reasons == ["Synced"]
    assert world.observer.reported == [("written", None)]


async def test_waiting_answers_no_cause(world: World) -> None:
    world.context.state.triggered_at = 0.0
    world.waited(1, 5.0)
    assert world.context.state.triggered_at == 0.0


async def test_no_value_is_ever_reported(world: World) -> None:
    world.written(desired(), [outcome()], changed=True)
    assert "hunter2" not in f"{world.status!r} {world.events.reported!r}"
