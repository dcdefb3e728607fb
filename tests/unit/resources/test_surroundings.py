"""ServiceAccounts, namespaces and the rules about them: nothing that is there makes them raise."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import (
    Definition,
    ForeignSecret,
    ManagedSecret,
    Namespace,
    NamespaceRule,
    SecretStore,
    ServiceAccount,
    secret_from_metadata,
)
from secret_sync.resources.namespace_rule import LabelSelector, Requirement

METADATA = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "7"}
ALLOW = "secret-sync.alibabacloud.com/allow-namespaces"
ROLE = "ack.alibabacloud.com/role-arn"


def account(**more: Any) -> ServiceAccount:
    return ServiceAccount.from_metadata({"metadata": {**METADATA, **more}})


def namespace(**more: Any) -> Namespace:
    metadata = {"name": "some", "uid": "u", "resourceVersion": "7", **more}
    return Namespace.from_metadata({"metadata": metadata})


def test_a_service_account_is_read() -> None:
    annotations = {ROLE: "acs:ram::1:role/a", ALLOW: "a, b", "else": "x"}
    found = account(annotations=annotations)
    assert found == ServiceAccount("ns", "some", "u", "7", "acs:ram::1:role/a", "a, b")


@pytest.mark.parametrize("more", [{}, {"annotations": None}, {"annotations": {ROLE: ""}}])
def test_a_service_account_without_annotations_is_read(more: dict[str, Any]) -> None:
    assert account(**more) == ServiceAccount("ns", "some", "u", "7", "", "")


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        ({}, False),
        # Its kubelet and its token controller touch it for reasons of their own.
        ({"resourceVersion": "8", "labels": {"a": "b"}}, False),
        ({"annotations": {"else": "x"}}, False),
        ({"uid": "another"}, True),
        ({"annotations": {ROLE: "acs:ram::1:role/a"}}, True),
        ({"annotations": {ALLOW: "a"}}, True),
    ],
)
def test_relevant_fields_of_a_service_account(more: dict[str, Any], *, differs: bool) -> None:
    assert account(**more).differs(account()) == differs
    assert account(**more).differs(None)


def test_a_namespace_is_its_labels() -> None:
    found = namespace(labels={"b": "2", "a": "1", "empty": ""}, annotations={"x": "y"})
    assert found == Namespace("", "some", "u", "7", (("a", "1"), ("b", "2"), ("empty", "")))
    assert found.namespace == ""
    assert namespace(labels=None).labels == namespace().labels == ()
    assert namespace(labels={"a": "1", "b": "2"}) == namespace(labels={"b": "2", "a": "1"})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({}, NamespaceRule(None, (), ())),
        (
            {"namespaces": None, "namespaceRegexes": None, "namespaceSelector": None},
            NamespaceRule(None, (), ()),
        ),
        (
            {"namespaces": ["a"], "namespaceRegexes": ["b.*", ""]},
            NamespaceRule(None, ("a",), ("b.*", "")),
        ),
        # Empty is not absent: it selects everything.
        ({"namespaceSelector": {}}, NamespaceRule(LabelSelector((), ()), (), ())),
        (
            {"namespaceSelector": {"matchLabels": None, "matchExpressions": None}},
            NamespaceRule(LabelSelector((), ()), (), ()),
        ),
        (
            {
                "namespaceSelector": {
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "k", "operator": "In", "values": ["v", ""]}],
                }
            },
            NamespaceRule(
                LabelSelector((("a", "b"),), (Requirement("k", "In", ("v", "")),)), (), ()
            ),
        ),
        (
            {"namespaceSelector": {"matchExpressions": [{"key": None, "operator": None}, {}]}},
            NamespaceRule(
                LabelSelector((), (Requirement("", "", ()), Requirement("", "", ()))), (), ()
            ),
        ),
    ],
)
def test_a_condition_is_read_as_written(written: dict[str, Any], read: NamespaceRule) -> None:
    assert NamespaceRule.from_dict(written) == read


@pytest.mark.parametrize(
    ("namespaced", "kind", "title"),
    [
        (True, "SecretStore", "SecretStore ns/some"),
        (False, "ClusterSecretStore", "ClusterSecretStore some"),
    ],
)
def test_both_kinds_of_store_are_one_shape(kind: str, title: str, *, namespaced: bool) -> None:
    metadata = {k: v for k, v in METADATA.items() if namespaced or k != "namespace"}
    found = SecretStore.from_dict(
        {
            "metadata": {**metadata, "annotations": {ALLOW: "*"}},
            "spec": {"conditions": [{"namespaces": ["a"]}, {}]},
        }
    )
    assert (found.kind, found.title, found.allows) == (kind, title, "*")
    assert found.rules == (NamespaceRule(None, ("a",), ()), NamespaceRule(None, (), ()))


def test_a_grant_moves_the_revision_of_a_store() -> None:
    def revision(**annotations: str) -> int:
        metadata = {**METADATA, "annotations": annotations}
        return SecretStore.from_dict({"metadata": metadata}).revision

    assert revision() != revision(**{ALLOW: "a"})


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("externalsecrets.alibabacloud.com", True),
        ("things.alibabacloud.com", True),
        ("externalsecrets.external-secrets.io", False),
        ("things.not-alibabacloud.com", False),
    ],
)
def test_of_definitions_only_those_of_our_group_are_kept(name: str, *, ours: bool) -> None:
    metadata = {"name": name, "uid": "u", "resourceVersion": "7", "annotations": {"a": "b"}}
    found = Definition.from_metadata({"metadata": metadata})
    assert found == (Definition("", name, "u", "7") if ours else None)


def test_store_shows_whether_ack_secret_manager_had_it() -> None:
    def store(*finalizers: str) -> SecretStore:
        return SecretStore.from_dict({"metadata": {**METADATA, "finalizers": list(finalizers)}})

    finalizer = "finalizer.ack.secrets-manager.alibabacloud.com"
    assert store("example.org/other", finalizer).legacy
    assert not store("example.org/other").legacy


@pytest.mark.parametrize("ours", [False, True])
def test_secrets_of_any_sort_say_whom_they_allow(*, ours: bool) -> None:
    owner = {"secret-sync.alibabacloud.com/owner": "some/u"} if ours else {}
    found = secret_from_metadata({"metadata": {**METADATA, "annotations": {ALLOW: "a", **owner}}})
    assert type(found) is (ManagedSecret if ours else ForeignSecret)
    assert found.allows == "a"
