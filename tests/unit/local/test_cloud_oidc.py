from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import AdminError
from tests.unit.local.oidc_issuer import ISSUER, SUBJECT, Issuer

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import Answer, KmsCaller

ACTION = {"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON"}
HEADERS = {"x-acs-action": "AssumeRoleWithOIDC", "x-acs-version": "2015-04-01"}
FAIL = "AuthenticationFail.OIDCToken"


@cache
def issuer(number: int = 0) -> Issuer:
    return Issuer()


class Rrsa:
    """A provider, a role that trusts one of its ServiceAccounts, and calls with tokens."""

    def __init__(self, kms: KmsCaller, provider: str, role: str) -> None:
        self._kms = kms
        self.provider = provider
        self.role = role

    def parameters(self, token: str, **changes: str) -> dict[str, str]:
        return {
            "OIDCProviderArn": self.provider,
            "RoleArn": self.role,
            "OIDCToken": token,
            "RoleSessionName": "a-test",
            **changes,
        }

    async def send(self, token: str, **changes: str) -> Answer:
        return await self._kms.plain(
            "POST", form=self.parameters(token, **changes), headers=HEADERS
        )

    async def refusal(self, token: str, **changes: str) -> tuple[int, str]:
        answer = await self.send(token, **changes)
        assert not token or token not in answer.raw.decode()
        return answer.status, answer.code


@pytest.fixture
async def rrsa(admin: CloudAdmin, kms: KmsCaller) -> Rrsa:
    provider = await admin.put_oidc_provider("c1", issuer=ISSUER, jwks=issuer().jwks)
    role = await admin.put_role("rrsa", trust=[{"oidc_provider": provider, "sub": SUBJECT}])
    return Rrsa(kms, provider, role)


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_token_opens_a_session(
    admin: CloudAdmin, kms: KmsCaller, rrsa: Rrsa, alg: str
) -> None:
    await admin.put_secret("s", "v")
    answer = await rrsa.send(issuer().token(alg=alg))
    assert answer.status == 200
    assert set(answer.body) == {"RequestId", "AssumedRoleUser", "Credentials"}
    assert answer.body["AssumedRoleUser"]["Arn"] == f"{rrsa.role}/a-test"
    kms.use(answer.body["Credentials"])
    assert (await kms.get("s")).body["SecretData"] == "v"


async def test_three_forms_and_where_the_token_is_seen(
    admin: CloudAdmin, kms: KmsCaller, rrsa: Rrsa
) -> None:
    given = rrsa.parameters(issuer().token())
    answers = [
        await kms.plain("POST", form=given, headers=HEADERS),
        await kms.plain("POST", query=ACTION, form=given),
        await kms.plain("POST", form={**ACTION, **given}),
        await kms.plain("POST", query={**ACTION, **given}),
        await kms.plain("GET", query={**ACTION, **given}),
        await kms.plain("GET", query=given, headers=HEADERS),
    ]
    assert [answer.status for answer in answers] == [200] * 6
    calls = await admin.calls()
    assert [call["token_in_url"] for call in calls] == [False] * 3 + [True] * 3
    assert {call["action"] for call in calls} == {"AssumeRoleWithOIDC"}
    assert {call["subject"] for call in calls} == {rrsa.role}


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        ({"exp": 1}, 401, f"{FAIL}.Expired"),
        ({"exp": None}, 401, f"{FAIL}.Invalid"),
        ({"nbf": 1 << 33}, 401, f"{FAIL}.Invalid"),
        ({"iss": "https://elsewhere"}, 401, f"{FAIL}.Invalid"),
        ({"sub": None}, 401, f"{FAIL}.Invalid"),
        ({"aud": None}, 401, f"{FAIL}.Invalid"),
        ({"aud": "vault"}, 401, f"{FAIL}.AudienceNotMatch"),
        ({"aud": []}, 401, f"{FAIL}.AudienceNotMatch"),
        ({"alg": "none"}, 401, f"{FAIL}.Invalid"),
        ({"alg": "HS256"}, 401, f"{FAIL}.Invalid"),
        ({"kid": "unknown"}, 401, f"{FAIL}.InvalidSignature"),
        # A P-256 key is not for RS256.
        ({"kid": "e"}, 401, f"{FAIL}.InvalidSignature"),
        (
            {"sub": "system:serviceaccount:shop:other"},
            401,
            "AuthenticationFail.NoPermission",
        ),
    ],
    ids=str,
)
async def test_tokens_that_are_refused(
    rrsa: Rrsa, claims: dict[str, Any], status: int, code: str
) -> None:
    assert await rrsa.refusal(issuer().token(**claims)) == (status, code)


@pytest.mark.parametrize("token", ["x", "a.b.c", "a.b", "W10.W10.W10", "ä.ä.ä"])
async def test_invalid_tokens(rrsa: Rrsa, token: str) -> None:
    answer = await rrsa.send(token)
    assert (answer.status, answer.code) == (401, f"{FAIL}.Invalid")


async def test_forged_token(rrsa: Rrsa) -> None:
    genuine = issuer().token(sub="system:serviceaccount:shop:other").split(".")
    wanted = issuer().token().split(".")
    spliced = f"{wanted[0]}.{wanted[1]}.{genuine[2]}"
    assert await rrsa.refusal(spliced) == (401, f"{FAIL}.InvalidSignature")
    assert await rrsa.refusal(issuer(1).token()) == (401, f"{FAIL}.InvalidSignature")
    ecdsa = issuer().token(alg="ES256")
    assert await rrsa.refusal(ecdsa.rpartition(".")[0] + ".") == (401, f"{FAIL}.InvalidSignature")
    assert await rrsa.refusal(ecdsa[:-6]) == (401, f"{FAIL}.InvalidSignature")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"OIDCToken": ""}, 400, "MissingParameter"),
        ({"OIDCProviderArn": ""}, 400, "MissingParameter"),
        ({"RoleArn": ""}, 400, "MissingParameter"),
        ({"RoleSessionName": ""}, 400, "MissingParameter"),
        ({"RoleSessionName": "?"}, 400, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "1"}, 400, "InvalidParameter.DurationSeconds"),
        ({"RoleArn": "acs:ram::1:role/no"}, 404, "EntityNotExist.Role"),
        ({"OIDCProviderArn": "acs:ram::1:oidc-provider/no"}, 404, "EntityNotExist.OIDCProvider"),
    ],
    ids=str,
)
async def test_parameters_that_are_refused(
    rrsa: Rrsa, changes: dict[str, str], status: int, code: str
) -> None:
    assert await rrsa.refusal(issuer().token(), **changes) == (status, code)


async def test_trust_of_roles(admin: CloudAdmin, rrsa: Rrsa) -> None:
    async def trusting(**rule: str) -> str:
        await admin.update_role(rrsa.role, trust=[rule])
        answer = await rrsa.send(issuer().token(aud=["sts.aliyuncs.com", "second"]))
        return "OK" if answer.status == 200 else answer.code

    no = "AuthenticationFail.NoPermission"
    ours = {"oidc_provider": rrsa.provider}
    assert await trusting(**ours, sub="system:serviceaccount:shop:*") == "OK"
    assert await trusting(**ours, sub="system:serviceaccount:bank:*") == no
    assert await trusting(**ours, sub=SUBJECT, aud="second") == "OK"
    assert await trusting(**ours, sub=SUBJECT, aud="third") == no
    assert await trusting(oidc_provider=f"{rrsa.provider}2", sub="*") == no
    assert await trusting(account=rrsa.role.split(":")[3]) == no


async def test_keys_are_rotated(admin: CloudAdmin, rrsa: Rrsa) -> None:
    await admin.put_oidc_provider("c1", issuer=ISSUER, jwks=issuer(1).jwks)
    assert await rrsa.refusal(issuer().token()) == (401, f"{FAIL}.InvalidSignature")
    assert (await rrsa.send(issuer(1).token())).status == 200
    await admin.delete_oidc_provider("c1")
    assert (await rrsa.send(issuer(1).token())).code == "EntityNotExist.OIDCProvider"


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        {"keys": []},
        {"keys": "r"},
        {"keys": [7]},
        {"keys": [{"kty": "RSA"}]},
        {"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]},
        {"keys": [{"kty": "EC", "crv": "P-384", "x": "", "y": ""}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}]},
        {"keys": [*issuer().jwks["keys"], {"kty": "RSA"}]},
    ],
    ids=[
        *("nothing", "no-keys", "no-list", "number", "no-modulus", "bad-modulus", "other-curve"),
        *("no-point", "one-bad-key"),
    ],
)
async def test_key_sets_that_are_refused(admin: CloudAdmin, jwks: dict[str, Any]) -> None:
    with pytest.raises(AdminError, match="JWKS"):
        await admin.put_oidc_provider("c1", issuer=ISSUER, jwks=jwks)


async def test_tokens_are_remembered_even_if_a_fault_eats_the_call(
    admin: CloudAdmin, rrsa: Rrsa
) -> None:
    await admin.set_fault("error", action="AssumeRoleWithOIDC")
    token = issuer().token()
    assert await rrsa.refusal(token) == (500, "InternalFailure")
    assert token in await admin.issued()
