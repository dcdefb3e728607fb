"""Labels and annotations: Kubernetes' rules and ours, with values that no message repeats."""

from __future__ import annotations

import pytest

from secret_sync.controller.external_secret.rendered_metadata import (
    name_problem,
    size_of,
    value_problem,
)

BOTH = ("Labels", "Annotations")


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize(
    "name", ["a", "Team", "a_b", "a.b-c", "1", "example.org/name", "a" * 63, f"{'a' * 253}/b"]
)
def test_names_that_are_legal(target: str, name: str) -> None:
    assert name_problem(target, name) == ""


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize(
    "name", ["", "a b", "-a", "a-", "a" * 64, "/a", "a/", "a/b/c", "exa_mple.org/a", "ä", "a\n"]
)
def test_names_that_are_not(target: str, name: str) -> None:
    assert name_problem(target, name)


def test_case_of_a_prefix_matters_to_labels_only() -> None:
    assert name_problem("Labels", "Example.org/a")
    assert name_problem("Annotations", "Example.org/a") == ""


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize(
    "name",
    [
        "secret-sync.alibabacloud.com/owner",
        "secret-sync.alibabacloud.com/anything",
        "kubernetes.io/service-account.name",
        "kubernetes.io/service-account.uid",
        "kubectl.kubernetes.io/last-applied-configuration",
    ],
)
def test_reserved_names_are_refused(target: str, name: str) -> None:
    assert "reserved" in name_problem(target, name)


@pytest.mark.parametrize("value", [b"", b"a", b"a.b_c-d", b"A" * 63])
def test_values_that_are_legal(value: bytes) -> None:
    assert value_problem("Labels", value) == ""


@pytest.mark.parametrize(
    "value", [b"hunter 2", b"hunter2\n", b"-hunter2", b"hunter2" * 10, b"\xff"]
)
def test_values_that_are_not_are_not_repeated(value: bytes) -> None:
    said = value_problem("Labels", value)
    assert said
    assert "hunter" not in said


def test_values_of_annotations_are_any_text() -> None:
    assert value_problem("Annotations", "ä\n{}".encode()) == ""
    assert value_problem("Annotations", b"\xff")


def test_size_counts_names_and_values() -> None:
    nothing = size_of({}, {})
    assert size_of({}, {"a": "ä", "d": ""}) - nothing == len("aäd") + 1 + len(
        "annotations/a annotations/d "
    )
    # Their names are in an annotation.
    assert size_of({"a": "value"}, {}) - nothing >= len("labels/a ")
