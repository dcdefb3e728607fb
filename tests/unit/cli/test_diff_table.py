"""The table of what ClusterExternalSecrets would do, as `secret-sync diff` draws it."""

from __future__ import annotations

import io

from secret_sync.cli.diff.table import child_rows, render_children
from secret_sync.cli.terminal import Screen
from secret_sync.controller.cluster_external_secret.dry_run import (
    ChildAction,
    ClusterPlan,
    PlannedChild,
)
from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason

CREATED = PlannedChild("b", "creds", ChildAction.CREATE)
TAKEN = PlannedChild("a", "creds", ChildAction.CONFLICT, "AlreadyExists: it is another's")
BROKEN = ClusterPlan(problem=Problem(Reason.CONDITIONS_INVALID, "conditions[0]: wrong"))
PLANS = {"spread": ClusterPlan((CREATED, TAKEN)), "broken": BROKEN, "late": None}


def drawn(namespace: str = "", name: str = "") -> list[list[str]]:
    rows = child_rows(PLANS, namespace, name)
    screen = Screen(io.StringIO(), terminal=False, colours=False, width=0)
    return [line.split() for line in render_children(rows, namespace, screen)]


def test_rows_of_all_namespaces() -> None:
    assert drawn() == [
        [],
        ["NAMESPACE", "EXTERNALSECRET", "RESULT", "CLUSTEREXTERNALSECRET", "WHY", "NOT"],
        ["-", "-", "nothing", "broken", "ConditionsInvalid:", "conditions[0]:", "wrong"],
        ["-", "-", "no", "answer", "late"],
        ["a", "creds", "conflict", "spread", "AlreadyExists:", "it", "is", "another's"],
        ["b", "creds", "would", "create", "spread"],
    ]


def test_rows_of_one_namespace_leave_mistakes_out() -> None:
    assert drawn("b")[1:] == [
        ["EXTERNALSECRET", "RESULT", "CLUSTEREXTERNALSECRET", "WHY", "NOT"],
        ["-", "no", "answer", "late"],
        ["creds", "would", "create", "spread"],
    ]
    assert child_rows({"spread": ClusterPlan((CREATED,))}, "b", "other") == []
    assert not child_rows(PLANS, "a", "creds")[-1].writes


def test_nothing_to_be_done_is_no_table() -> None:
    screen = Screen(io.StringIO(), terminal=False, colours=False, width=0)
    assert render_children(child_rows({"same": ClusterPlan()}, "", ""), "", screen) == []
