"""From a change in the cluster to the keys that it concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.cluster_external_secret.events import (
    BY_CHILD,
    BY_UID,
    ClusterEventHandlers,
    child_name_of,
    uid_of,
)
from secret_sync.controller.event_handlers import priority_of
from secret_sync.kube import Change, Store
from secret_sync.queue import Priority
from tests.unit.controller.cluster_external_secret.conftest import (
    ces_of,
    child_of,
    namespace_named,
)

if TYPE_CHECKING:
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

CES = ces_of()
OTHER = ces_of({"name": "other", "uid": "other-uid"}, externalSecretName="some")
ALONE = ces_of({"name": "alone", "uid": "alone-uid"})


class ClusterEvents:
    """The handlers, with what they enqueue."""

    def __init__(self) -> None:
        store: Store[ClusterExternalSecret] = Store({BY_UID: uid_of, BY_CHILD: child_name_of})
        for ces in (CES, OTHER, ALONE):
            store.put(ces.name, ces)
        self.added: dict[str, Priority] = {}
        self.surveyed: set[str] = set()
        queue: Any = self
        self.handlers = ClusterEventHandlers(store, queue, self.surveyed.add)

    def add(self, key: str, priority: Priority) -> None:
        self.added[key] = priority


@pytest.fixture
def events() -> ClusterEvents:
    return ClusterEvents()


def test_namespace_concerns_all_objects(events: ClusterEvents) -> None:
    new = namespace_named("ns", team="a")
    events.handlers.namespace_changed(Change("ns", namespace_named("ns"), new))
    assert events.added == dict.fromkeys(["ns/some", "ns/other", "ns/alone"], Priority.HIGH)
    assert events.surveyed == {"some", "other", "alone"}


def test_namespace_without_another_label_concerns_none(events: ClusterEvents) -> None:
    events.handlers.namespace_changed(Change("ns", namespace_named("ns"), namespace_named("ns")))
    assert events.added == {}


def test_edited_and_deleted_children_are_urgent_and_new_ones_are_not(
    events: ClusterEvents,
) -> None:
    child = child_of(CES)
    events.handlers.external_secret_changed(Change("ns/some", None, child))
    # It stands in the way of the other one that wants the name.
    assert events.added == {"ns/some": Priority.LOW, "ns/other": Priority.LOW}
    events.handlers.external_secret_changed(Change("ns/some", child, child_of(CES, applied=False)))
    assert events.added["ns/some"] is Priority.HIGH
    events.added.clear()
    events.handlers.external_secret_changed(Change("ns/some", child, None))
    assert events.added["ns/some"] is Priority.HIGH


def test_status_of_a_child_counts_only_if_it_is_ready_or_no_longer(events: ClusterEvents) -> None:
    child, ready = child_of(CES), child_of(CES, ready=True)
    events.handlers.external_secret_changed(Change("ns/some", child, child_of(CES)))
    assert events.added == {}
    events.handlers.external_secret_changed(Change("ns/some", child, ready))
    assert events.added["ns/some"] is Priority.LOW


def test_renamed_object_leaves_the_name_to_others(events: ClusterEvents) -> None:
    renamed = ces_of({"generation": 2}, externalSecretName="new")
    events.handlers.object_changed(Change("some", CES, renamed))
    assert events.added == {"/some": Priority.HIGH, "/other": Priority.HIGH}


def test_status_of_an_object_concerns_nothing(events: ClusterEvents) -> None:
    events.handlers.object_changed(Change("some", CES, ces_of()))
    assert events.added == {}


def test_compiled_templates_enqueue_their_objects(events: ClusterEvents) -> None:
    events.handlers.compiled(["some/child"])
    assert events.added == {"/some": Priority.HIGH}


def test_children_go_after_ordinary_objects() -> None:
    assert priority_of(None, child_of(CES)) is Priority.LOW
    assert priority_of(child_of(CES), child_of(CES, generation=2)) is Priority.LOW
    assert priority_of(None, child_of(None)) is Priority.HIGH
