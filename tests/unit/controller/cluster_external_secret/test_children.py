"""What is done in one namespace, as a table of what is found there."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.controller.cluster_external_secret.children import (
    ChildStep,
    configuration,
    decide,
    surplus,
)
from tests.unit.controller.cluster_external_secret.conftest import ces_of, child_of

CES = ces_of(externalSecretMetadata={"labels": {"a": "b"}, "annotations": {"c": "d"}})
OTHER = ces_of({"uid": "other-uid", "name": "other"})
RENAMED = ces_of(externalSecretName="new")
SHARED = {"data": [{"key": "db"}], "target": {"name": "kept"}}
MERGED = {**SHARED, "target": {"name": "kept", "creationPolicy": "Merge"}}
ADOPT: Any = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
REPLACED: Any = {"annotations": {"secret-sync.alibabacloud.com/replaced-by": "new"}}


def step(ces: Any, *found: Any, selected: bool = True) -> tuple[ChildStep, str]:
    ours = [es for es in found if es.controller is not None and es.controller.uid == ces.uid]
    occupant = next((es for es in found if es.name == ces.child_name), None)
    decision = decide(ces, selected=selected, ours=ours, occupant=occupant)
    return decision.step, decision.subject.name if decision.subject is not None else ""


def test_steps_of_a_selected_namespace() -> None:
    assert step(CES) == (ChildStep.CREATE, "")
    assert step(CES, child_of(CES)) == (ChildStep.NOTHING, "")
    assert step(CES, child_of(CES, labels={"a": "x"})) == (ChildStep.APPLY, "some")
    assert step(CES, child_of(CES, annotations={})) == (ChildStep.APPLY, "some")
    assert step(CES, child_of(CES, deletionTimestamp="now")) == (ChildStep.WAIT, "")
    assert step(CES, child_of(None, deletionTimestamp="now")) == (ChildStep.WAIT, "")


def test_labels_of_others_are_no_difference() -> None:
    child = child_of(CES, labels={"a": "b", "theirs": "x"}, annotations={"c": "d", "e": "f"})
    assert step(CES, child) == (ChildStep.NOTHING, "")


def test_child_made_by_ack_secret_manager_is_applied_once() -> None:
    assert step(CES, child_of(CES, applied=False)) == (ChildStep.APPLY, "some")


@pytest.mark.parametrize("occupant", [child_of(None), child_of(OTHER), child_of(OTHER, **ADOPT)])
def test_object_of_others_is_a_conflict(occupant: Any) -> None:
    assert step(CES, occupant) == (ChildStep.CONFLICT, "some")
    decision = decide(CES, selected=True, ours=(), occupant=occupant)
    assert decision.conflict.startswith("AlreadyExists: ExternalSecret ns/some ")
    assert decision.child is None


def test_child_without_its_owner_reference_is_its_editors() -> None:
    taken = child_of(CES, ownerReferences=[])
    assert step(CES, taken) == (ChildStep.CONFLICT, "some")
    left = decide(CES, selected=False, ours=(), occupant=taken)
    assert left.step is ChildStep.NOTHING


def test_object_that_its_author_gives_away_is_adopted() -> None:
    assert step(CES, child_of(None, **ADOPT)) == (ChildStep.ADOPT, "some")


def test_namespace_that_is_not_selected_loses_what_is_ours_alone() -> None:
    assert step(CES, child_of(CES), selected=False) == (ChildStep.DELETE, "some")
    assert step(CES, child_of(CES, name="former"), selected=False) == (ChildStep.DELETE, "former")
    assert step(CES, child_of(None), selected=False) == (ChildStep.NOTHING, "")
    assert step(CES, child_of(OTHER), selected=False) == (ChildStep.NOTHING, "")
    dying = child_of(CES, deletionTimestamp="now")
    assert step(CES, dying, selected=False) == (ChildStep.NOTHING, "")


def test_former_child_stays_until_the_new_one_is_ready() -> None:
    old = child_of(RENAMED, name="old")
    assert step(RENAMED, old) == (ChildStep.CREATE, "")
    assert step(RENAMED, old, child_of(RENAMED, name="new")) == (ChildStep.NOTHING, "")
    ready = child_of(RENAMED, name="new", ready=True)
    assert step(RENAMED, old, ready) == (ChildStep.DELETE, "old")


def test_former_child_hands_its_secret_over_before_the_new_one_is_created() -> None:
    ces = ces_of(externalSecretName="new", externalSecretSpec=SHARED)
    old = child_of(ces, name="old")
    assert step(ces, old) == (ChildStep.HAND_OVER, "old")
    handed = child_of(ces, name="old", **REPLACED)
    assert step(ces, handed) == (ChildStep.CREATE, "")
    assert step(ces, handed, child_of(ces, name="new")) == (ChildStep.NOTHING, "")
    ready = child_of(ces, name="new", ready=True)
    assert step(ces, handed, ready) == (ChildStep.DELETE, "old")
    # The name was changed back meanwhile.
    back = ces_of(externalSecretName="old", externalSecretSpec=SHARED)
    assert step(back, handed, child_of(back, name="new")) == (ChildStep.APPLY, "old")
    again = child_of(back, name="old")
    assert step(back, again, child_of(back, name="new")) == (ChildStep.HAND_OVER, "new")


def test_former_child_that_merges_goes_first_since_its_keys_stay() -> None:
    ces = ces_of(externalSecretName="new", externalSecretSpec=MERGED)
    new = child_of(ces, name="new")
    assert step(ces, child_of(ces, name="old"), new) == (ChildStep.DELETE, "old")


def test_configuration_is_complete() -> None:
    made = configuration(CES, "ns")
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["annotations"] == {"c": "d"}
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("ces-uid", True)
    assert made["spec"] == {"data": [{"key": "db", "name": "password"}]}
    assert "labels" not in configuration(OTHER, "ns")["metadata"]


def test_a_forced_sync_is_part_of_the_template_and_last_applied_is_not() -> None:
    wish = {"secret-sync.alibabacloud.com/force-sync": "now"}
    kubectl = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    ces = ces_of({"annotations": wish}, externalSecretMetadata={"annotations": kubectl})
    assert configuration(ces, "ns")["metadata"]["annotations"] == wish
    assert step(ces, child_of(ces_of())) == (ChildStep.APPLY, "some")


@pytest.mark.parametrize(
    ("found", "wanted", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": {"b": {"c": 1}}}, {"a": {}}, {"a": {"b": None}}),
        ({"a": [1, 2]}, {"a": [1]}, {}),
        ({}, {"a": 1}, {}),
    ],
)
def test_surplus(found: Any, wanted: Any, patch: Any) -> None:
    assert surplus(found, wanted) == patch
