"""Mistakes that are certain without looking at any namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.cluster_external_secret.validation import Checked, SpecChecker
from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason
from tests.unit.controller.cluster_external_secret.conftest import ces_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.resources import ExternalSecret

BAD_PATH = Problem(Reason.INVALID_JMES_PATH, "entry 'db': invalid JMESPath expression")


class Checks:
    """What checks the spec, and the expressions, of an ExternalSecret.

    Attributes:
        problem: Of the spec.
        expressions: By entry; ``None`` while they are compiled.
        checked, forgotten: The keys of what was asked for.
    """

    def __init__(self) -> None:
        self.problem: Problem | None = None
        self.expressions: Mapping[int, Problem] | None = {}
        self.checked: list[str] = []
        self.forgotten: list[str] = []

    def problem_of_spec(self, es: ExternalSecret) -> Problem | None:
        self.checked.append(f"{es.namespace}/{es.name}")
        return self.problem

    def check(self, es: ExternalSecret) -> Mapping[int, Problem] | None:
        return self.expressions

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
def checker(checks: Checks) -> SpecChecker:
    return SpecChecker(Schemas(), checks, checks)


def test_generation_is_checked_once(checker: SpecChecker, checks: Checks) -> None:
    assert checker.check(ces_of()) == checker.check(ces_of()) == Checked()
    assert checks.checked == ["some/some"]
    checker.check(ces_of({"generation": 2}))
    assert len(checks.checked) == 2


def test_conditions_are_looked_at_first(checker: SpecChecker, checks: Checks) -> None:
    problem = checker.check(ces_of(conditions=[{"namespaceRegexes": ["("]}])).problem
    assert problem is not None
    assert problem.reason is Reason.CONDITIONS_INVALID
    assert "nothing is created, changed or deleted" in problem.message
    assert checks.checked == []


def test_problem_of_the_template_is_one_of_the_object(checker: SpecChecker, checks: Checks) -> None:
    checks.problem = Problem(Reason.UNKNOWN_PROVIDER, "spec.provider is 'x'")
    problem = checker.check(ces_of()).problem
    assert problem is not None
    assert problem.reason is Reason.INVALID_SPEC
    assert problem.message.startswith("spec.externalSecretSpec.provider is 'x'")


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"not a key": "x"}}, "spec.externalSecretMetadata.labels: "),
        ({"labels": {"key": "not a value!"}}, "spec.externalSecretMetadata.labels: "),
        ({"annotations": {"not a key": "x"}}, "spec.externalSecretMetadata.annotations: "),
        ({"annotations": {"key": "any value!"}}, ""),
    ],
)
def test_labels_and_annotations(checker: SpecChecker, metadata: Any, field: str) -> None:
    problem = checker.check(ces_of(externalSecretMetadata=metadata)).problem
    assert (problem.message if problem is not None else "").startswith(field)
    assert (problem is None) is (field == "")


def test_expressions_are_waited_for(checker: SpecChecker, checks: Checks) -> None:
    checks.expressions = None
    assert checker.check(ces_of()).pending
    assert checks.forgotten == []
    checks.expressions = {0: BAD_PATH}
    problem = checker.check(ces_of()).problem
    assert problem is not None
    assert "invalid JMESPath" in problem.message
    assert checks.forgotten == ["some/some"]


def test_object_that_goes_meanwhile_leaves_nothing(checker: SpecChecker, checks: Checks) -> None:
    checks.expressions = None
    checker.check(ces_of())
    checker.forget("some")
    assert checks.forgotten == ["some/some"]
