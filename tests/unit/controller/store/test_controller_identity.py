"""The controller's own identity goes where its flags say, whichever method and way asks for it."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.store.identity import Identity
from secret_sync.resources import Namespace, Reason, SecretStore, secret_from_metadata
from secret_sync.settings import OwnIdentity
from tests.unit.controller.planning import Cluster, account, cluster_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.external_secret.planner import PlannedEntry
    from secret_sync.controller.store.identity import IdentityResolver
    from secret_sync.resources import ExternalSecret

HOME = "secret-sync-system"
USER = f"system:serviceaccount:{HOME}:secret-sync"
ROLE = "acs:ram::1:role/lent"
REMOTE = "acs:ram::2:role/lent-too"
PROVIDER = "acs:ram::1:oidc-provider/ack-rrsa-c1"
ALLOW = "secret-sync.alibabacloud.com/allow-namespaces"
AS_CONTROLLER: dict[str, Any] = {
    "serviceAccountRef": {"name": "secret-sync", "namespace": HOME},
    "oidcProviderARN": PROVIDER,
}

#: Every method of a store that can be the controller's: its fields, and the roles it assumes.
METHODS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "service account": (AS_CONTROLLER, (ROLE,)),
    "rrsa": ({"oidcProviderARN": PROVIDER, "ramRoleARN": ROLE}, (ROLE,)),
    "worker role": ({}, ()),
} | {
    f"remote role on {name}": ({**auth, "remoteRamRoleARN": REMOTE}, (*roles, REMOTE))
    for name, auth, roles in (
        ("service account", AS_CONTROLLER, (ROLE,)),
        ("rrsa", {"oidcProviderARN": PROVIDER, "ramRoleARN": ROLE}, (ROLE,)),
        ("worker role", {}, ()),
    )
}
#: Every environment that the controller may have.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "role": {"role_arn": ROLE, "oidc_provider_arn": PROVIDER},
    "key": {"access_key_id": "id", "access_key_secret": "secret"},
    "key and role": {"access_key_id": "id", "access_key_secret": "secret", "role_arn": ROLE},
    "worker role": {},
    "remote role": {"remote_role_arn": REMOTE},
}
#: Every way to a store: the kind of reference, and whether the store is in another namespace.
WAYS = ("own namespace", "other by flag", "other by annotation", "cluster", "cluster conditions")
NAMESPACES = ("trusted", "tenant")
#: A user's namespace, the store's, and a way from the one to the other.
FROM_HERE_TO_THERE = [
    (user, home, way)
    for user, home, way in product(NAMESPACES, NAMESPACES, WAYS)
    if (user != home) == way.startswith("other")
]


def store(namespace: str, allows: str, auth: dict[str, Any]) -> SecretStore:
    metadata: dict[str, Any] = {
        "namespace": namespace,
        "name": "store",
        "uid": f"u-{namespace}",
        "resourceVersion": "1",
        "annotations": {ALLOW: allows},
    }
    return SecretStore.from_dict({"metadata": metadata, "spec": {"KMS": {"KMSAuth": auth}}})


def cluster(user: str, home: str, way: str, auth: dict[str, Any]) -> tuple[Cluster, dict[str, str]]:
    """A cluster with one store that the ExternalSecret may use, and the reference to it."""
    made = Cluster()
    made.add(account("secret-sync", namespace=HOME, role=ROLE))
    for name in NAMESPACES:
        labels = {"metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": {}}}
        made.add(Namespace.from_metadata(labels))
    if way.startswith("cluster"):
        conditions = [{"namespaces": [user]}] if way.endswith("conditions") else []
        made.add(cluster_store("store", *conditions, auth=auth))
        return made, {"name": "store", "kind": "ClusterSecretStore"}
    made.add(store(home, user if way.endswith("annotation") else "", auth))
    return made, {"name": "store", "namespace": home}


def planned(made: Cluster, es: ExternalSecret, **more: Any) -> PlannedEntry:
    (entry,) = made.planner(cross=True, user=USER, **more).plan(es).entries
    return entry


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("user", "home", "way"), FROM_HERE_TO_THERE, ids=str)
@pytest.mark.parametrize("allowed", [(), ("trusted",), ("*",)], ids=str)
def test_identity_namespaces_hold_for_every_method_and_every_way(
    make_es: Callable[..., ExternalSecret],
    method: str,
    user: str,
    home: str,
    way: str,
    allowed: tuple[str, ...],
) -> None:
    auth, _ = METHODS[method]
    made, reference = cluster(user, home, way, auth)
    es = make_es(
        metadata={"namespace": user}, data=[{"key": "db", "name": "x", "secretStoreRef": reference}]
    )
    entry = planned(made, es, namespaces=allowed)

    def granted(namespace: str) -> bool:
        return not allowed or "*" in allowed or namespace in allowed

    expected = {
        "own namespace": granted(home),
        # What the operator's flag admits grants nothing to others.
        "other by flag": granted(home) and granted(user),
        # The author of a store that may borrow decides who uses it.
        "other by annotation": granted(home),
        # Who writes a ClusterSecretStore administers the cluster.
        "cluster": True,
        "cluster conditions": True,
    }[way]
    assert (entry.problem is None) == expected, entry.problem
    if entry.problem is not None:
        assert entry.problem.reason is Reason.IDENTITY_REFUSED
        assert "--controller-identity-namespaces" in entry.problem.message


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("user", NAMESPACES)
def test_identity_namespaces_hold_without_a_store(
    make_es: Callable[..., ExternalSecret], environment: str, user: str
) -> None:
    es = make_es(metadata={"namespace": user}, data=[{"key": "db", "name": "x"}])
    own = OwnIdentity(**ENVIRONMENTS[environment])
    problem = planned(Cluster(), es, own=own, namespaces=("trusted",)).problem
    assert (problem is None) == (user == "trusted")
    if problem is not None:
        assert problem.reason is Reason.IDENTITY_REFUSED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("patterns", [(ROLE,), (REMOTE,), ("acs:ram::?:role/lent*",)], ids=str)
def test_the_roles_that_it_may_assume_hold_for_every_method_and_every_way(
    make_es: Callable[..., ExternalSecret], method: str, way: str, patterns: tuple[str, ...]
) -> None:
    auth, roles = METHODS[method]
    home = "trusted" if way.startswith("other") else "tenant"
    made, reference = cluster("tenant", home, way, auth)
    es = make_es(
        metadata={"namespace": "tenant"},
        data=[{"key": "db", "name": "x", "secretStoreRef": reference}],
    )
    problem = planned(made, es, roles=patterns).problem
    expected = "?" in patterns[0] or not set(roles) - set(patterns)
    assert (problem is None) == expected, problem
    if problem is not None:
        assert problem.reason is Reason.IDENTITY_REFUSED
        assert "--allow-role-arn" in problem.message


def resolver(**more: Any) -> IdentityResolver:
    made = Cluster()
    made.add(account("secret-sync", namespace=HOME, role=ROLE), account(role=ROLE))
    metadata = {"namespace": "ns", "name": "key", "uid": "s", "resourceVersion": "1"}
    made.add(secret_from_metadata({"metadata": metadata}))
    return made.identities(cross=True, **more)


AS_READER = {**AS_CONTROLLER, "serviceAccountRef": {"name": "reader"}}
PAIR = {
    "accessKey": {"name": "key", "key": "id"},
    "accessKeySecret": {"name": "key", "key": "secret"},
}
TENANTS: dict[str, dict[str, Any]] = {
    "service account": AS_READER,
    "key": PAIR,
    "key and role": {**PAIR, "ramRoleARN": ROLE},
}


@pytest.mark.parametrize("auth", TENANTS.values(), ids=TENANTS)
@pytest.mark.parametrize("remote", [{}, {"remoteRamRoleARN": REMOTE}], ids=["", "remote"])
def test_credentials_of_a_tenant_are_not_limited(
    auth: dict[str, Any], remote: dict[str, str]
) -> None:
    limited = resolver(user=USER, namespaces=("trusted",), roles=("none",))
    found = limited.resolve(store("ns", "", {**auth, **remote}), "kms")
    assert isinstance(found, Identity), found
    assert not found.borrowed


@pytest.mark.parametrize(
    ("user", "token_user", "borrowed"),
    [
        (USER, "", True),
        # A user of a kubeconfig is no ServiceAccount, but RRSA acts as the one of the token.
        ("kubernetes-admin", USER, True),
        ("kubernetes-admin", "", False),
        ("system:serviceaccount:other:secret-sync", "", False),
        # Nobody says who the controller is: it might be any.
        ("", "", True),
        ("", "system:serviceaccount:other:secret-sync", True),
    ],
)
def test_service_account_of_the_controller_is_known(
    user: str, token_user: str, *, borrowed: bool
) -> None:
    found = resolver(user=user, token_user=token_user).resolve(
        store("ns", "", AS_CONTROLLER), "kms"
    )
    assert isinstance(found, Identity)
    assert found.borrowed == borrowed


def test_no_chain_on_the_controllers_identity_is_confused_with_a_tenants() -> None:
    keys = []
    for auth in (
        *(auth for auth, _ in METHODS.values()),
        *TENANTS.values(),
        *({**auth, "remoteRamRoleARN": REMOTE} for auth in TENANTS.values()),
    ):
        found = resolver(user=USER).resolve(store("ns", "", auth), "kms")
        assert isinstance(found, Identity)
        keys.append(found.provider.key)
    for environment in ENVIRONMENTS.values():
        own = OwnIdentity(oidc_token_file="/own", **environment)
        found = resolver(user=USER, own=own).own("ns")
        assert isinstance(found, Identity)
        keys.append(found.provider.key)
    alike = {(one.mode, two.mode) for one, two in combinations(keys, 2) if one == two}
    # The worker role is one identity, written in a store or meant by an empty environment.
    assert alike == {("WorkerRole", "WorkerRole"), ("AssumedRole", "AssumedRole")}
    assert len(keys) - len(set(keys)) == 2
