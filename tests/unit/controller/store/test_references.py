"""Who may refer to what: the same namespace, who was named, or whom the operator trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.store.identity import Identity
from secret_sync.controller.store.references import agrees, secrets_of, service_accounts_of
from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason, SecretStore, secret_from_metadata
from tests.unit.controller.planning import Cluster, account

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta

ALLOW = "secret-sync.alibabacloud.com/allow-namespaces"
ROLE = "acs:ram::1:role/reader"
PROVIDER = "acs:ram::1:oidc-provider/ack-rrsa-c1"


def store(
    auth: dict[str, Any] | None = None, *, namespace: str = "ns", allows: str = ""
) -> SecretStore:
    metadata: dict[str, Any] = {"name": "store", "uid": "u", "resourceVersion": "1"}
    if namespace:
        metadata["namespace"] = namespace
    if allows:
        metadata["annotations"] = {ALLOW: allows}
    return SecretStore.from_dict({"metadata": metadata, "spec": {"KMS": {"KMSAuth": auth or {}}}})


def secret(namespace: str, *, allows: str = "") -> SecretMeta:
    metadata = {"namespace": namespace, "name": "key", "uid": "s", "resourceVersion": "1"}
    annotations = {ALLOW: allows} if allows else {}
    return secret_from_metadata({"metadata": {**metadata, "annotations": annotations}})


def access_key(namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {
        "accessKey": {"name": "key", "key": "id", **place},
        "accessKeySecret": {"name": "key", "key": "secret", **place},
    }


def acting_as(namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"serviceAccountRef": {"name": "reader", **place}, "oidcProviderARN": PROVIDER}


@pytest.mark.parametrize(
    ("allows", "agreed"),
    [
        ("ns", True),
        ("*", True),
        ("a,ns,b", True),
        (" a ,\tns ", True),
        ("a, *", True),
        ("", False),
        (",", False),
        ("ns2", False),
        ("n", False),
        # Names and the one star, no patterns: nobody should have to think about what matches.
        ("n*", False),
        ("NS", False),
        ("a ns", False),
    ],
)
def test_an_object_names_the_namespaces_that_may_refer_to_it(allows: str, *, agreed: bool) -> None:
    assert agrees(allows, "ns") == agreed


#: Each kind that can be referred to: what a store writes, and the object there.
AUTHS: dict[str, tuple[Callable[[str], dict[str, Any]], Callable[..., Any]]] = {
    "Secret": (access_key, lambda allows: secret("else", allows=allows)),
    "ServiceAccount": (
        acting_as,
        lambda allows: account(namespace="else", role=ROLE, allows=allows),
    ),
}


@pytest.mark.parametrize("kind", AUTHS)
@pytest.mark.parametrize(
    ("allows", "flag", "found"),
    [
        ("", False, False),
        ("other", False, False),
        ("else", False, False),
        ("ns", False, True),
        ("other, ns", False, True),
        ("*", False, True),
        ("", True, True),
    ],
)
def test_cross_namespace_reference_needs_a_grant(
    kind: str, allows: str, *, flag: bool, found: bool
) -> None:
    auth, referred = AUTHS[kind]
    cluster = Cluster()
    cluster.add(referred(allows))
    outcome = cluster.identities(cross=flag).resolve(store(auth("else")), "kms")
    if found:
        assert isinstance(outcome, Identity)
        return
    assert isinstance(outcome, Problem)
    assert outcome.reason is Reason.REFERENCE_REFUSED
    assert f"{kind} else/" in outcome.message
    assert ALLOW in outcome.message
    assert "--enable-cross-namespace-auth-ref" in outcome.message


@pytest.mark.parametrize("kind", AUTHS)
def test_refusal_does_not_reveal_whether_the_object_exists(kind: str) -> None:
    auth, referred = AUTHS[kind]
    empty, full = Cluster(), Cluster()
    full.add(referred("somebody-else"))
    asked = store(auth("else"))
    there = full.identities().resolve(asked, "kms")
    assert isinstance(there, Problem)
    assert there == empty.identities().resolve(asked, "kms")


@pytest.mark.parametrize(
    ("auth", "reason", "said"),
    [
        (
            access_key(),
            Reason.ACCESS_KEY_NOT_FOUND,
            "accessKey refers to Secret ns/key, which does not exist",
        ),
        (
            access_key("else"),
            Reason.ACCESS_KEY_NOT_FOUND,
            "Secret else/key, which does not exist or is in a namespace that",
        ),
        (
            acting_as(),
            Reason.SERVICE_ACCOUNT_NOT_FOUND,
            "serviceAccountRef refers to ServiceAccount ns/reader, which does not exist",
        ),
        (
            acting_as("else"),
            Reason.SERVICE_ACCOUNT_NOT_FOUND,
            "ServiceAccount else/reader, which does not exist or is in a namespace that",
        ),
    ],
)
def test_missing_object_of_an_allowed_reference_is_named(
    auth: dict[str, Any], reason: Reason, said: str
) -> None:
    outcome = Cluster().identities(cross=True).resolve(store(auth), "kms")
    assert isinstance(outcome, Problem)
    assert outcome.reason is reason
    assert said in outcome.message
    assert outcome.message.startswith("SecretStore ns/store: spec.KMS.KMSAuth.")


@pytest.mark.parametrize("kind", AUTHS)
def test_a_cluster_store_refers_wherever_it_likes_but_has_to_say_where(kind: str) -> None:
    auth, referred = AUTHS[kind]
    cluster = Cluster()
    # Nobody's leave is needed, not even where others have it.
    cluster.add(referred("somebody-else"))
    resolve = cluster.identities().resolve
    assert isinstance(resolve(store(auth("else"), namespace=""), "kms"), Identity)
    homeless = resolve(store(auth(""), namespace=""), "kms")
    assert isinstance(homeless, Problem)
    assert homeless.reason is Reason.STORE_INVALID
    assert homeless.message.startswith("ClusterSecretStore store: spec.KMS.KMSAuth.")
    assert "namespace is empty" in homeless.message


@pytest.mark.parametrize(
    ("allows", "flag", "found"),
    [("", False, False), ("other", False, False), ("a, ns", False, True), ("", True, True)],
)
def test_a_store_of_another_namespace_has_to_agree_or_the_operator(
    make_es: Callable[..., ExternalSecret], allows: str, *, flag: bool, found: bool
) -> None:
    cluster = Cluster()
    cluster.add(store(access_key(), namespace="else", allows=allows), secret("else"))
    ref = {"name": "store", "namespace": "else"}
    es = make_es(data=[{"key": "db", "secretStoreRef": ref}])
    (planned,) = cluster.planner(cross=flag).plan(es).entries
    if found:
        assert planned.wanted is not None
        return
    assert planned.problem is not None
    assert planned.problem.reason is Reason.REFERENCE_REFUSED
    assert "SecretStore else/store" in planned.problem.message
    assert ALLOW in planned.problem.message
    assert "--enable-cross-namespace-secret-store" in planned.problem.message
    # It would say the same of one that is not there.
    (absent,) = Cluster().planner().plan(es).entries
    assert absent.problem == planned.problem


def test_permission_to_use_a_store_grants_no_access_to_its_references(
    make_es: Callable[..., ExternalSecret],
) -> None:
    # The store's own namespace decides: the user of it is not asked about the Secret.
    cluster = Cluster()
    granted = store(access_key("third"), namespace="else", allows="ns")
    cluster.add(granted, secret("third", allows="ns"))
    ref = {"name": "store", "namespace": "else"}
    (planned,) = (
        cluster.planner().plan(make_es(data=[{"key": "db", "secretStoreRef": ref}])).entries
    )
    assert planned.problem is not None
    assert planned.problem.reason is Reason.REFERENCE_REFUSED
    assert "Secret third/key" in planned.problem.message


def test_indexes_name_what_both_blocks_of_a_store_refer_to() -> None:
    metadata = {"namespace": "ns", "name": "store", "uid": "u", "resourceVersion": "1"}
    both = SecretStore.from_dict(
        {
            "metadata": metadata,
            "spec": {
                "KMS": {"KMSAuth": {**access_key(), **acting_as("else")}},
                "OOS": {"OOSAuth": {**access_key("third"), **acting_as()}},
            },
        }
    )
    assert sorted(secrets_of(both)) == ["ns/key", "third/key"]
    assert sorted(service_accounts_of(both)) == ["else/reader", "ns/reader"]
    assert secrets_of(store()) == service_accounts_of(store()) == ()
