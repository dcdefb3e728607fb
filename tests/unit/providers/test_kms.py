"""GetSecretValue with the SDK's models and signature, over a transport that only records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.credentials import Credentials
from secret_sync.errors import DefiniteError, NotFoundError, TransientError
from secret_sync.providers.kms import KmsClient, SecretValue, fetch_secret
from tests.unit.providers.fakes import FakeTransport, PlainRequest

KEYS = Credentials("LTAI-id", "key-secret")
REQUEST = PlainRequest("kms.example", "db")


def document(**fields: Any) -> bytes:
    base = {
        "RequestId": "REQ-1",
        "SecretName": "db",
        "SecretType": "Generic",
        "SecretData": "hunter2",
        "SecretDataType": "text",
        "VersionId": "v7",
        "VersionStages": {"VersionStage": ["ACSCurrent"]},
    }
    return json.dumps({k: v for k, v in {**base, **fields}.items() if v is not None}).encode()


async def fetch(body: bytes, request: PlainRequest = REQUEST, status: int = 200) -> SecretValue:
    transport = FakeTransport(body, status)
    return await fetch_secret(KmsClient(transport), request, KEYS)  # type: ignore[arg-type] # a recorder


@pytest.mark.parametrize(
    ("request_", "query"),
    [
        (REQUEST, {"SecretName": "db"}),
        (
            PlainRequest("kms.example", "db", version_id="v1"),
            {"SecretName": "db", "VersionId": "v1"},
        ),
        (
            PlainRequest("kms.example", "a/b c", version_stage="ACSPrevious"),
            {"SecretName": "a/b c", "VersionStage": "ACSPrevious"},
        ),
    ],
)
async def test_version_and_stage_are_sent_only_if_written(
    request_: PlainRequest, query: dict[str, str]
) -> None:
    stages = [request_.version_stage or "ACSCurrent"]
    transport = FakeTransport(document(VersionId=request_.version_id or "v7", VersionStages=stages))
    await fetch_secret(KmsClient(transport), request_, KEYS)  # type: ignore[arg-type] # a recorder
    assert dict(transport.urls[0].query) == query
    assert transport.urls[0].host == "kms.example"
    assert transport.headers[0]["x-acs-action"] == "GetSecretValue"
    assert transport.headers[0]["x-acs-version"] == "2016-01-20"
    assert transport.headers[0]["content-type"] == "application/x-www-form-urlencoded"
    assert "Credential=LTAI-id," in transport.headers[0]["authorization"]


async def test_client_serves_each_tenant_with_its_own_credentials() -> None:
    transport = FakeTransport(document())
    client = KmsClient(transport)  # type: ignore[arg-type] # a recorder
    before = dict(vars(client))
    for name in ("one", "two"):
        await fetch_secret(client, REQUEST, Credentials(name, "s", f"token-{name}"))
    assert [h["x-acs-security-token"] for h in transport.headers] == ["token-one", "token-two"]
    assert vars(client) == before


@pytest.mark.parametrize("text", ["hunter2", "zażółć \U0001f511\n", '{"a": 12345678901234567890}'])
async def test_text_is_kept_byte_for_byte(text: str) -> None:
    assert await fetch(document(SecretData=text)) == SecretValue(text.encode(), "v7")


async def test_binary_is_decoded_once() -> None:
    body = document(SecretData="YUdWc2JHOD0=", SecretDataType="binary")
    assert (await fetch(body)).data == b"aGVsbG8="


@pytest.mark.parametrize("stages", [["ACSCurrent"], [], {"VersionStage": ["ACSCurrent"]}, None])
async def test_both_shapes_of_version_stages_are_read(stages: Any) -> None:
    assert (await fetch(document(VersionStages=stages))).data == b"hunter2"


def pinned(version: str = "", stage: str = "") -> PlainRequest:
    return PlainRequest("kms.example", "db", version_id=version, version_stage=stage)


@pytest.mark.parametrize(
    ("request_", "fields", "said"),
    [
        (pinned("v1"), {}, 'version "v1" was asked for, and the answer holds version "v7"'),
        (pinned("v1", "ACSCurrent"), {}, "omit it, or set versionStage"),
        (pinned(stage="ACSPrevious"), {}, "holds a version with ACSCurrent"),
        (pinned(stage="Blue"), {"VersionStages": ["ACSCurrent", "Green"]}, "ACSCurrent, Green"),
    ],
)
async def test_another_version_than_the_pinned_one_is_refused(
    request_: PlainRequest, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DefiniteError) as caught:
        await fetch(document(**fields), request_)
    assert caught.value.code == "VersionMismatch"
    assert said in caught.value.message
    assert "hunter2" not in str(caught.value)


async def test_missing_version_is_not_accepted_as_the_pinned_one() -> None:
    with pytest.raises(TransientError, match="does not say which version"):
        await fetch(document(VersionId=None), pinned("v1"))


@pytest.mark.parametrize(
    ("request_", "stages"),
    [
        (pinned("v7"), ["ACSCurrent"]),
        # The id decides where both are written.
        (pinned("v7", "ACSPrevious"), ["ACSCurrent"]),
        (pinned(stage="ACSPrevious"), {"VersionStage": ["ACSPrevious", "Blue"]}),
        (pinned(stage="ACSPrevious"), ["ACSPrevious"]),
        # Nothing is said of stages, or in a form that says nothing.
        (pinned(stage="ACSPrevious"), None),
        (pinned(stage="ACSPrevious"), []),
        (pinned(stage="ACSPrevious"), {}),
        (pinned(stage="ACSPrevious"), {"VersionStage": "ACSPrevious"}),
        # A rotation that overtakes the answer is found by the next poll.
        (pinned(stage="ACSCurrent"), ["ACSPrevious"]),
    ],
)
async def test_version_that_matches_the_pin_is_accepted(
    request_: PlainRequest, stages: Any
) -> None:
    assert (await fetch(document(VersionStages=stages), request_)).data == b"hunter2"


async def test_managed_type_is_its_document() -> None:
    data = '{"AccountName":"a","AccountPassword":"b"}'
    body = document(SecretType="Rds", SecretData=data, ExtendedConfig="{}", AutomaticRotation="X")
    assert (await fetch(body)).data == data.encode()


@pytest.mark.parametrize(
    ("said", "rotated"), [("2026-11-30T08:00:00Z", "2026-11-30T08:00:00Z"), (7, ""), (None, "")]
)
async def test_rotation_is_what_kms_says_of_it(said: object, rotated: str) -> None:
    assert (await fetch(document(LastRotationDate=said))).rotated == rotated


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"{}", TransientError, "holds no SecretData"),
        (document(SecretData=None), TransientError, "holds no SecretData"),
        (document(SecretData=7), TransientError, "holds no SecretData"),
        (document(SecretData=""), DefiniteError, "value is empty"),
        (document(SecretData="!hush!", SecretDataType="binary"), DefiniteError, "not base64"),
        (document(SecretData="hush密", SecretDataType="binary"), DefiniteError, "not base64"),
        (document(SecretDataType="hush"), DefiniteError, "neither text nor binary"),
        (b'{"SecretData": "hush\\ud800"}', TransientError, "unreadable answer"),
    ],
)
async def test_unusable_value_is_named_but_not_shown(
    body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await fetch(body)
    assert "hush" not in f"{caught.value!r}{caught.value.__context__!r}"
    assert 'KMS secret "db"' in str(caught.value)


async def test_missing_type_is_text() -> None:
    assert (await fetch(document(SecretDataType=None, VersionId=None))) == SecretValue(
        b"hunter2", ""
    )


async def test_missing_secret_is_named_with_region_and_request() -> None:
    body = b'{"Code":"Forbidden.ResourceNotFound","Message":"x","RequestId":"REQ-1"}'
    with pytest.raises(NotFoundError) as caught:
        await fetch(body, status=404)
    assert caught.value.message == (
        'KMS secret "db" at kms.example: it does not exist (in this region, account and version)'
        " (Forbidden.ResourceNotFound, HTTP 404, request REQ-1)"
    )


async def test_hostile_name_breaks_no_message() -> None:
    with pytest.raises(TransientError) as caught:
        await fetch(b"", PlainRequest("kms.example", "a\nb\x1b[2J" + "x" * 5000))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_value_does_not_show_itself() -> None:
    assert "hunter2" not in f"{SecretValue(b'hunter2', 'v1')!r} {SecretValue(b'hunter2', 'v1')}"


@given(st.binary(max_size=300))
async def test_any_body_is_handled(body: bytes) -> None:
    with pytest.raises((TransientError, DefiniteError)):
        await fetch(body)
