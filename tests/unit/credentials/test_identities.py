"""Each way to come by credentials: its identity, what it asks for, what it does not show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from secret_sync import credentials
from secret_sync.cloud.temporary import TemporaryKeys
from secret_sync.credentials import (
    METHODS,
    AccessKeyProvider,
    AssumedRoleProvider,
    CredentialKey,
    Credentials,
    EnvironmentKeyProvider,
    OidcRoleProvider,
    Role,
    SecretKeyRef,
    Sts,
    TokenFile,
    WorkerRoleProvider,
)
from secret_sync.errors import CredentialsError, DefiniteError, TransientError
from tests.unit.credentials.fakes import Tokens

pytestmark = pytest.mark.looptime

ROLE = Role("acs:ram::42:role/reader")
REMOTE = Role("acs:ram::43:role/remote")
PROVIDER = "acs:ram::42:oidc-provider/ack"
EXPIRED = (401, "AuthenticationFail.OIDCToken.Expired")


def access_key(version: str = "1") -> AccessKeyProvider:
    ref = SecretKeyRef("team", "ak", "id", "uid", version)
    return AccessKeyProvider(None, ref, ref)  # type: ignore[arg-type] # nothing is read


def sts_on(wire: Any = None, endpoint: str = "sts.example") -> Sts:
    return Sts(wire, endpoint=endpoint, region="")


async def test_rrsa_assumes_the_role_with_a_token_of_the_source(played: Any) -> None:
    wire = played.wire([played.granted("x")])
    tokens = Tokens()
    provider = OidcRoleProvider(sts_on(wire), tokens, PROVIDER, ROLE)
    assert provider.base is None
    assert (await provider.fetch(None)).access_key_id == "STS.id-x"
    assert wire.sent[0].fields == {
        "OIDCProviderArn": PROVIDER,
        "OIDCToken": "hush-jwt-1",
        "RoleArn": ROLE.arn,
        "RoleSessionName": "secret-sync",
    }


async def test_token_that_has_expired_is_replaced_once(played: Any) -> None:
    wire = played.wire([played.refused(*EXPIRED), played.granted("x")])
    tokens = Tokens()
    await OidcRoleProvider(sts_on(wire), tokens, PROVIDER, ROLE).fetch(None)
    assert [sent.fields["OIDCToken"] for sent in wire.sent] == ["hush-jwt-1", "hush-jwt-2"]


async def test_token_that_expires_again_is_an_error(played: Any) -> None:
    wire = played.wire([played.refused(*EXPIRED)])
    tokens = Tokens()
    with pytest.raises(CredentialsError, match="token has expired") as caught:
        await OidcRoleProvider(sts_on(wire), tokens, PROVIDER, ROLE).fetch(None)
    assert tokens.asked == len(wire.sent) == 2
    assert caught.value.__context__ is None


@pytest.mark.parametrize("code", ["AuthenticationFail.NoPermission", "InvalidSecurityToken.X"])
async def test_other_refusals_ask_for_no_other_token(played: Any, code: str) -> None:
    wire = played.wire([played.refused(401, code)])
    tokens = Tokens()
    with pytest.raises((DefiniteError, CredentialsError)):
        await OidcRoleProvider(sts_on(wire), tokens, PROVIDER, ROLE).fetch(None)
    assert tokens.asked == 1


async def test_sts_is_not_called_without_a_token(played: Any) -> None:
    wire = played.wire([played.granted()])
    tokens = Tokens(error=TransientError("the API server is away"))
    with pytest.raises(TransientError, match="API server"):
        await OidcRoleProvider(sts_on(wire), tokens, PROVIDER, ROLE).fetch(None)
    assert not wire.sent


async def test_role_is_assumed_with_what_the_base_has(played: Any) -> None:
    wire = played.wire([played.granted("x")])
    base = access_key()
    provider = AssumedRoleProvider(sts_on(wire), base, ROLE)
    assert provider.base is base
    await provider.fetch(Credentials("LTAI-base", "hush"))
    assert "Credential=LTAI-base," in wire.sent[0].headers["authorization"]
    with pytest.raises(TypeError):
        await provider.fetch(None)


async def test_environment_key_is_returned_without_white_space() -> None:
    provider = EnvironmentKeyProvider(" LTAI-id\n", "hush ")
    assert await provider.fetch(None) == Credentials("LTAI-id", "hush")
    assert provider.base is None


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("", "hush"), "ACCESS_KEY_ID is empty"),
        (("LTAI", " "), "SECRET_ACCESS_KEY is empty"),
        (("LTAI", "hush hush"), "SECRET_ACCESS_KEY has characters"),
        (("LTAI", "hush\nx"), "SECRET_ACCESS_KEY has characters"),
        (("LTAI密", "hush"), "ACCESS_KEY_ID has characters"),
    ],
)
async def test_invalid_environment_key_is_named_but_not_shown(
    pair: tuple[str, str], words: str
) -> None:
    with pytest.raises(DefiniteError, match=words) as caught:
        await EnvironmentKeyProvider(*pair).fetch(None)
    assert caught.value.code == "InvalidAccessKey"
    assert "hush" not in f"{caught.value!r}"
    assert "LTAI" not in f"{caught.value!r}"


@dataclass
class Metadata:
    endpoint: str = "100.100.100.200"

    async def role_credentials(self) -> TemporaryKeys:
        return TemporaryKeys("STS.id", "hush", "hush-token", 900.0)


async def test_worker_role_is_that_of_the_metadata_service() -> None:
    provider = WorkerRoleProvider(Metadata())  # type: ignore[arg-type] # played
    assert await provider.fetch(None) == Credentials("STS.id", "hush", "hush-token", 900.0)
    assert provider.base is None


def test_every_setting_distinguishes_identities() -> None:
    keys = [
        access_key().key,
        EnvironmentKeyProvider("LTAI", "hush").key,
        WorkerRoleProvider(Metadata()).key,  # type: ignore[arg-type] # played
    ]
    for sts in (sts_on(), sts_on(endpoint="other.example")):
        for role in (ROLE, REMOTE, Role(ROLE.arn, "me"), Role(ROLE.arn, duration=900)):
            for arn in (PROVIDER, f"{PROVIDER}-2"):
                for path in ("/a", "/b"):
                    rrsa = OidcRoleProvider(sts, TokenFile(path), arn, role)
                    again = OidcRoleProvider(sts, TokenFile(path), arn, role)
                    assert rrsa.key == again.key
                    chain = AssumedRoleProvider(sts, rrsa, REMOTE)
                    assert chain.key == AssumedRoleProvider(sts, again, REMOTE).key
                    keys += [rrsa.key, chain.key]
            for version in ("1", "2"):
                keys.append(AssumedRoleProvider(sts, access_key(version), role).key)
    keys = [key for key in keys if key != access_key().key]
    assert len(set(keys)) == len(keys)
    assert "hush" not in f"{keys!r}"


def test_stable_key_of_a_chain_is_independent_of_the_secret_version() -> None:
    sts = sts_on()
    one, two = (
        AssumedRoleProvider(sts, AssumedRoleProvider(sts, access_key(version), ROLE), REMOTE).key
        for version in ("1", "2")
    )
    assert one != two
    assert one.stable == two.stable
    other = AssumedRoleProvider(sts, AssumedRoleProvider(sts, access_key(), REMOTE), REMOTE).key
    assert other.stable != one.stable
    assert hash(one.stable) == hash(two.stable)


def test_account_is_that_of_the_role() -> None:
    sts = sts_on()
    rrsa = OidcRoleProvider(sts, Tokens(), PROVIDER, ROLE)
    assert rrsa.key.account == "42"
    assert AssumedRoleProvider(sts, rrsa, REMOTE).key.account == "43"
    assert AssumedRoleProvider(sts, access_key(), ROLE).key.account == "42"
    assert access_key().key.account == ""
    assert CredentialKey("a", ("b",), account="1") == CredentialKey("a", ("b",))


def test_key_stays_what_it_was_when_the_region_is_learnt(played: Any) -> None:
    sts = Sts(played.wire([]), endpoint="", region="")
    provider = OidcRoleProvider(sts, Tokens(), PROVIDER, ROLE)
    before = provider.key
    sts.region = "cn-test"
    assert provider.key == before
    assert OidcRoleProvider(sts, Tokens(), PROVIDER, ROLE).key != before


async def test_repr_of_providers_shows_no_secrets(played: Any) -> None:
    wire = played.wire([played.granted()])
    sts = sts_on(wire)
    rrsa = OidcRoleProvider(sts, Tokens(), PROVIDER, ROLE)
    chain = AssumedRoleProvider(sts, rrsa, REMOTE)
    found = await chain.fetch(await rrsa.fetch(None))
    environment = EnvironmentKeyProvider("LTAI", "hush")
    for thing in (rrsa, chain, environment, found, [found], rrsa.key, chain.key):
        assert "hush" not in f"{thing!r}{thing}"
        assert "STS.id" not in f"{thing!r}{thing}"
        assert "LTAI" not in f"{thing!r}{thing}"


def test_every_method_is_listed() -> None:
    """They are the values of a label, which begin at zero."""
    modules = Path(credentials.__file__).parent.glob("*.py")
    text = "".join(path.read_text() for path in modules)
    assert sorted(re.findall(r'CredentialKey\(\s*"(.+?)"', text)) == sorted(METHODS)
