"""Every form in which clients ask for a session, and what each mistake is answered with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from yarl import URL

from tests.unit.local.conftest import timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo

ISSUER = "https://cluster.example"
SUBJECT = "system:serviceaccount:shop:reader"
STS = "2015-04-01"
#: Of a key that nobody else has, so that tests do not depend on a key made at random.
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def jwks(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return {
        "keys": [
            {
                "kty": "RSA",
                "kid": "one",
                "alg": "RS256",
                "use": "sig",
                "n": base64url(numbers.n.to_bytes(256)),
                "e": base64url(numbers.e.to_bytes(3)),
            }
        ]
    }


def token(*, key: rsa.RSAPrivateKey = KEY, **changes: Any) -> str:
    """A token as the API server signs one; ``changes`` are claims."""
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": ["sts.aliyuncs.com"], "exp": now + 600}
    parts = [{"alg": "RS256", "kid": "one"}, {**claims, "nbf": now - 5, **changes}]
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


@dataclass
class Caller:
    """Sends requests to STS as different clients do."""

    info: CloudInfo
    session: aiohttp.ClientSession
    tls: ssl.SSLContext

    async def send(
        self,
        method: str,
        query: dict[str, str] | None = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        url = URL(f"https://{self.info.endpoint}/?{urlencode(query or {})}", encoded=True)
        async with self.session.request(
            method, url, data=form, headers=headers, ssl=self.tls
        ) as reply:
            return reply.status, await reply.json(content_type=None)

    async def by_v1(
        self, key_id: str, secret: str, method: str = "GET", **changes: str
    ) -> tuple[int, Any]:
        """AssumeRole with the older signature, worked out from the published formula."""
        parameters = {
            "Action": "AssumeRole",
            "Version": STS,
            "Format": "JSON",
            "Timestamp": timestamp(timedelta()),
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": uuid.uuid4().hex,
            "AccessKeyId": key_id,
            "RoleSessionName": "a test",
            **changes,
        }
        pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in parameters.items())
        text = f"{method}&%2F&" + quote("&".join(f"{k}={v}" for k, v in pairs), safe="~")
        made = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
        signed = {**parameters, "Signature": base64.b64encode(made).decode()}
        if method == "GET":
            return await self.send("GET", signed)
        return await self.send("POST", form=signed)


@pytest.fixture
async def sts(cloud: CloudInfo) -> AsyncIterator[Caller]:
    tls = ssl.create_default_context(cafile=cloud.ca_file)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Caller(cloud, session, tls)


@pytest.fixture
async def provider(admin: CloudAdmin) -> str:
    return await admin.put_oidc_provider("ack-rrsa-c1", issuer=ISSUER, jwks=jwks(KEY))


@pytest.fixture
async def role(admin: CloudAdmin, provider: str) -> str:
    trust = [{"oidc_provider": provider, "sub": SUBJECT, "aud": "sts.aliyuncs.com"}]
    return await admin.put_role("reader", trust=trust)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_older_signature_assumes_a_role(
    admin: CloudAdmin, cloud: CloudInfo, sts: Caller, method: str
) -> None:
    role = await admin.put_role("old", trust=[{"account": cloud.account}])
    status, body = await sts.by_v1(
        cloud.access_key_id,
        cloud.access_key_secret,
        method,
        RoleArn=role,
        RoleSessionName="test",
    )
    assert status == 200, body
    assert body["Credentials"]["AccessKeyId"].startswith("STS.")
    assert body["AssumedRoleUser"]["Arn"].endswith(":role/old/test")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"AccessKeyId": "LTAI-nobody"}, "InvalidAccessKeyId.NotFound"),
        ({"Timestamp": "2020-01-01T00:00:00Z"}, "InvalidTimeStamp.Expired"),
        ({"SignatureMethod": "HMAC-MD5"}, "InvalidParameter"),
        ({"RoleSessionName": "?"}, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "60"}, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "7200"}, "InvalidParameter.DurationSeconds"),
        ({"RoleArn": "acs:ram::1234567890123456:role/nobody"}, "EntityNotExist.Role"),
        ({"Action": "GetCallerIdentity"}, "InvalidAction.NotFound"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else value,
)
async def test_mistakes_of_the_older_form(
    admin: CloudAdmin, cloud: CloudInfo, sts: Caller, changes: dict[str, str], code: str
) -> None:
    role = await admin.put_role("old", trust=[{"account": cloud.account}])
    asked = {"RoleArn": role, "RoleSessionName": "test", **changes}
    key_id = asked.pop("AccessKeyId", cloud.access_key_id)
    _, body = await sts.by_v1(key_id, cloud.access_key_secret, **asked)
    assert body["Code"] == code


async def test_a_wrong_secret_and_a_nonce_used_twice(
    admin: CloudAdmin, cloud: CloudInfo, sts: Caller
) -> None:
    role = await admin.put_role("old", trust=[{"account": cloud.account}])
    asked = {"RoleArn": role, "RoleSessionName": "test"}
    _, body = await sts.by_v1(cloud.access_key_id, "wrong", **asked)
    assert body["Code"] == "SignatureDoesNotMatch"
    once = {**asked, "SignatureNonce": "once"}
    assert (await sts.by_v1(cloud.access_key_id, cloud.access_key_secret, **once))[0] == 200
    _, body = await sts.by_v1(cloud.access_key_id, cloud.access_key_secret, **once)
    assert body["Code"] == "SignatureNonceUsed"


async def test_a_role_that_does_not_trust_the_caller(admin: CloudAdmin, sts: Caller) -> None:
    role = await admin.put_role("theirs", trust=[{"account": "6543210987654321"}])
    status, body = await sts.by_v1(
        sts.info.access_key_id, sts.info.access_key_secret, RoleArn=role, RoleSessionName="test"
    )
    assert (status, body["Code"]) == (403, "NoPermission")


def with_token(role: str, provider: str, signed: str, **changes: str) -> dict[str, str]:
    return {
        "RoleArn": role,
        "OIDCProviderArn": provider,
        "OIDCToken": signed,
        "RoleSessionName": "test",
        **changes,
    }


RPC = {"Action": "AssumeRoleWithOIDC", "Version": STS, "Format": "JSON"}
HEADERS = {"x-acs-action": "AssumeRoleWithOIDC", "x-acs-version": STS}


@pytest.mark.parametrize("form", ["headers and body", "body", "url", "url of a post"])
async def test_a_token_opens_a_session_in_each_form(
    admin: CloudAdmin, sts: Caller, provider: str, role: str, form: str
) -> None:
    asked = with_token(role, provider, token())
    match form:
        case "headers and body":
            status, body = await sts.send("POST", form=asked, headers=HEADERS)
        case "body":
            status, body = await sts.send("POST", form={**RPC, **asked})
        case "url":
            status, body = await sts.send("GET", {**RPC, **asked})
        case _:
            status, body = await sts.send("POST", {**RPC, **asked})
    assert status == 200, body
    keys = body["Credentials"]
    assert set(keys) == {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}
    (call,) = await admin.calls()
    assert (call["subject"], call["token_in_url"]) == (role, form.startswith("url"))
    issued = await admin.issued()
    assert {keys["AccessKeySecret"], keys["SecurityToken"], asked["OIDCToken"]} <= set(issued)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1}, "AuthenticationFail.OIDCToken.Expired"),
        ({"aud": ["somewhere"]}, "AuthenticationFail.OIDCToken.AudienceNotMatch"),
        ({"iss": "https://another.example"}, "AuthenticationFail.OIDCToken.Invalid"),
        ({"sub": "system:serviceaccount:shop:another"}, "AuthenticationFail.NoPermission"),
        ({"key": ANOTHER}, "AuthenticationFail.OIDCToken.InvalidSignature"),
    ],
    ids=str,
)
async def test_a_token_that_is_not_good_enough(
    sts: Caller, provider: str, role: str, claims: dict[str, Any], code: str
) -> None:
    asked = with_token(role, provider, token(**claims))
    status, body = await sts.send("POST", form=asked, headers=HEADERS)
    assert (status, body["Code"]) == (401, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"OIDCToken": "no.token"}, 401, "AuthenticationFail.OIDCToken.Invalid"),
        (
            {"OIDCProviderArn": "acs:ram::1234567890123456:oidc-provider/nobody"},
            404,
            "EntityNotExist.OIDCProvider",
        ),
        ({"RoleArn": "acs:ram::1234567890123456:role/nobody"}, 404, "EntityNotExist.Role"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
    ],
    ids=str,
)
async def test_other_mistakes_with_a_token(
    sts: Caller, provider: str, role: str, changes: dict[str, str], status: int, code: str
) -> None:
    asked = with_token(role, provider, token(), **changes)
    answered, body = await sts.send("POST", form=asked, headers=HEADERS)
    assert (answered, body["Code"]) == (status, code)


async def test_the_metadata_service_in_its_modes(admin: CloudAdmin, cloud: CloudInfo) -> None:
    role = await admin.put_role("node", trust=[])
    at = f"http://{cloud.metadata_endpoint}/latest"
    roles = f"{at}/meta-data/ram/security-credentials/"
    ttl = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
    async with aiohttp.ClientSession() as http:

        async def get(url: str, **headers: str) -> tuple[int, str]:
            async with http.get(url, headers=headers) as reply:
                return reply.status, await reply.text()

        async def enter() -> tuple[int, str]:
            async with http.put(f"{at}/api/token", headers=ttl) as reply:
                return reply.status, await reply.text()

        assert (await get(roles))[0] == 404
        await admin.set_metadata(role=role, region_id="cn-beijing", mode="hardened")
        assert (await get(roles))[0] == 403
        entered, ticket = await enter()
        assert entered == 200
        named = {"X-aliyun-ecs-metadata-token": ticket}
        assert await get(roles, **named) == (200, "node")
        assert await get(f"{at}/meta-data/region-id", **named) == (200, "cn-beijing")
        status, text = await get(f"{roles}node", **named)
        keys = json.loads(text)
        assert (status, keys["Code"]) == (200, "Success")
        assert keys["SecurityToken"] in await admin.issued()
        assert (await get(roles, **{"X-aliyun-ecs-metadata-token": "forged"}))[0] in {401, 403}

        await admin.set_metadata(role=role, mode="plain")
        assert (await enter())[0] in {404, 405}
        assert await get(roles) == (200, "node")
