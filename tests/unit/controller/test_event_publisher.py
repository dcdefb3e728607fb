"""``EventPublisher``: Events of transitions, and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from secret_sync.controller.external_secret.desired import Overwritten
from secret_sync.controller.publishing import EventPublisher
from secret_sync.controller.sync import Problem, problem_condition
from secret_sync.kube import About
from secret_sync.resources import Condition, Reason
from secret_sync.resources.events import EventReason
from tests.unit.controller.fakes import Events

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretStore

    MakeES = Callable[..., ExternalSecret]
    MakeStore = Callable[..., SecretStore]


def ready(status: str = "True", message: str = "holds 1 key", generation: int = 1) -> Condition:
    return Condition("Ready", status, "Some", message, "2026-01-01T00:00:00Z", generation)


SYNCED = ("Normal", "Synced", "holds 1 key")
UPDATED = ("Normal", "Updated", "Secret some was updated")
TWICE = Overwritten("user", loser="a", winner="b")
OVERWRITTEN = (
    "Warning",
    "KeyOverwritten",
    "key 'user' is written by entry 'a' and by entry 'b'; the later one wins",
)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def publisher(events: Events) -> EventPublisher:
    return EventPublisher(events)


@pytest.mark.parametrize(
    ("before", "changed", "reported"),
    [
        pytest.param(None, True, [SYNCED], id="for the first time"),
        pytest.param(None, False, [SYNCED], id="found in step by the first look"),
        pytest.param(ready("False"), True, [SYNCED], id="after a failure"),
        pytest.param(ready("Unknown"), False, [SYNCED], id="after it had to wait"),
        pytest.param(ready(message="holds 2 keys"), True, [SYNCED], id="of another content"),
        pytest.param(ready(), True, [UPDATED], id="a new value, or drift that was undone"),
        pytest.param(ready(), False, [], id="nothing new"),
        pytest.param(ready(generation=0), False, [], id="an edit that changed nothing"),
    ],
)
def test_synced_object(
    events: Events,
    publisher: EventPublisher,
    make_es: MakeES,
    before: Condition | None,
    reported: list[tuple[str, str, str]],
    *,
    changed: bool,
) -> None:
    publisher.synced(make_es(), before, ready(), changed=changed)
    assert events.take() == reported


@pytest.mark.parametrize(
    ("before", "reported"),
    [(None, [SYNCED, OVERWRITTEN]), (ready(), [UPDATED])],
    ids=["once", "not with each value"],
)
def test_key_written_by_two_entries_is_reported_once_with_both(
    events: Events,
    publisher: EventPublisher,
    make_es: MakeES,
    before: Condition | None,
    reported: list[tuple[str, str, str]],
) -> None:
    publisher.synced(make_es(), before, ready(), changed=True, overwritten=[TWICE])
    assert events.take() == reported


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        (Reason.FORBIDDEN, "SyncFailed"),
        (Reason.WRITE_FAILED, "SyncFailed"),
        (Reason.CRD_OUTDATED, "SyncFailed"),
        (Reason.SECRET_CONFLICT, "Conflict"),
        (Reason.KEY_CONFLICT, "Conflict"),
        (Reason.WRITE_CONFLICT, "Conflict"),
    ],
)
def test_an_object_that_is_not(
    events: Events, publisher: EventPublisher, make_es: MakeES, reason: Reason, event: str
) -> None:
    problem = Problem(reason, "what, where, and what to do")
    now = problem_condition(ready(), generation=1, problem=problem)
    publisher.failed(make_es(), ready(), now, problem)
    assert events.take() == [("Warning", event, f"{reason.value}: what, where, and what to do")]


def test_same_failure_is_reported_once(
    events: Events, publisher: EventPublisher, make_es: MakeES
) -> None:
    reported = []
    before: Condition | None = ready()
    for message in ("no, request 0A-1", "no, request 0A-2", "never, request 0A-3", "never"):
        problem = Problem(Reason.FORBIDDEN, message)
        now = problem_condition(before, generation=1, problem=problem)
        publisher.failed(make_es(), before, now, problem)
        reported += [message for _, _, message in events.take()]
        before = now
    # Not each answer that differs by its number alone.
    assert reported == ["Forbidden: no, request 0A-1", "Forbidden: never, request 0A-3"]


def test_failure_is_reported_again_after_an_edit(
    events: Events, publisher: EventPublisher, make_es: MakeES
) -> None:
    problem = Problem(Reason.FORBIDDEN, "no")
    before = problem_condition(None, generation=1, problem=problem)
    now = problem_condition(before, generation=2, problem=problem)
    publisher.failed(make_es(), before, now, problem)
    assert events.reasons == ["SyncFailed"]


def test_finished_acts_are_reported(
    events: Events, publisher: EventPublisher, make_es: MakeES, make_store: MakeStore
) -> None:
    publisher.deleted(make_es(), "former", "the target is some now")
    publisher.finalizer_removed(make_es())
    publisher.finalizer_removed(make_store())
    off = ("Normal", "FinalizerRemoved", "the finalizer of ack-secret-manager was removed")
    deleted = ("Normal", "SecretDeleted", "Secret former was deleted: the target is some now")
    assert events.take() == [deleted, off, off]


@pytest.mark.parametrize(
    ("before", "reported"),
    [
        (None, ["StoreReady"]),
        (ready("False"), ["StoreReady"]),
        (ready("Unknown"), ["StoreReady"]),
        (ready(), []),
        (ready(message="other words"), []),
    ],
)
def test_a_store_that_can_be_used(
    events: Events,
    publisher: EventPublisher,
    make_store: MakeStore,
    before: Condition | None,
    reported: list[str],
) -> None:
    publisher.store_reported(make_store(), before, ready(), None)
    assert events.reasons == reported


def test_a_store_that_cannot(
    events: Events, publisher: EventPublisher, make_store: MakeStore
) -> None:
    problem = Problem(Reason.STORE_INVALID, "incomplete AccessKey")
    now = problem_condition(None, generation=1, problem=problem)
    publisher.store_reported(make_store(), None, now, problem)
    publisher.store_reported(make_store(), now, now, problem)
    assert events.take() == [("Warning", "StoreNotReady", "StoreInvalid: incomplete AccessKey")]


def test_object_of_an_event(
    events: Events, publisher: EventPublisher, make_es: MakeES, make_store: MakeStore
) -> None:
    shared = replace(make_store(), namespace="", name="shared")
    publisher.finalizer_removed(make_es())
    publisher.finalizer_removed(make_store())
    publisher.finalizer_removed(shared)
    api = "alibabacloud.com/v1alpha1"
    assert [event.about for event in events.reported] == [
        About(api, "ExternalSecret", "ns", "some", "es-uid"),
        About(api, "SecretStore", "ns", "store", "store-uid"),
        About(api, "ClusterSecretStore", "", "shared", "store-uid"),
    ]


def test_every_reason_is_one_word_in_camel_case() -> None:
    for reason in EventReason:
        assert reason.value.isalpha()
        assert reason.value[0].isupper()
