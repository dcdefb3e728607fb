"""A kept identity is the one that a resolver that keeps nothing would find."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.controller.store.identity import KEPT, Identity
from secret_sync.controller.sync import Problem
from secret_sync.resources import SecretStore, secret_from_metadata
from tests.unit.controller.planning import Cluster, account

if TYPE_CHECKING:
    from secret_sync.resources import SecretMeta

ROLES = ("", "acs:ram::1:role/reader", "acs:ram::2:role/reader", "no role")
KEY = {"accessKey": {"name": "key", "key": "id"}, "accessKeySecret": {"name": "key", "key": "s"}}
ACCOUNT = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": "acs:ram::1:oidc-provider/o"}
ELSEWHERE = {
    "accessKey": {"name": "key", "key": "id", "namespace": "other"},
    "accessKeySecret": {"name": "key", "key": "s", "namespace": "other"},
}


def store(name: str, auth: dict[str, Any], generation: int = 1) -> SecretStore:
    metadata = {"namespace": "ns", "name": name, "uid": "u", "resourceVersion": str(generation)}
    return SecretStore.from_dict(
        {"metadata": metadata | {"generation": generation}, "spec": {"KMS": {"KMSAuth": auth}}}
    )


def secret(namespace: str, version: int, allows: str) -> SecretMeta:
    metadata: dict[str, Any] = {
        "namespace": namespace,
        "name": "key",
        "uid": "s",
        "resourceVersion": str(version),
    }
    if allows:
        metadata["annotations"] = {"alibabacloud.com/allow-namespaces": allows}
    return secret_from_metadata({"metadata": metadata})


def seen(found: Identity | Problem) -> object:
    """Return what tells two identities apart: the key, and what the key does not hold."""
    if isinstance(found, Problem):
        return found
    return found.provider.key, found.ignored, found.borrowed, getattr(found.provider, "key_id", "")


CHANGES = st.one_of(
    st.tuples(st.just("store"), st.sampled_from((KEY, ACCOUNT, ELSEWHERE, {}))),
    st.tuples(st.just("secret"), st.sampled_from(("ns", "other")), st.sampled_from(("", "ns"))),
    st.tuples(st.just("no secret"), st.sampled_from(("ns", "other"))),
    st.tuples(st.just("account"), st.sampled_from(ROLES)),
    st.tuples(st.just("no account")),
)


@settings(max_examples=200)
@given(st.lists(CHANGES, max_size=12))
def test_kept_identity_is_that_of_a_fresh_resolver(changes: list[tuple[Any, ...]]) -> None:
    cluster = Cluster()
    keeping = cluster.identities()
    current = store("store", KEY)
    for version, (what, *how) in enumerate(changes, 2):
        match what:
            case "store":
                current = store("store", how[0], version)
            case "secret":
                cluster.add(secret(how[0], version, how[1]))
            case "no secret":
                cluster.secrets.remove(f"{how[0]}/key")
            case "account":
                cluster.add(account(role=how[0]))
            case _:
                cluster.accounts.remove("ns/reader")
        found = keeping.resolve(current, "kms")
        assert seen(found) == seen(cluster.identities().resolve(current, "kms"))
        assert keeping.resolve(current, "kms") is found


def test_stores_of_one_name_are_kept_apart() -> None:
    cluster = Cluster()
    cluster.add(secret("ns", 1, ""), account(role=ROLES[1]))
    keeping = cluster.identities()
    one = store("store", KEY)
    other = replace(store("store", ACCOUNT), namespace="")
    assert keeping.resolve(one, "kms") != keeping.resolve(other, "kms")
    assert isinstance(keeping.resolve(one, "oos"), Problem)
    assert isinstance(keeping.resolve(one, "kms"), Identity)


def test_number_of_kept_identities_is_bounded() -> None:
    cluster = Cluster()
    cluster.add(secret("ns", 1, ""))
    keeping = cluster.identities()
    stores = [store(f"store-{number}", KEY) for number in range(KEPT + 1)]
    first, *others = [keeping.resolve(each, "kms") for each in stores]
    assert [keeping.resolve(each, "kms") for each in stores[1:]] == others
    assert all(
        keeping.resolve(each, "kms") is kept for each, kept in zip(stores[1:], others, strict=True)
    )
    assert keeping.resolve(stores[0], "kms") is not first
