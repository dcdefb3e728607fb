"""What is written chooses the one identity; what is half written, none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.store.identity import Identity
from secret_sync.controller.sync import Problem
from secret_sync.credentials import (
    AccessKeyProvider,
    AssumedRoleProvider,
    EnvironmentKeyProvider,
    OidcRoleProvider,
    WorkerRoleProvider,
)
from secret_sync.resources import Reason, SecretStore, secret_from_metadata
from secret_sync.settings import OwnIdentity
from tests.unit.controller.planning import Cluster, account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.credentials import CredentialProvider

ROLE = "acs:ram::1:role/reader"
OTHER = "acs:ram::2:role/remote"
PROVIDER = "acs:ram::1:oidc-provider/ack-rrsa-c1"
KEY: dict[str, Any] = {"accessKey": {"name": "key", "key": "id"}}
SECRET: dict[str, Any] = {"accessKeySecret": {"name": "key", "key": "secret"}}
ACCOUNT: dict[str, Any] = {"serviceAccountRef": {"name": "reader"}}
RRSA: dict[str, Any] = {"oidcProviderARN": PROVIDER, "ramRoleARN": ROLE}


def store(namespace: str = "ns", service: str = "KMS", **auth: Any) -> SecretStore:
    metadata = {"name": "store", "uid": "u", "resourceVersion": "1", "generation": 1}
    if namespace:
        metadata["namespace"] = namespace
    return SecretStore.from_dict(
        {"metadata": metadata, "spec": {service: {f"{service}Auth": auth}}}
    )


@pytest.fixture
def cluster() -> Cluster:
    """ServiceAccount ``ns/reader`` with a role, and Secret ``ns/key``."""
    made = Cluster()
    metadata = {"namespace": "ns", "name": "key", "uid": "s", "resourceVersion": "1"}
    made.add(account(role=ROLE), secret_from_metadata({"metadata": metadata}))
    return made


def provider_of(found: Identity | Problem) -> CredentialProvider:
    assert isinstance(found, Identity), found
    return found.provider


def reason_of(found: Identity | Problem) -> Reason:
    assert isinstance(found, Problem), found
    return found.reason


@pytest.mark.parametrize(
    ("auth", "kind", "ignored"),
    [
        ({**ACCOUNT, "oidcProviderARN": PROVIDER}, OidcRoleProvider, ()),
        (
            {**ACCOUNT, **RRSA, **KEY, **SECRET},
            OidcRoleProvider,
            ("accessKey", "accessKeySecret"),
        ),
        ({**ACCOUNT, **RRSA, "ramRoleARN": OTHER}, OidcRoleProvider, ("ramRoleARN",)),
        (RRSA, OidcRoleProvider, ()),
        ({**RRSA, **KEY, **SECRET}, OidcRoleProvider, ("accessKey", "accessKeySecret")),
        ({**KEY, **SECRET, "ramRoleARN": ROLE}, AssumedRoleProvider, ()),
        ({**KEY, **SECRET}, AccessKeyProvider, ()),
        ({}, WorkerRoleProvider, ()),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_the_first_of_the_order_counts(
    cluster: Cluster, auth: dict[str, Any], kind: type, ignored: tuple[str, ...]
) -> None:
    found = cluster.identities().resolve(store(**auth), "kms")
    assert isinstance(provider_of(found), kind)
    assert isinstance(found, Identity)
    assert found.ignored == ignored


@pytest.mark.parametrize(
    "auth",
    [{**ACCOUNT, "oidcProviderARN": PROVIDER}, RRSA, {**KEY, **SECRET}, {}],
    ids=lambda value: "+".join(value) or "worker",
)
def test_a_remote_role_stands_on_top_of_any_method(cluster: Cluster, auth: dict[str, Any]) -> None:
    below = provider_of(cluster.identities().resolve(store(**auth), "kms"))
    found = cluster.identities().resolve(store(**auth, remoteRamRoleARN=OTHER), "kms")
    remote = provider_of(found)
    assert isinstance(remote, AssumedRoleProvider)
    assert remote.base is not None
    assert remote.base.key == below.key
    assert remote.key.account == "2"


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (KEY, "accessKeySecret is missing"),
        (SECRET, "accessKey is missing"),
        ({**KEY, **RRSA}, "accessKeySecret is missing"),
        ({**KEY, **ACCOUNT}, "accessKeySecret is missing"),
        ({"accessKey": {}, "accessKeySecret": {}}, "accessKey.name is empty"),
        ({"serviceAccountRef": {}}, "serviceAccountRef.name is empty"),
        ({"ramRoleARN": ROLE}, "set oidcProviderARN"),
        ({"oidcProviderARN": PROVIDER}, "ramRoleARN is missing"),
        ({"oidcProviderARN": PROVIDER, **KEY, **SECRET}, "ramRoleARN is missing"),
        ({"serviceAccountRef": {"name": ""}}, "serviceAccountRef.name is empty"),
        ({**KEY, **SECRET, "ramRoleARN": "reader"}, "acs:ram::<account>:role/<name>"),
        ({**RRSA, "oidcProviderARN": "x"}, "acs:ram::<account>:oidc-provider/<name>"),
        ({"remoteRamRoleARN": "x"}, "remoteRamRoleARN is 'x'"),
    ],
    ids=str,
)
def test_half_a_method_refuses_the_store_even_beside_a_complete_one(
    cluster: Cluster, auth: dict[str, Any], said: str
) -> None:
    found = cluster.identities().resolve(store(**auth), "kms")
    assert reason_of(found) is Reason.STORE_INVALID
    assert isinstance(found, Problem)
    assert said in found.message
    assert "SecretStore ns/store: spec.KMS.KMSAuth" in found.message


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"ramRoleSessionName": "x"}, Reason.SESSION_NAME_INVALID),
        ({"ramRoleSessionName": "no spaces"}, Reason.SESSION_NAME_INVALID),
        ({"roleSessionExpiration": "899"}, Reason.SESSION_EXPIRATION_INVALID),
        ({"roleSessionExpiration": "1h"}, Reason.SESSION_EXPIRATION_INVALID),
        (
            {"remoteRamRoleARN": OTHER, "remoteRamRoleSessionName": "?"},
            Reason.SESSION_NAME_INVALID,
        ),
        ({"oidcTokenFilePath": "/etc/shadow"}, Reason.TOKEN_FILE_REFUSED),
    ],
)
def test_store_that_sts_would_refuse_is_refused_without_a_call(
    cluster: Cluster, written: dict[str, str], reason: Reason
) -> None:
    assert reason_of(cluster.identities().resolve(store(**RRSA, **written), "kms")) is reason


def test_the_controllers_own_token_file_may_be_named(cluster: Cluster) -> None:
    own = OwnIdentity(oidc_token_file="/mine")
    found = cluster.identities(own=own).resolve(store(**RRSA, oidcTokenFilePath="/mine"), "kms")
    assert isinstance(provider_of(found), OidcRoleProvider)


@pytest.mark.parametrize(
    ("written", "own", "flags", "expected"),
    [
        (PROVIDER, "acs:ram::9:oidc-provider/b", True, PROVIDER),
        ("", "acs:ram::9:oidc-provider/b", True, "acs:ram::9:oidc-provider/b"),
        ("", "", True, "acs:ram::7:oidc-provider/ack-rrsa-c7"),
        ("", "", False, None),
    ],
)
def test_sources_of_the_oidc_provider(
    cluster: Cluster, written: str, own: str, expected: str | None, *, flags: bool
) -> None:
    more: dict[str, Any] = {"account": "7", "cluster": "c7"} if flags else {}
    identities = cluster.identities(own=OwnIdentity(oidc_provider_arn=own), **more)
    found = identities.resolve(store(**ACCOUNT, oidcProviderARN=written), "kms")
    if expected is None:
        assert reason_of(found) is Reason.OIDC_PROVIDER_MISSING
    else:
        assert expected in provider_of(found).key.parts


def test_a_service_account_without_a_role_uses_the_stores() -> None:
    cluster = Cluster()
    cluster.add(account())
    resolve = cluster.identities().resolve
    assert reason_of(resolve(store(**ACCOUNT, oidcProviderARN=PROVIDER), "kms")) is (
        Reason.ROLE_MISSING
    )
    assert provider_of(resolve(store(**ACCOUNT, **RRSA), "kms")).key.account == "1"


def test_a_store_speaks_for_the_services_it_is_written_for(cluster: Cluster) -> None:
    resolve = cluster.identities().resolve
    parameters = store(service="OOS", **KEY, **SECRET)
    assert isinstance(provider_of(resolve(parameters, "oos")), AccessKeyProvider)
    assert reason_of(resolve(parameters, "kms")) is Reason.STORE_INVALID
    dedicated = SecretStore.from_dict(
        {
            "metadata": {"namespace": "ns", "name": "old", "uid": "u", "resourceVersion": "1"},
            "spec": {"KMS": {"dedicatedKMSAuth": {"endpoint": "x"}, "KMSAuth": {**KEY, **SECRET}}},
        }
    )
    assert reason_of(resolve(dedicated, "kms")) is Reason.UNSUPPORTED


def test_the_operator_turns_the_worker_role_off(cluster: Cluster) -> None:
    identities = cluster.identities(worker_role=False)
    for found in (identities.resolve(store(), "kms"), identities.own("ns")):
        assert reason_of(found) is Reason.WORKER_ROLE_DISABLED
        assert isinstance(found, Problem)
        assert "--enable-worker-role" in found.message


def test_controller_identity_is_granted_where_the_operator_says(cluster: Cluster) -> None:
    granted = cluster.identities(namespaces=("trusted",), roles=("acs:ram::1:role/lent-*",))
    refused = [
        granted.own("ns"),
        granted.resolve(store(**RRSA), "kms"),
        granted.resolve(store(), "kms"),
        granted.resolve(store("trusted", **RRSA), "kms"),
        granted.resolve(store("", **RRSA), "kms"),
        granted.resolve(store("trusted", remoteRamRoleARN=OTHER), "kms"),
    ]
    assert {reason_of(found) for found in refused} == {Reason.IDENTITY_REFUSED}
    role = {**RRSA, "ramRoleARN": "acs:ram::1:role/lent-one"}
    for found in (
        granted.own("trusted"),
        granted.resolve(store("trusted"), "kms"),
        granted.resolve(store("trusted", **role), "kms"),
        # Who writes a ClusterSecretStore administers the cluster.
        granted.resolve(store("", **role), "kms"),
        # These are the tenant's own.
        granted.resolve(store(**KEY, **SECRET, ramRoleARN=ROLE), "kms"),
        granted.resolve(store(**ACCOUNT, oidcProviderARN=PROVIDER), "kms"),
    ):
        provider_of(found)


def test_the_controllers_own_service_account_is_no_way_around(cluster: Cluster) -> None:
    user = "system:serviceaccount:ns:reader"
    limited = cluster.identities(user=user, roles=("acs:ram::1:role/lent",))
    found = limited.resolve(store(**ACCOUNT, oidcProviderARN=PROVIDER), "kms")
    assert reason_of(found) is Reason.IDENTITY_REFUSED


PAIR = {"access_key_id": "id", "access_key_secret": "secret"}


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        ({"role_arn": ROLE, "oidc_provider_arn": PROVIDER}, OidcRoleProvider),
        (PAIR, EnvironmentKeyProvider),
        ({**PAIR, "role_arn": ROLE}, AssumedRoleProvider),
        ({**PAIR, "remote_role_arn": ROLE}, AssumedRoleProvider),
        ({"oidc_token_file": "/token", "session_name": "named"}, WorkerRoleProvider),
        ({}, WorkerRoleProvider),
    ],
    ids=str,
)
def test_without_a_store_it_is_the_controllers_environment(
    own: Mapping[str, str], kind: type
) -> None:
    found = Cluster().identities(own=OwnIdentity(**own)).own("ns")
    assert isinstance(provider_of(found), kind)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"access_key_id": "id"}, "SECRET_ACCESS_KEY is missing"),
        ({"access_key_secret": "s"}, "ACCESS_KEY_ID is missing"),
        ({"role_arn": ROLE}, "set ALICLOUD_OIDC_PROVIDER_ARN"),
        ({"oidc_provider_arn": PROVIDER}, "ALICLOUD_ROLE_ARN is missing"),
        ({**PAIR, "role_arn": "x"}, "ALICLOUD_ROLE_ARN is 'x'"),
    ],
    ids=str,
)
def test_half_an_environment_is_refused(own: Mapping[str, str], said: str) -> None:
    found = Cluster().identities(own=OwnIdentity(**own)).own("ns")
    assert reason_of(found) is Reason.IDENTITY_INVALID
    assert isinstance(found, Problem)
    assert said in found.message


def test_equal_stores_are_one_identity_and_another_account_is_another(cluster: Cluster) -> None:
    cluster.add(account("other", role=ROLE))
    resolve = cluster.identities().resolve
    one, same, other = (
        provider_of(resolve(store(serviceAccountRef={"name": name}, **RRSA), "kms")).key
        for name in ("reader", "reader", "other")
    )
    assert one == same
    assert one != other


WAYS: dict[str, dict[str, Any]] = {
    "account": ACCOUNT,
    "provider": {"oidcProviderARN": PROVIDER},
    "role": {"ramRoleARN": ROLE},
    "key": KEY,
    "secret": SECRET,
    "remote": {"remoteRamRoleARN": OTHER},
}


@given(st.sets(st.sampled_from(sorted(WAYS))))
def test_no_combination_falls_back(written: set[str]) -> None:
    cluster = Cluster()
    metadata = {"namespace": "ns", "name": "key", "uid": "s", "resourceVersion": "1"}
    cluster.add(account(role=ROLE), secret_from_metadata({"metadata": metadata}))
    auth = {name: value for way in written for name, value in WAYS[way].items()}
    identities = cluster.identities(account="1", cluster="c1")
    found = identities.resolve(store(**auth), "kms")

    half_a_key = len(written & {"key", "secret"}) == 1
    half_a_role = "account" not in written and (
        ("provider" in written and "role" not in written)
        or ("role" in written and not written & {"provider", "key"})
    )
    if half_a_key or half_a_role:
        assert reason_of(found) is Reason.STORE_INVALID
        return
    chosen = provider_of(found)
    if "remote" in written:
        assert isinstance(chosen, AssumedRoleProvider)
        assert chosen.base is not None
        chosen = chosen.base
    expected: type = WorkerRoleProvider
    if written & {"account", "provider"}:
        expected = OidcRoleProvider
    elif {"key", "role"} <= written:
        expected = AssumedRoleProvider
    elif "key" in written:
        expected = AccessKeyProvider
    assert type(chosen) is expected
