"""The signature, and the requests of the SDK's calls."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import pytest
from multidict import CIMultiDict

from secret_sync.cloud.sdk_transport import CallContext, SdkTransportAdapter, Signable, sign
from secret_sync.cloud.transport import Reply
from secret_sync.errors import CredentialsError, DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from secret_sync.errors import SecretSyncError


@dataclass(frozen=True)
class Keys:
    access_key_id: str = "YourAccessKeyId"
    access_key_secret: str = "YourAccessKeySecret"
    security_token: str = ""


class ScriptedTransport:
    """Answers from a list, and keeps what was sent."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.sent: list[tuple[str, URL, dict[str, str], bytes]] = []

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], *, what: str, body: bytes
    ) -> Reply:
        assert what == 'secret "db" at kms.example:8443'
        self.sent.append((method, url, dict(headers), body))
        return self.replies.pop(0)


def reply(body: bytes, status: int = 200, *, complete: bool = True) -> Reply:
    return Reply(status, CIMultiDict(), body, complete)


async def call(transport: ScriptedTransport, keys: Keys, **request: Any) -> dict[str, Any]:
    class Client(SdkTransportAdapter):
        _transport: Any = transport

    client = Client()
    params = SimpleNamespace(
        action="GetSecretValue",
        version="2016-01-20",
        protocol="HTTPS",
        pathname="/",
        method="POST",
    )
    return await client.call_api_async(
        params,
        SimpleNamespace(**{"query": None, "body": None, **request}),
        CallContext("kms.example:8443", keys, 'secret "db"'),
    )


def signature(url: URL, method: str, headers: Mapping[str, str], secret: str) -> str:
    """A second reading of the protocol, from what a server gets to see."""
    authorization = dict(
        part.split("=", 1) for part in headers["authorization"].partition(" ")[2].split(",")
    )
    names = authorization["SignedHeaders"].split(";")
    assert names == sorted(names)
    query = "&".join(
        f"{quote(key, safe='~')}={quote(value, safe='~')}"
        for key, value in sorted(parse_qsl(url.raw_query_string, keep_blank_values=True))
    )
    lines = [method, url.raw_path, query]
    lines += [f"{name}:{headers[name].strip()}" for name in names]
    lines += ["", ";".join(names), headers["x-acs-content-sha256"]]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key, text = secret.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode()
    expected = hmac.new(key, text, hashlib.sha256).hexdigest()
    assert authorization["Signature"] == expected
    return expected


def test_known_answer() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
    }
    query = {
        "RegionId": "cn-shanghai",
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
    }
    sign(Signable("POST", "/", query, headers), b"", Keys())
    assert headers["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


@pytest.mark.parametrize("value", ["db", "a b+c*d~e/f%g&h=i", "密钥", "acs:kms:r:1:secret/x"])
async def test_signed_request_arrives_unchanged(value: str) -> None:
    transport = ScriptedTransport(reply(b"{}"))
    await call(transport, Keys(), query={"SecretName": value, "VersionStage": "A"}, body={})
    method, url, headers, body = transport.sent[0]
    assert method == "POST"
    assert url.query["SecretName"] == value
    assert str(url).startswith("https://kms.example:8443/?SecretName=")
    assert headers["host"] == "kms.example:8443"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert body == b""
    signature(url, method, headers, "YourAccessKeySecret")


async def test_form_body_is_signed() -> None:
    transport = ScriptedTransport(reply(b"{}"))
    await call(transport, Keys(), query={}, body={"Recipient": "x y"})
    _, _, headers, body = transport.sent[0]
    assert body == b"Recipient=x+y"
    assert headers["x-acs-content-sha256"] == hashlib.sha256(body).hexdigest()


async def test_request_without_a_body_has_no_content_type() -> None:
    transport = ScriptedTransport(reply(b"{}"))
    await call(transport, Keys(), query={"A": "b"})
    assert "content-type" not in transport.sent[0][2]


async def test_token_of_temporary_credentials_is_sent_and_signed() -> None:
    transport = ScriptedTransport(reply(b"{}"))
    await call(transport, Keys(security_token="TOKEN"), query={"A": "b"})
    method, url, headers, _ = transport.sent[0]
    assert headers["x-acs-security-token"] == "TOKEN"
    assert headers["x-acs-accesskey-id"] == "YourAccessKeyId"
    assert "x-acs-security-token" in headers["authorization"]
    assert "TOKEN" not in str(url)
    signature(url, method, headers, "YourAccessKeySecret")


async def test_every_try_has_a_nonce_of_its_own() -> None:
    transport = ScriptedTransport(*[reply(b"{}") for _ in range(50)])
    for _ in range(50):
        await call(transport, Keys(), query={"A": "b"})
    assert len({headers["x-acs-signature-nonce"] for _, _, headers, _ in transport.sent}) == 50


async def test_input_of_the_response_models() -> None:
    result = await call(ScriptedTransport(reply(b'{"a": 1}')), Keys(), query={})
    assert result["body"] == {"a": 1}
    assert result["statusCode"] == 200


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"SecretData": "hush', b"\xff"])
async def test_200_without_a_document_is_transient_and_not_kept(body: bytes) -> None:
    with pytest.raises(TransientError, match="HTTP 200") as caught:
        await call(ScriptedTransport(reply(body)), Keys(), query={})
    assert caught.value.__context__ is None, "the decoder's error holds the document"


async def test_answer_that_was_cut_off_is_definite() -> None:
    with pytest.raises(DefiniteError, match="1 MiB") as caught:
        await call(ScriptedTransport(reply(b"x" * 10, complete=False)), Keys(), query={})
    assert caught.value.code == "TooLarge"


@pytest.mark.parametrize(("token", "kind"), [("", DefiniteError), ("TOKEN", CredentialsError)])
async def test_only_temporary_credentials_are_worth_refreshing(
    token: str, kind: type[SecretSyncError]
) -> None:
    body = b'{"Code": "InvalidAccessKeyId.NotFound", "Message": "no TOKEN", "RequestId": "R"}'
    with pytest.raises(kind) as caught:
        await call(ScriptedTransport(reply(body, 404)), Keys(security_token=token), query={})
    assert type(caught.value) is kind


async def test_nothing_of_the_credentials_is_repeated() -> None:
    body = (
        b'{"Code": "InvalidParameter", "RequestId": "R",'
        b' "Message": "got TOKEN of YourAccessKeyId / YourAccessKeySecret"}'
    )
    with pytest.raises(DefiniteError) as caught:
        await call(ScriptedTransport(reply(body, 400)), Keys(security_token="TOKEN"), query={})
    assert 'refused with "got *** of *** / ***"' in str(caught.value)
