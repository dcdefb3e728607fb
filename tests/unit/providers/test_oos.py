"""GetSecretParameter, over a transport that only records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.credentials import Credentials
from secret_sync.errors import (
    CredentialsError,
    DefiniteError,
    NotFoundError,
    ThrottledError,
    TransientError,
)
from secret_sync.providers.oos import OosClient, fetch_parameter
from secret_sync.providers.value import SecretValue
from tests.unit.providers.fakes import FakeTransport, PlainRequest

KEYS = Credentials("LTAI-id", "key-secret")
REQUEST = PlainRequest("oos.example", "db")


def document(**fields: Any) -> bytes:
    base = {"Name": "db", "Type": "Secret", "Value": "hunter2", "ParameterVersion": 7}
    parameter = {k: v for k, v in {**base, **fields}.items() if v is not None}
    return json.dumps({"RequestId": "REQ-1", "Parameter": parameter}).encode()


def refusal(code: str) -> bytes:
    return json.dumps({"Code": code, "Message": "x", "RequestId": "REQ-1"}).encode()


async def fetch(body: bytes, request: PlainRequest = REQUEST, status: int = 200) -> SecretValue:
    client = OosClient(FakeTransport(body, status))  # type: ignore[arg-type] # a recorder
    return await fetch_parameter(client, request, KEYS)


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (REQUEST, {"Name": "db"}),
        (
            PlainRequest("oos.example", "a/b", region="cn-hangzhou"),
            {"Name": "a/b", "RegionId": "cn-hangzhou"},
        ),
        (
            PlainRequest("oos.example", "db", version_id="12"),
            {"Name": "db", "ParameterVersion": "12"},
        ),
        # It has no stages, and to ack-secret-manager they are nothing there either.
        (PlainRequest("oos.example", "db", version_stage="ACSCurrent"), {"Name": "db"}),
    ],
)
async def test_sent_request(request_: PlainRequest, query: dict[str, str]) -> None:
    transport = FakeTransport(document(ParameterVersion=request_.version_id or 7))
    await fetch_parameter(OosClient(transport), request_, KEYS)  # type: ignore[arg-type] # a recorder
    assert dict(transport.urls[0].query) == {**query, "WithDecryption": "true"}
    assert transport.urls[0].host == "oos.example"
    assert transport.headers[0]["x-acs-action"] == "GetSecretParameter"
    assert transport.headers[0]["x-acs-version"] == "2019-06-01"
    assert "Credential=LTAI-id," in transport.headers[0]["authorization"]


async def test_client_serves_each_tenant_with_its_own_credentials() -> None:
    transport = FakeTransport(document())
    client = OosClient(transport)  # type: ignore[arg-type] # a recorder
    before = dict(vars(client))
    for name in ("one", "two"):
        await fetch_parameter(client, REQUEST, Credentials(name, "s", f"token-{name}"))
    assert [h["x-acs-security-token"] for h in transport.headers] == ["token-one", "token-two"]
    assert vars(client) == before


@pytest.mark.parametrize("text", ["hunter2", "zażółć \U0001f511\n", '{"a": 12345678901234567890}'])
async def test_text_is_kept_byte_for_byte(text: str) -> None:
    assert await fetch(document(Value=text)) == SecretValue(text.encode(), "7")


@pytest.mark.parametrize(("version", "id_"), [(3, "3"), ("3", "3"), (None, ""), (True, "")])
async def test_number_of_the_version_is_its_id(version: Any, id_: str) -> None:
    assert (await fetch(document(ParameterVersion=version))).version_id == id_


@pytest.mark.parametrize(("found", "good"), [(12, True), ("12", True), (7, False)])
async def test_another_version_than_the_pinned_one_is_refused(
    found: int | str, *, good: bool
) -> None:
    body = document(ParameterVersion=found)
    request = PlainRequest("oos.example", "db", version_id="12")
    if good:
        assert (await fetch(body, request)).version_id == "12"
        return
    with pytest.raises(DefiniteError, match='the answer holds version "7"') as caught:
        await fetch(body, request)
    assert caught.value.code == "VersionMismatch"
    assert "managed" not in caught.value.message


async def test_missing_version_is_not_accepted_as_the_pinned_one() -> None:
    with pytest.raises(TransientError, match="does not say which version"):
        await fetch(
            document(ParameterVersion=None), PlainRequest("oos.example", "db", version_id="12")
        )


@pytest.mark.parametrize("version", ["v1", "0", "-1", "1.0", "1 ", "\u0661", "9" * 5000, "ACS"])
async def test_another_version_than_the_one_asked_for_is_never_fetched(version: str) -> None:
    transport = FakeTransport(document())
    request = PlainRequest("oos.example", "db", version_id=version)
    with pytest.raises(DefiniteError, match="a number from 1 on") as caught:
        await fetch_parameter(OosClient(transport), request, KEYS)  # type: ignore[arg-type] # a recorder
    assert caught.value.code == "InvalidVersionId"
    assert len(caught.value.message) < 500
    assert not transport.urls


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"{}", TransientError, "holds no Value"),
        (b'{"Parameter": "hush"}', TransientError, "holds no Value"),
        (b'{"Parameter": ["hush"]}', TransientError, "holds no Value"),
        (document(Value=None), TransientError, "holds no Value"),
        (document(Value=7), TransientError, "holds no Value"),
        (document(Value=["hush"]), TransientError, "holds no Value"),
        (document(Value=""), DefiniteError, "value is empty"),
        (b'{"Parameter": {"Value": "hush\\ud800"}}', TransientError, "unreadable answer"),
    ],
)
async def test_unusable_value_is_named_but_not_shown(
    body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await fetch(body)
    assert "hush" not in f"{caught.value!r}{caught.value.__context__!r}"
    assert 'OOS parameter "db"' in str(caught.value)


async def test_missing_parameter_is_named_with_region_and_request() -> None:
    with pytest.raises(NotFoundError) as caught:
        await fetch(refusal("EntityNotExists.Parameter"), status=404)
    assert caught.value.message == (
        'OOS parameter "db" at oos.example: it does not exist (in this region, account and'
        " version) (EntityNotExists.Parameter, HTTP 404, request REQ-1)"
    )


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("NoPermission", 403, DefiniteError, "oos:GetSecretParameter, kms:GetSecretValue"),
        ("Forbidden.RAM", 403, DefiniteError, "oos:GetSecretParameter"),
        ("Forbidden.NoPermission", 403, DefiniteError, "kms:Decrypt"),
        ("EntityNotExists.Other", 404, DefiniteError, 'refused with "x"'),
        ("InvalidAccessKeyId.NotFound", 404, DefiniteError, "AccessKey ID does not exist"),
        ("InvalidSecurityToken.Expired", 400, CredentialsError, "have expired"),
        ("Throttling.User", 400, ThrottledError, "too many calls"),
        ("Throttling", 429, ThrottledError, "too many calls"),
        ("ServiceUnavailable", 503, TransientError, "refused"),
        ("InternalError", 500, TransientError, "refused"),
    ],
)
async def test_refusals_are_sorted_as_those_of_kms(
    code: str, status: int, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await fetch(refusal(code), status=status)
    assert type(caught.value) is kind


async def test_hostile_name_breaks_no_message() -> None:
    with pytest.raises(TransientError) as caught:
        await fetch(b"", PlainRequest("oos.example", "a\nb\x1b[2J" + "x" * 5000))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


@given(st.binary(max_size=300))
async def test_any_body_is_handled(body: bytes) -> None:
    with pytest.raises((TransientError, DefiniteError)):
        await fetch(body)
