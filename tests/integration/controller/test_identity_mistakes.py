"""Each mistake about an identity has a reason of its own, and stops nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.settings import OwnIdentity
from tests.support.identities import AUDIENCE, Ram, auth_store, owned, put_account, using
from tests.support.operator import secret

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

PAIR = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}
ANY_ROLE = "acs:ram::1234567890123456:role/any"


@pytest.fixture
async def ram(cluster: ControlPlane, admin: CloudAdmin, cloud: CloudInfo) -> Ram:
    return await Ram.of(cluster, admin, cloud)


async def reported(api: Api, home: str, name: str, reason: str, *words: str) -> None:
    """The store and its user say it, with these words."""
    await api.put(using(name, f"use-{name}", "store/password"), home)
    for kind, which in (("SecretStore", name), ("ExternalSecret", f"use-{name}")):
        message = (await api.until_ready(home, which, reason, kind=kind))["message"]
        assert [word for word in words if word not in message] == []
    assert await api.find("Secret", home, f"use-{name}") is None


@pytest.mark.parametrize(
    ("auth", "reason", "words"),
    [
        ({"ramRoleARN": ANY_ROLE}, "StoreInvalid", ["without credentials to assume it"]),
        (
            {"oidcProviderARN": "acs:ram::1:oidc-provider/any"},
            "StoreInvalid",
            ["ramRoleARN is missing"],
        ),
        (
            {"oidcProviderARN": "acs:ram::1:oidc-provider/any", **PAIR},
            "StoreInvalid",
            ["ramRoleARN is missing"],
        ),
        ({"accessKey": PAIR["accessKey"]}, "StoreInvalid", ["accessKeySecret is missing"]),
        ({**PAIR, "ramRoleARN": "role/any"}, "StoreInvalid", ["acs:ram::<account>:role/<name>"]),
        (
            {**PAIR, "ramRoleARN": ANY_ROLE, "ramRoleSessionName": "x"},
            "SessionNameInvalid",
            ["ramRoleSessionName is 'x'", "2 to 64 characters"],
        ),
        (
            {**PAIR, "ramRoleARN": ANY_ROLE, "roleSessionExpiration": "60"},
            "SessionExpirationInvalid",
            ["roleSessionExpiration is '60'", "900"],
        ),
        (
            {
                "oidcProviderARN": "acs:ram::1:oidc-provider/any",
                "ramRoleARN": ANY_ROLE,
                "oidcTokenFilePath": "/etc/passwd",
            },
            "TokenFileRefused",
            ["oidcTokenFilePath"],
        ),
        (
            {"oidcProviderARN": "acs:ram::1:oidc-provider/any", "ramRoleARN": ANY_ROLE},
            "TokenFileUnreadable",
            ["no-such-token", "projected"],
        ),
        ({"serviceAccountRef": {"name": "nobody"}}, "ServiceAccountNotFound", ["nobody"]),
        ({**PAIR, "ramRoleARN": ANY_ROLE}, "RoleNotFound", ["ramRoleARN"]),
    ],
    ids=[
        "role-alone",
        "provider-alone",
        "provider-without-role-beside-a-key",
        "half-a-key",
        "no-arn",
        "short-session-name",
        "short-session",
        "another-token-file",
        "no-token-file",
        "no-service-account",
        "no-role",
    ],
)
async def test_fault_of_a_store_is_in_its_condition(
    api: Api, home: str, auth: dict[str, Any], reason: str, words: list[str], running: Running
) -> None:
    own = OwnIdentity(oidc_token_file="/no-such-token")
    async with running(own=own):
        await api.put(auth_store("wrong", **auth), home)
        await reported(api, home, "wrong", reason, *words)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (None, "AccessKeyNotFound"),
        ({"id": "LTAI"}, "AccessKeyKeyMissing"),
        ({"id": "LTAI", "secret": "not clean"}, "AccessKeyInvalid"),
        ({"id": "LTAI", "secret": "unknown"}, "AccessKeyInvalid"),
    ],
    ids=["no-secret", "no-key", "unclean", "unknown"],
)
async def test_fault_of_an_access_key_is_reported_for_its_role_too(
    api: Api, ram: Ram, home: str, values: dict[str, str] | None, reason: str, running: Running
) -> None:
    role = await ram.role_for_account(f"behind-{home}")
    auth = {
        "accessKey": {"name": "key", "key": "id"},
        "accessKeySecret": {"name": "key", "key": "secret"},
    }
    if values is not None:
        await api.put(secret("key", values), home)
    async with running():
        await api.put(auth_store("wrong", **auth, ramRoleARN=role), home)
        await reported(api, home, "wrong", reason)


async def test_a_pasted_line_end_is_dropped(
    cloud: CloudInfo, api: Api, ram: Ram, home: str, running: Running
) -> None:
    role = await ram.role_for_account(f"pasted-{home}")
    pair = {"id": f" {cloud.access_key_id}\n", "secret": f"{cloud.access_key_secret}\r\n"}
    await api.put(secret("access-key", pair), home)
    async with running():
        await api.put(auth_store("pasted", **PAIR, ramRoleARN=role), home)
        await api.until_ready(home, "pasted", "Ready", kind="SecretStore")


async def test_refusal_of_a_token_by_sts_is_reported(
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    ram: Ram,
    home: str,
    running: Running,
) -> None:
    trusted = await ram.role_for(f"said-{home}", home, "reader")
    foreign = await ram.role_for(f"foreign-{home}", home, "somebody-else")
    no_provider = f"acs:ram::{cloud.account}:oidc-provider/nobody"
    await put_account(api, home, "reader", trusted)
    await put_account(api, home, "untrusted", foreign)
    await put_account(api, home, "roleless")
    reader: dict[str, Any] = {"serviceAccountRef": {"name": "reader"}}
    audience = {"serviceAccountRef": {"name": "reader", "audiences": ["somewhere"]}}
    provider = {"oidcProviderARN": ram.provider}
    wrong = {
        "audience": ({**audience, **provider}, "AudienceMismatch", AUDIENCE),
        "untrusted": (
            {"serviceAccountRef": {"name": "untrusted"}, **provider},
            "RoleNotTrusted",
            "trust",
        ),
        "unknown": ({**reader, "oidcProviderARN": no_provider}, "OIDCProviderNotFound", "OIDC"),
        "missing": (reader, "OIDCProviderMissing", "--cluster-id"),
        "roleless": (
            {"serviceAccountRef": {"name": "roleless"}, **provider},
            "RoleMissing",
            "ack.alibabacloud.com/role-arn",
        ),
    }
    async with running():
        await admin.put_secret("store/good", "good")
        for name, (auth, reason, word) in wrong.items():
            await api.put(auth_store(name, **auth), home)
            await reported(api, home, name, reason, word)
        await api.put(using("store", "good", "store/good"), home)
        await api.until_holds(home, "good", {"x": "good"})


async def test_a_token_that_has_expired_in_its_file(
    cluster: ControlPlane, api: Api, ram: Ram, home: str, tmp_path: Path, running: Running
) -> None:
    role = await ram.role_for(f"stale-{home}", home, "controller")
    await put_account(api, home, "controller")
    path = tmp_path / "token"
    path.write_text(await cluster.token_for(home, "controller", audiences=[AUDIENCE]))
    own = OwnIdentity(oidc_token_file=str(path))
    # An hour ahead, so that every token is over there.
    await ram.admin.update_settings(clock_offset=7200)
    try:
        async with running(own=own):
            auth = {"oidcProviderARN": ram.provider, "ramRoleARN": role}
            await api.put(auth_store("stale", **auth), home)
            await reported(api, home, "stale", "TokenExpired")
    finally:
        await ram.admin.update_settings(clock_offset=0)


async def test_half_an_identity_in_the_environment(api: Api, home: str, running: Running) -> None:
    own = OwnIdentity(access_key_id="LTAI-alone")
    async with running(own=own):
        await api.put(owned("some", "store/any"), home)
        ready = await api.until_ready(home, "some", "IdentityInvalid")
    assert "SECRET_ACCESS_KEY is missing" in ready["message"]
    assert "LTAI-alone" not in ready["message"]
