"""From what is found in the namespaces to the status."""

from __future__ import annotations

from secret_sync.controller.cluster_external_secret.status import (
    MAX_FAILED,
    MAX_PROVISIONED,
    Survey,
    refused_status,
    surveyed_status,
)
from secret_sync.controller.sync import Problem
from secret_sync.resources import ClusterExternalSecretStatus, Reason
from tests.unit.controller.cluster_external_secret.conftest import ces_of, child_of

CES = ces_of()
NEW = ClusterExternalSecretStatus()


def report(survey: Survey, forbidden: Problem | None = None) -> ClusterExternalSecretStatus:
    status, problem = surveyed_status(CES, NEW, survey, forbidden)
    assert status.ready is not None
    assert (problem is None) is (status.ready.status == "True")
    return status


def ready_of_status(status: ClusterExternalSecretStatus) -> tuple[str, str]:
    assert status.ready is not None
    return status.ready.reason, status.ready.message


def test_all_namespaces_have_theirs() -> None:
    survey = Survey(selected=1)
    survey.add_child(child_of(CES, ready=True))
    status = report(survey)
    assert ready_of_status(status)[0] == "Provisioned"
    assert status.namespaces == "1/1"
    assert status.provisioned == ("ns",)
    assert status.children is not None
    assert (status.children.type, status.children.status) == ("ExternalSecretsReady", "True")
    assert ClusterExternalSecretStatus.from_dict(status.to_dict()) == status


def test_children_that_are_not_ready_are_named_in_a_condition_of_their_own() -> None:
    survey = Survey(selected=1)
    survey.add_child(child_of(CES))
    status = report(survey)
    assert ready_of_status(status)[0] == "Provisioned"
    assert status.children is not None
    assert status.children.reason == "ExternalSecretsNotReady"
    assert status.children.message == "1 of 1 are not Ready: ns: Pending"


def test_failed_namespaces_are_counted_and_the_first_ones_named() -> None:
    survey = Survey(selected=6, failed=[(n, "AlreadyExists: long words") for n in "edcba"])
    status = report(survey)
    reason, message = ready_of_status(status)
    assert reason == "NamespacesFailed"
    named = "a: AlreadyExists, b: AlreadyExists, c: AlreadyExists and 2 more"
    assert message.startswith(f"5 of 6: {named}")
    assert status.failed[0] == ("a", "AlreadyExists: long words")


def test_lists_are_bounded() -> None:
    survey = Survey(selected=MAX_PROVISIONED + 300)
    survey.provisioned = [f"n{number}" for number in range(MAX_PROVISIONED + 100)]
    survey.failed = [(f"f{number}", "AlreadyExists: x") for number in range(200)]
    status = report(survey)
    assert len(status.provisioned) == MAX_PROVISIONED
    assert len(status.failed) == MAX_FAILED


def test_selecting_nothing_is_no_success() -> None:
    survey = Survey(partial=("team", "team-a"))
    reason, message = ready_of_status(report(survey))
    assert reason == "NoNamespaceMatches"
    assert "'team' matches only a part of 'team-a'" in message


def test_progress_and_missing_rights() -> None:
    assert ready_of_status(report(Survey(selected=3, pending=1)))[0] == "Pending"
    forbidden = Problem(Reason.WRITE_FORBIDDEN, "no rule")
    status = report(Survey(selected=3, pending=1), forbidden)
    assert ready_of_status(status) == ("WriteForbidden", "no rule")


def test_a_refusal_leaves_what_is_known_of_the_children() -> None:
    survey = Survey(selected=1)
    survey.add_child(child_of(CES, ready=True))
    before = report(survey)
    status = refused_status(CES, before, Problem(Reason.CONDITIONS_INVALID, "bad"))
    assert ready_of_status(status) == ("ConditionsInvalid", "bad")
    assert status.provisioned == before.provisioned
    outdated = refused_status(CES, before, Problem(Reason.CRD_OUTDATED, "old"))
    assert outdated.ready is not None
    assert outdated.ready.status == "Unknown"
