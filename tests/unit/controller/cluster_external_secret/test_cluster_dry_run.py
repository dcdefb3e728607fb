"""What a dry run finds of a ClusterExternalSecret, and what it says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from structlog.testing import capture_logs

from secret_sync.controller.cluster_external_secret.children import decide
from secret_sync.controller.cluster_external_secret.dry_run import (
    ChildAction,
    ClusterPlan,
    DryRunClusterReconciler,
    DryRunClusterReporter,
    PlannedChild,
    planned,
)
from secret_sync.controller.cluster_external_secret.state import ClusterState
from secret_sync.controller.cluster_external_secret.status import Survey
from secret_sync.controller.sync import Problem
from secret_sync.queue import Done
from secret_sync.resources import Reason
from tests.unit.controller.cluster_external_secret.conftest import ces_of, child_of

pytestmark = pytest.mark.looptime

CES = ces_of()
RENAMED = ces_of(externalSecretName="new")
KEPT: Any = {"externalSecretSpec": {"data": [{"key": "db"}], "target": {"name": "kept"}}}
ADOPT: Any = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}


def plan_of(ces: Any, *found: Any, selected: bool = True) -> list[tuple[str, str]]:
    ours = [es for es in found if es.controller is not None and es.controller.uid == ces.uid]
    occupant = next((es for es in found if es.name == ces.child_name), None)
    decision = decide(ces, selected=selected, ours=ours, occupant=occupant)
    return sorted((child.name, child.action.value) for child in planned(ces, "ns", decision))


def test_plan_of_a_namespace() -> None:
    assert plan_of(CES) == [("some", "create")]
    assert plan_of(CES, child_of(CES)) == []
    assert plan_of(CES, child_of(CES, applied=False)) == [("some", "change")]
    assert plan_of(CES, child_of(None, **ADOPT)) == [("some", "adopt")]
    assert plan_of(CES, child_of(CES), selected=False) == [("some", "delete")]
    two = child_of(CES), child_of(CES, name="former")
    assert plan_of(CES, *two, selected=False) == [("former", "delete"), ("some", "delete")]


def test_plan_of_a_rename_names_both() -> None:
    old = child_of(RENAMED, name="old")
    both = [("new", "create"), ("old", "delete")]
    assert plan_of(RENAMED, old) == both
    kept = ces_of(externalSecretName="new", **KEPT)
    assert plan_of(kept, child_of(kept, name="old")) == both
    new = child_of(RENAMED, name="new", ready=True)
    assert plan_of(RENAMED, old, new) == [("old", "delete")]


def reporter() -> DryRunClusterReporter:
    statuses: Any = Mock(spec=[])
    publisher: Any = Mock(spec=[])
    return DryRunClusterReporter(statuses, publisher)


async def test_plan_is_logged_when_it_changes_and_nothing_is_published() -> None:
    state, survey = ClusterState(), Survey()
    survey.due = [
        (f"n{number:02}", decide(CES, selected=True, ours=(), occupant=None))
        for number in range(22)
    ]
    survey.failed = [("taken", "AlreadyExists: it belongs to others")]
    with capture_logs() as logged:
        for _ in range(2):
            reporter().surveyed(CES, state, survey, None)
    (line,) = logged
    assert line["create"].startswith("n00, n01, ")
    assert line["create"].endswith("n19 and 2 more")
    assert line["conflict"] == "taken"
    assert state.plan is not None
    assert len(state.plan.children) == 23
    assert state.plan.namespaces(ChildAction.DELETE) == []
    conflict = PlannedChild(
        "taken", "some", ChildAction.CONFLICT, "AlreadyExists: it belongs to others"
    )
    assert state.plan.children[-1] == conflict
    with capture_logs() as logged:
        reporter().surveyed(CES, state, Survey(), None)
    assert [line["event"] for line in logged] == [
        "dry run: the ExternalSecrets are as they should be"
    ]
    assert state.plan == ClusterPlan()


async def test_mistake_is_logged_once() -> None:
    state = ClusterState()
    problem = Problem(Reason.CONDITIONS_INVALID, "conditions[0]: it is wrong")
    with capture_logs() as logged:
        for _ in range(2):
            reporter().refused(CES, state, replace(problem))
    (line,) = logged
    assert line["log_level"] == "warning"
    assert state.plan == ClusterPlan(problem=problem)


async def test_step_in_a_namespace_is_not_taken() -> None:
    reconcile = AsyncMock(return_value=Done())
    dry_run = DryRunClusterReconciler(reconcile)
    await dry_run.reconcile("ns/some")
    reconcile.assert_not_awaited()
    await dry_run.reconcile("/some")
    reconcile.assert_awaited_once_with("/some")
