"""What distinguishes identities, so that no two tenants ever share one that is not the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.store.identity import Identity
from secret_sync.controller.sync import Problem
from secret_sync.credentials import (
    AccessKeyProvider,
    AssumedRoleProvider,
    OidcRoleProvider,
    Role,
    WorkerRoleProvider,
)
from secret_sync.resources import Reason, SecretStore, secret_from_metadata
from secret_sync.settings import OwnIdentity
from tests.unit.controller.planning import Cluster, account

if TYPE_CHECKING:
    from secret_sync.credentials import CredentialKey, CredentialProvider

ROLE = "acs:ram::1:role/reader"
SECOND = "acs:ram::1:role/second"
REMOTE = "acs:ram::2:role/remote"
PROVIDER = "acs:ram::1:oidc-provider/ack-rrsa-c1"
TOKEN_FILE = "/var/run/secrets/tokens/ack-secret-manager"
RRSA = {"oidcProviderARN": PROVIDER, "ramRoleARN": ROLE}
PAIR = {
    "accessKey": {"name": "key", "key": "id"},
    "accessKeySecret": {"name": "key", "key": "secret"},
}
AS_READER: dict[str, Any] = {"serviceAccountRef": {"name": "reader"}, "oidcProviderARN": PROVIDER}


def store(*, namespace: str = "ns", name: str = "store", **auth: Any) -> SecretStore:
    metadata = {"namespace": namespace, "name": name, "uid": name, "resourceVersion": "1"}
    return SecretStore.from_dict({"metadata": metadata, "spec": {"KMS": {"KMSAuth": auth}}})


def cluster() -> Cluster:
    """Namespaces ``ns`` and ``other`` hold the same: ServiceAccount ``reader``, Secret ``key``."""
    made = Cluster()
    for namespace in ("ns", "other"):
        metadata = {
            "namespace": namespace,
            "name": "key",
            "uid": f"{namespace}-key",
            "resourceVersion": "1",
        }
        made.add(secret_from_metadata({"metadata": metadata}))
        made.add(account(namespace=namespace, role=ROLE))
    return made


def provider(given: SecretStore) -> CredentialProvider:
    found = cluster().identities().resolve(given, "kms")
    assert isinstance(found, Identity), found
    return found.provider


def key(**written: Any) -> CredentialKey:
    return provider(store(**written)).key


@pytest.mark.parametrize("auth", [PAIR, {**PAIR, "ramRoleARN": ROLE}, AS_READER, RRSA, {}], ids=str)
def test_equal_stores_share_one_identity(auth: dict[str, Any]) -> None:
    assert key(**auth) == key(name="another", **auth)


@pytest.mark.parametrize("auth", [PAIR, {**PAIR, "ramRoleARN": ROLE}, AS_READER], ids=str)
@pytest.mark.parametrize("remote", [{}, {"remoteRamRoleARN": REMOTE}], ids=["", "remote"])
def test_equal_stores_of_two_namespaces_are_two_identities(
    auth: dict[str, Any], remote: dict[str, str]
) -> None:
    assert key(**auth, **remote) != key(namespace="other", **auth, **remote)


@pytest.mark.parametrize(
    ("auth", "change"),
    [
        (PAIR, {"accessKey": {"name": "key", "key": "id2"}}),
        (PAIR, {"accessKeySecret": {"name": "key", "key": "secret2"}}),
        (PAIR, {"ramRoleARN": ROLE}),
        (PAIR, {"remoteRamRoleARN": REMOTE}),
        ({**PAIR, "ramRoleARN": ROLE}, {"ramRoleARN": SECOND}),
        ({**PAIR, "ramRoleARN": ROLE}, {"ramRoleSessionName": "audit"}),
        ({**PAIR, "ramRoleARN": ROLE}, {"roleSessionExpiration": "900"}),
        ({**PAIR, "ramRoleARN": ROLE}, {"remoteRamRoleARN": REMOTE}),
        (RRSA, {"ramRoleARN": SECOND}),
        (RRSA, {"oidcProviderARN": PROVIDER + "2"}),
        (RRSA, {"ramRoleSessionName": "audit"}),
        (RRSA, {"roleSessionExpiration": "43200"}),
        (RRSA, AS_READER),
        (AS_READER, {"serviceAccountRef": {"name": "reader", "audiences": ["another"]}}),
        ({**RRSA, "remoteRamRoleARN": REMOTE}, {"remoteRamRoleSessionName": "audit"}),
        ({"remoteRamRoleARN": REMOTE}, RRSA),
    ],
    ids=str,
)
def test_each_difference_in_an_sts_call_is_another_identity(
    auth: dict[str, Any], change: dict[str, Any]
) -> None:
    assert key(**auth) != key(**{**auth, **change})


def test_recreated_service_account_is_another() -> None:
    keys = set()
    for made_as in ("first", "second"):
        made = cluster()
        metadata = {
            "namespace": "ns",
            "name": "reader",
            "uid": made_as,
            "resourceVersion": "1",
            "annotations": {"ack.alibabacloud.com/role-arn": ROLE},
        }
        made.add(type(account()).from_metadata({"metadata": metadata}))
        found = made.identities().resolve(store(**AS_READER), "kms")
        assert isinstance(found, Identity)
        keys.add(found.provider.key)
    assert len(keys) == 2


def test_the_audience_of_a_token_is_that_of_sts_unless_another_is_written() -> None:
    tokens = key(**AS_READER).parts[0]
    assert tokens == ("serviceaccount", "ns", "reader", "uid-of-reader", ("sts.aliyuncs.com",))
    named = {"serviceAccountRef": {"name": "reader", "audiences": ["a", "b"]}}
    other = key(**{**AS_READER, **named}).parts[0]
    assert other == ("serviceaccount", "ns", "reader", "uid-of-reader", ("a", "b"))


def test_sessions_are_as_written_and_the_remote_one_has_a_name_of_its_own() -> None:
    remote = provider(
        store(
            **RRSA,
            ramRoleSessionName="near",
            roleSessionExpiration="900",
            remoteRamRoleARN=REMOTE,
            remoteRamRoleSessionName="far",
        )
    )
    assert isinstance(remote, AssumedRoleProvider)
    # A chained session lasts an hour at most, whatever the first one does.
    assert Role(REMOTE, "far") in remote.key.parts
    assert Role(ROLE, "near", 900) in remote.base.key.parts
    plain = provider(store(**RRSA, remoteRamRoleARN=REMOTE))
    assert Role(REMOTE, "secret-sync") in plain.key.parts


@pytest.mark.parametrize(
    ("own", "reason", "said"),
    [
        ({"session_name": "no spaces"}, Reason.SESSION_NAME_INVALID, "ALICLOUD_ROLE_SESSION_NAME"),
        (
            {"session_expiration": "60"},
            Reason.SESSION_EXPIRATION_INVALID,
            "ALICLOUD_ROLE_SESSION_EXPIRATION is '60'",
        ),
        (
            {"remote_role_arn": REMOTE, "remote_session_name": "?"},
            Reason.SESSION_NAME_INVALID,
            "ALICLOUD_REMOTE_ROLE_SESSION_NAME",
        ),
        ({"remote_role_arn": "x"}, Reason.IDENTITY_INVALID, "ALICLOUD_REMOTE_ROLE_ARN is 'x'"),
        (
            {"oidc_provider_arn": "x"},
            Reason.IDENTITY_INVALID,
            "ALICLOUD_OIDC_PROVIDER_ARN is 'x'",
        ),
    ],
    ids=str,
)
def test_fault_of_the_environment_names_its_variable(
    own: dict[str, str], reason: Reason, said: str
) -> None:
    rrsa = {"role_arn": ROLE, "oidc_provider_arn": PROVIDER}
    found = Cluster().identities(own=OwnIdentity(**{**rrsa, **own})).own("ns")
    assert isinstance(found, Problem)
    assert found.reason is reason
    assert found.message.startswith("the controller's environment: ")
    assert said in found.message


@pytest.mark.parametrize("auth", [RRSA, {}], ids=["rrsa", "worker"])
@pytest.mark.parametrize(
    ("patterns", "granted"),
    [
        ((), True),
        ((ROLE, REMOTE), True),
        (("acs:ram::*:role/re*",), True),
        ((ROLE,), False),
        (("acs:ram::1:role/*",), False),
        # A pattern is of the whole ARN.
        ((ROLE, "remote"), False),
        ((ROLE, "role/remote"), False),
    ],
)
def test_the_second_role_is_one_that_the_controller_assumes_too(
    auth: dict[str, str], patterns: tuple[str, ...], *, granted: bool
) -> None:
    identities = cluster().identities(roles=patterns)
    found = identities.resolve(store(**auth, remoteRamRoleARN=REMOTE), "kms")
    assert isinstance(found, Identity) == granted
    if isinstance(found, Problem):
        assert found.reason is Reason.IDENTITY_REFUSED
        assert f"may not assume {REMOTE}" in found.message
        assert "--allow-role-arn" in found.message
    # What is a tenant's own may go wherever its owner lets it.
    for own in (PAIR, AS_READER):
        given = store(**own, remoteRamRoleARN=REMOTE)
        assert isinstance(identities.resolve(given, "kms"), Identity)


def test_the_controllers_own_service_account_goes_no_further_than_the_controller() -> None:
    user = "system:serviceaccount:ns:reader"
    given = store(**AS_READER, remoteRamRoleARN=REMOTE)
    for patterns, granted in (((ROLE, REMOTE), True), ((ROLE,), False), ((REMOTE,), False)):
        found = cluster().identities(user=user, roles=patterns).resolve(given, "kms")
        assert isinstance(found, Identity) == granted


def test_a_key_in_the_environment_is_in_no_name_of_the_identity() -> None:
    own = OwnIdentity(access_key_id="LTAIxyz", access_key_secret="s3cret")
    found = Cluster().identities(own=own).own("ns")
    assert isinstance(found, Identity)
    assert "s3cret" not in f"{found!r} {found.provider.key!r} {own!r}"


def test_a_broken_provider_of_the_flags_is_not_the_authors_mistake() -> None:
    identities = cluster().identities(account="my account", cluster="c1")
    found = identities.resolve(store(serviceAccountRef={"name": "reader"}), "kms")
    assert isinstance(found, Problem)
    assert found.reason is Reason.OIDC_PROVIDER_MISSING
    assert "the controller's environment or flags" in found.message


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (
            {"oidcTokenFilePath": TOKEN_FILE},
            (
                "oidcTokenFilePath is set without credentials to assume a role: "
                "set oidcProviderARN and ramRoleARN"
            ),
        ),
        (
            {"oidcTokenFilePath": TOKEN_FILE, "remoteRamRoleARN": REMOTE},
            "oidcTokenFilePath is set without credentials to assume a role",
        ),
        ({"oidcTokenFilePath": TOKEN_FILE, "ramRoleARN": ROLE}, "set oidcProviderARN"),
        ({"oidcTokenFilePath": TOKEN_FILE, "oidcProviderARN": PROVIDER}, "ramRoleARN is missing"),
    ],
)
def test_store_with_a_token_file_does_not_get_the_role_of_the_node(
    auth: dict[str, str], said: str
) -> None:
    found = cluster().identities().resolve(store(**auth), "kms")
    assert isinstance(found, Problem)
    assert found.reason is Reason.STORE_INVALID
    assert said in found.message


@pytest.mark.parametrize("auth", [PAIR, {**PAIR, "ramRoleARN": ROLE}, AS_READER], ids=str)
def test_a_token_file_that_is_not_needed_is_named_as_ignored(auth: dict[str, Any]) -> None:
    found = cluster().identities().resolve(store(**auth, oidcTokenFilePath=TOKEN_FILE), "kms")
    assert isinstance(found, Identity)
    assert "oidcTokenFilePath" in found.ignored


#: A field with values that are right, and some that never are.
FIELDS: dict[str, tuple[list[Any], list[Any]]] = {
    "serviceAccountRef": ([{"name": "reader"}], [{"name": ""}]),
    "oidcProviderARN": ([PROVIDER], ["x"]),
    "ramRoleARN": ([ROLE, SECOND], ["x"]),
    "accessKey": ([PAIR["accessKey"]], [{"name": "key", "key": ""}, {"name": "", "key": "id"}]),
    "accessKeySecret": ([PAIR["accessKeySecret"]], [{"name": "key", "key": ""}]),
    "remoteRamRoleARN": ([REMOTE], ["x"]),
    "oidcTokenFilePath": ([TOKEN_FILE], ["/etc/shadow"]),
}


def expected(written: set[str]) -> type | None:
    """The documented order, once more; ``None`` where something is missing."""
    if len(written & {"accessKey", "accessKeySecret"}) == 1:
        return None
    if "serviceAccountRef" in written:
        return OidcRoleProvider
    if "oidcProviderARN" in written:
        return OidcRoleProvider if "ramRoleARN" in written else None
    if "accessKey" in written:
        return AssumedRoleProvider if "ramRoleARN" in written else AccessKeyProvider
    return None if written & {"ramRoleARN", "oidcTokenFilePath"} else WorkerRoleProvider


@given(st.fixed_dictionaries({}, optional={f: st.sampled_from(v[0]) for f, v in FIELDS.items()}))
def test_first_method_that_is_written_counts_or_none(auth: dict[str, Any]) -> None:
    found = cluster().identities().resolve(store(**auth), "kms")
    method = expected(set(auth))
    if method is None:
        assert isinstance(found, Problem)
        assert found.reason is Reason.STORE_INVALID
        assert re.search(r"missing|: set ", found.message)
        return
    if method is OidcRoleProvider and "oidcProviderARN" not in auth:
        assert isinstance(found, Problem)
        assert found.reason is Reason.OIDC_PROVIDER_MISSING
        return
    assert isinstance(found, Identity)
    below = found.provider
    if "remoteRamRoleARN" in auth:
        assert below.base is not None
        below = below.base
    assert type(below) is method
    assert set(found.ignored) <= auth.keys()
    if "serviceAccountRef" in auth:
        assert below.key.parts[0][0] == "serviceaccount"  # type: ignore[index]  # a tuple
    # Whatever is written was used, or is named.
    keys = {"accessKey", "accessKeySecret"} & auth.keys()
    used_keys = method in (AccessKeyProvider, AssumedRoleProvider)
    assert set(found.ignored) & keys == (set() if used_keys else keys)


@given(
    st.fixed_dictionaries({}, optional={f: st.sampled_from(v[0]) for f, v in FIELDS.items()}),
    st.sampled_from([(f, value) for f, (_, wrong) in FIELDS.items() for value in wrong]),
)
def test_a_field_that_can_never_work_refuses_whatever_else_is_written(
    auth: dict[str, Any], wrong: tuple[str, Any]
) -> None:
    field, value = wrong
    found = cluster().identities().resolve(store(**{**auth, field: value}), "kms")
    assert isinstance(found, Problem)
    # A method that is incomplete is refused before the file is looked at.
    of_file = field == "oidcTokenFilePath" and expected({*auth, field}) is not None
    assert found.reason is (Reason.TOKEN_FILE_REFUSED if of_file else Reason.STORE_INVALID)


def test_unknown_controller_account_matches_every_account() -> None:
    """Closed, not open: the restriction holds for all of them."""
    limited = cluster().identities(user="", roles=("acs:ram::1:role/lent",))
    found = limited.resolve(store(**AS_READER), "kms")
    assert isinstance(found, Problem)
    assert found.reason is Reason.IDENTITY_REFUSED


@pytest.mark.parametrize(
    ("auth", "ignored"),
    [
        ({"remoteRamRoleSessionName": "far"}, ("remoteRamRoleSessionName",)),
        (
            {"ramRoleSessionName": "near", "roleSessionExpiration": "900"},
            ("ramRoleSessionName", "roleSessionExpiration"),
        ),
    ],
)
def test_unused_fields_are_named(auth: dict[str, str], ignored: tuple[str, ...]) -> None:
    found = Cluster().identities().resolve(store(**auth), "kms")
    assert isinstance(found, Identity)
    assert found.ignored == ignored


@pytest.mark.parametrize(
    "auth",
    [
        {**PAIR, "ramRoleARN": ROLE},
        {**PAIR, "remoteRamRoleARN": REMOTE},
        AS_READER,
        RRSA,
        {**RRSA, "remoteRamRoleARN": REMOTE},
        {"remoteRamRoleARN": REMOTE},
    ],
    ids=str,
)
def test_sessions_go_with_the_turns_of_the_stores_namespace(auth: dict[str, Any]) -> None:
    assert turns_of(provider(store(**auth))) == {"ns"}
    assert turns_of(provider(store(namespace="other", **auth))) == {"other"}


def test_sessions_of_the_controllers_own_identity_go_with_nobodys_turn() -> None:
    own = OwnIdentity(oidc_provider_arn=PROVIDER, role_arn=ROLE, remote_role_arn=REMOTE)
    found = Cluster().identities(own=own).own("ns")
    assert isinstance(found, Identity), found
    assert turns_of(found.provider) == {""}


def turns_of(given: CredentialProvider | None) -> set[str]:
    """Whose turns the sessions of a chain go with."""
    if given is None:
        return set()
    mine = {given.tenant} if isinstance(given, AssumedRoleProvider | OidcRoleProvider) else set()
    return mine | turns_of(given.base)
