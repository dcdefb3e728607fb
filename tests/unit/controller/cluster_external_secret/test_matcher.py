"""Which namespaces a ClusterExternalSecret selects."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.controller.cluster_external_secret.matcher import (
    ServedNamespaces,
    partial_match,
    selection_mistake,
    selects,
)
from tests.unit.controller.cluster_external_secret.conftest import ces_of, namespace_named


def by_labels(**labels: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": labels}}


def by(operator: str, *values: str) -> dict[str, Any]:
    expression = {"key": "team", "operator": operator, "values": list(values)}
    return {"namespaceSelector": {"matchExpressions": [expression]}}


@pytest.mark.parametrize(
    ("spec", "selected"),
    [
        pytest.param({}, True, id="nothing written"),
        pytest.param({"conditions": []}, True, id="an empty list is nothing written"),
        pytest.param({"conditions": [], "namespaceSelectors": []}, True, id="both empty"),
        pytest.param({"conditions": [{}]}, False, id="a condition without members"),
        pytest.param({"conditions": [{"namespaces": []}]}, False, id="an empty member"),
        pytest.param({"conditions": [{"namespaces": ["team-a"]}]}, True, id="by name"),
        pytest.param({"conditions": [{"namespaces": ["team"]}]}, False, id="a part of a name"),
        pytest.param({"conditions": [{"namespaceRegexes": ["team-.*"]}]}, True, id="a regex"),
        pytest.param({"conditions": [{"namespaceRegexes": ["team"]}]}, False, id="part by regex"),
        pytest.param({"conditions": [{"namespaceRegexes": ["x|team-a"]}]}, True, id="either"),
        pytest.param({"conditions": [{"namespaceRegexes": [""]}]}, False, id="an empty regex"),
        pytest.param({"conditions": [by_labels(team="a")]}, True, id="by label"),
        pytest.param({"conditions": [by_labels(team="a", tier="x")]}, False, id="all labels"),
        pytest.param({"conditions": [by("In", "a", "b")]}, True, id="In"),
        pytest.param({"conditions": [by("NotIn", "a")]}, False, id="NotIn"),
        pytest.param({"conditions": [by("Exists")]}, True, id="Exists"),
        pytest.param({"conditions": [by("DoesNotExist")]}, False, id="DoesNotExist"),
        pytest.param({"conditions": [{"namespaceSelector": {}}]}, True, id="an empty selector"),
        pytest.param(
            {"conditions": [{"namespaces": ["x"], **by_labels(team="a")}]}, True, id="members ORed"
        ),
        pytest.param({"conditions": [{}, {"namespaces": ["team-a"]}]}, True, id="entries ORed"),
        pytest.param(
            {"namespaceSelectors": [{"matchLabels": {"team": "a"}}]}, True, id="older form"
        ),
        pytest.param(
            {"namespaceSelectors": [{"matchLabels": {"team": "b"}}]}, False, id="older, others"
        ),
        pytest.param(
            {"conditions": [{}], "namespaceSelectors": [{"matchLabels": {"team": "a"}}]},
            True,
            id="both forms ORed",
        ),
    ],
)
def test_selects(spec: dict[str, Any], *, selected: bool) -> None:
    ces = ces_of(**spec)
    assert selection_mistake(ces) is None
    assert selects(ces, namespace_named("team-a", team="a")) is selected


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"conditions": [{}, {"namespaceRegexes": ["("]}]}, "spec.conditions[1].namespaceRegexes"),
        ({"conditions": [{"namespaceRegexes": ["a" * 2000]}]}, "of more than 1024 characters"),
        ({"conditions": [by("Like", "a")]}, "spec.conditions[0].namespaceSelector cannot be read"),
        ({"conditions": [by("In")]}, "operator In needs values"),
        (
            {"conditions": [{}], "namespaceSelectors": [{}, {"matchLabels": {"not a key": "a"}}]},
            "spec.namespaceSelectors[1] cannot be read",
        ),
    ],
)
def test_mistake_is_named(spec: dict[str, Any], field: str) -> None:
    found = selection_mistake(ces_of(**spec))
    assert found is not None
    assert field in found.message


def test_a_regex_that_matches_a_part_is_found() -> None:
    ces = ces_of(conditions=[{"namespaceRegexes": ["x", "team"]}])
    assert partial_match(ces, namespace_named("team-a")) == "team"
    assert partial_match(ces, namespace_named("other")) == ""


def test_served_namespaces() -> None:
    assert "a" in ServedNamespaces()
    assert "a" in ServedNamespaces(("a",))
    assert "b" not in ServedNamespaces(("a",))
    assert "a" not in ServedNamespaces((), ("a",))
