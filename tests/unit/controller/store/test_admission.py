"""``spec.conditions`` of a ClusterSecretStore: which namespaces may use it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.store.references import Admission, mistake, selects
from secret_sync.kube import Store
from secret_sync.resources import Namespace, Reason, SecretStore

if TYPE_CHECKING:
    from collections.abc import Mapping

TEAM_A = {"team": "a", "tier": "prod", "empty": ""}


def cluster_store(*conditions: dict[str, Any]) -> SecretStore:
    metadata = {"name": "shared", "uid": "u", "resourceVersion": "1", "generation": 1}
    return SecretStore.from_dict({"metadata": metadata, "spec": {"conditions": list(conditions)}})


def admission(labels: Mapping[str, str] | None = None, *, unknown: str = "") -> Admission:
    """Namespace ``payments`` with these labels; ``None``: it is not known."""
    known: Store[Namespace] = Store()
    if labels is not None:
        metadata = {"name": "payments", "uid": "n", "resourceVersion": "1", "labels": labels}
        known.put("payments", Namespace.from_metadata({"metadata": metadata}))
    return Admission(known, unknown=unknown)


def selector(*expressions: tuple[str, str, list[str]], **labels: str) -> dict[str, Any]:
    """A condition that selects by label."""
    found: dict[str, Any] = {}
    if labels:
        found["matchLabels"] = labels
    if expressions:
        found["matchExpressions"] = [
            {"key": key, "operator": operator, "values": values}
            for key, operator, values in expressions
        ]
    return {"namespaceSelector": found}


def admits(*conditions: dict[str, Any], labels: Mapping[str, str] | None = TEAM_A) -> bool:
    return admission(labels).refusal(cluster_store(*conditions), "payments") is None


def test_without_conditions_it_is_for_every_namespace() -> None:
    assert admits()
    assert admits(labels=None)


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        ({}, False),
        ({"namespaces": []}, False),
        ({"namespaces": ["payments"]}, True),
        ({"namespaces": ["else", "payments"]}, True),
        ({"namespaces": ["pay"]}, False),
        # A name, not a pattern.
        ({"namespaces": ["*"]}, False),
        ({"namespaces": ["pay.*"]}, False),
        ({"namespaceRegexes": ["payments"]}, True),
        ({"namespaceRegexes": ["pay.*"]}, True),
        ({"namespaceRegexes": ["^pay(ments|roll)$"]}, True),
        # The whole name has to match: "team-a" must not let "team-a-of-somebody-else" in.
        ({"namespaceRegexes": ["pay"]}, False),
        ({"namespaceRegexes": ["ments"]}, False),
        ({"namespaceRegexes": ["pay|else"]}, False),
        ({"namespaceRegexes": ["PAYMENTS"]}, False),
        ({"namespaceRegexes": ["(?i)PAYMENTS"]}, True),
        ({"namespaceRegexes": [""]}, False),
        ({"namespaceRegexes": ["no", "pay.*"]}, True),
        # One way of a condition is enough.
        ({"namespaces": ["else"], "namespaceRegexes": ["pay.*"]}, True),
        ({"namespaces": ["payments"], "namespaceSelector": {"matchLabels": {"x": "y"}}}, True),
        ({"namespaces": None, "namespaceRegexes": None, "namespaceSelector": None}, False),
    ],
    ids=str,
)
def test_names_and_regular_expressions(condition: dict[str, Any], *, admitted: bool) -> None:
    assert admits(condition) == admitted


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        # An empty selector is one that selects everything, as everywhere in Kubernetes.
        (selector(), True),
        (selector(team="a"), True),
        (selector(team="b"), False),
        (selector(team="a", tier="prod"), True),
        (selector(team="a", tier="dev"), False),
        (selector(empty=""), True),
        (selector(absent=""), False),
        (selector(("team", "In", ["b", "a"])), True),
        (selector(("team", "In", ["b"])), False),
        (selector(("absent", "In", ["a"])), False),
        (selector(("absent", "In", [""])), False),
        (selector(("team", "NotIn", ["b"])), True),
        (selector(("team", "NotIn", ["a"])), False),
        (selector(("absent", "NotIn", ["a"])), True),
        (selector(("team", "Exists", [])), True),
        (selector(("empty", "Exists", [])), True),
        (selector(("absent", "Exists", [])), False),
        (selector(("absent", "DoesNotExist", [])), True),
        (selector(("empty", "DoesNotExist", [])), False),
        (selector(("team", "Exists", []), ("tier", "In", ["dev"])), False),
        (selector(("tier", "In", ["prod"]), team="a"), True),
        (selector(("tier", "In", ["prod"]), team="b"), False),
    ],
    ids=str,
)
def test_labels(condition: dict[str, Any], *, admitted: bool) -> None:
    assert admits(condition) == admitted
    assert selects(cluster_store(condition))


#: What cannot be read, and what is said of it.
UNREADABLE = [
    (selector(("team", "in", ["a"])), "'in' is not an operator (In, NotIn, Exists, DoesNotExist)"),
    (selector(("team", "", ["a"])), "'' is not an operator"),
    (selector(("team", "In", [])), "operator In needs values"),
    (selector(("team", "NotIn", [])), "operator NotIn needs values"),
    (selector(("team", "Exists", ["a"])), "operator Exists takes no values"),
    (selector(("x", "DoesNotExist", ["a"])), "operator DoesNotExist takes no values"),
    ({"namespaceRegexes": ["pay("]}, "namespaceRegexes has 'pay(', which is not RE2 syntax"),
    # RE2 has no backreferences and does not look around.
    ({"namespaceRegexes": [r"(p)\1.*"]}, "not RE2 syntax"),
    ({"namespaceRegexes": ["(?=pay).*"]}, "not RE2 syntax"),
    ({"namespaceRegexes": ["a{1001}"]}, "not RE2 syntax"),
    ({"namespaceRegexes": ["p" * 1025]}, "more than 1024 characters"),
]


@pytest.mark.parametrize(("condition", "said"), UNREADABLE, ids=lambda value: str(value)[:60])
def test_unreadable_condition_matches_nothing_and_keeps_no_namespace_out(
    condition: dict[str, Any], said: str
) -> None:
    assert not admits(condition)
    assert admits(condition, {"namespaces": ["payments"]})
    assert admits({"namespaces": ["payments"]}, condition)

    first = mistake(cluster_store(condition))
    assert first is not None
    assert first.field[:3] == ("spec", "conditions", 0)
    assert first.message.startswith(f"spec.conditions[0].{first.field[3]} ")
    assert said in first.message
    second = cluster_store({"namespaces": ["else"]}, condition)
    other = mistake(second)
    assert other is not None
    assert other.field == ("spec", "conditions", 1, first.field[3])
    refused = admission(TEAM_A).refusal(second, "payments")
    assert refused is not None
    assert refused.reason is Reason.STORE_REFUSED
    assert said in refused.message


@pytest.mark.parametrize("broken", ["[", "(?<name"])
def test_a_broken_expression_leaves_those_beside_it_alone(broken: str) -> None:
    assert admits({"namespaceRegexes": [broken, "pay.*"]})
    assert admits({"namespaceRegexes": ["pay.*", broken]})


def test_no_expression_takes_long() -> None:
    # One that backtracks would need 2^60 steps for this name.
    condition = {"namespaceRegexes": ["(a+)+b", "(a|a)*b", "(.*)(.*)(.*)(.*)(.*)c"]}
    # Of its own time: that of a busy machine says nothing.
    began = time.thread_time()
    assert admission().refusal(cluster_store(condition), "a" * 60) is not None
    assert time.thread_time() - began < 1.0


def test_a_refusal_says_who_and_what_to_do() -> None:
    refused = admission(TEAM_A).refusal(cluster_store({"namespaces": ["else"]}), "payments")
    assert refused is not None
    assert refused.reason is Reason.STORE_REFUSED
    assert refused.message == (
        "the conditions of ClusterSecretStore shared do not match namespace payments; "
        "its author has to add it"
    )


def test_labels_that_may_not_be_seen_match_nothing_and_are_named() -> None:
    blind = admission(None, unknown="RBAC does not allow it")
    by_label = cluster_store(selector(team="a"))
    refused = blind.refusal(by_label, "payments")
    assert refused is not None
    assert "labels of namespaces are not known: RBAC does not allow it" in refused.message
    # Not even a selector of everything: whether there is such a namespace is not known.
    assert blind.refusal(cluster_store(selector()), "payments") is not None
    # By name it works all the same, and where no label is asked for, none is missed.
    assert blind.refusal(cluster_store({"namespaces": ["payments"]}), "payments") is None
    by_name = blind.refusal(cluster_store({"namespaces": ["else"]}), "payments")
    assert by_name is not None
    assert "labels" not in by_name.message


def test_only_selectors_make_labels_matter() -> None:
    by_name = {"namespaces": ["a"], "namespaceRegexes": ["b"]}
    assert not selects(cluster_store(by_name))
    assert selects(cluster_store(by_name, selector()))


@pytest.mark.parametrize(
    "requirement",
    [
        {"key": "", "operator": "DoesNotExist"},
        {"key": "env ", "operator": "NotIn", "values": ["prod"]},
        {"key": "env", "operator": "NotIn", "values": ["not a value"]},
        {"key": "a/b/c", "operator": "DoesNotExist"},
    ],
    ids=str,
)
def test_a_label_that_no_namespace_can_have_does_not_open_the_store(
    requirement: dict[str, Any],
) -> None:
    """Its absence is no match: Kubernetes refuses such a selector, and so do we."""
    store = cluster_store({"namespaceSelector": {"matchExpressions": [requirement]}})
    assert admission().refusal(store, "pay") is not None
    found = mistake(store)
    assert found is not None
    assert "of a label" in found.message
