"""Which secrets a body names: our own form, and the events of Alibaba Cloud."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.errors import DefiniteError
from secret_sync.refresh.bodies import MAX_LENGTH, MAX_NAMES, read_names

ARN = "acs:kms:cn-hangzhou:1234567890123456:secret/shop-db"

#: The fields of https://www.alibabacloud.com/help/en/kms/.../monitor-the-rotation-of-dynamic-ecs-secrets
ROTATED: dict[str, Any] = {
    "product": "KMS",
    "eventTime": "20180816T135935.689+0800",
    "level": "INFO",
    "name": "Secret:RotateSecret:Success",
    "regionId": "cn-hangzhou",
    "resourceId": ARN,
    "status": "Normal",
    "content": {"secretName": "shop-db", "secretType": "ECS", "RotationEntityArn": ARN},
}
#: The fields of https://alibabacloud.com/help/en/eventbridge/user-guide/actiontrail-events
CALLED: dict[str, Any] = {
    "eventId": "92b33345",
    "eventVersion": 1,
    "eventRW": "Write",
    "eventType": "ApiCall",
    "serviceName": "Kms",
    "eventName": "PutSecretValue",
    "acsRegion": "cn-hangzhou",
    "requestParameters": {"SecretName": "shop-db"},
    "referencedResources": {"ACS::KMS::Secret": ["shop-db", "shop-user"]},
}


def envelope(data: object, kind: str = "kms:ActionTrail:ApiCall") -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "acs.kms", "type": kind, "data": data}


def names(document: object) -> list[str]:
    return read_names(json.dumps(document).encode())


def test_own_form_names_secrets_once() -> None:
    assert names({"secrets": ["b", "a", ARN, "b"]}) == ["b", "a", ARN]
    assert names({"secrets": []}) == []


def test_notification_of_cloudmonitor_names_the_rotated_secret() -> None:
    assert names(ROTATED) == [ARN, "shop-db"]
    as_text = {**ROTATED, "content": json.dumps(ROTATED["content"])}
    assert names(as_text) == [ARN, "shop-db"]


def test_eventbridge_wraps_both_kinds_of_events() -> None:
    rotated = envelope(ROTATED, "kms:CloudMonitor:Secret[RotateSecret:Success]")
    assert names(rotated) == [ARN, "shop-db"]
    assert names(envelope(CALLED)) == ["shop-db", "shop-user"]
    assert names([rotated, envelope(CALLED)]) == [ARN, "shop-db", "shop-user"]
    parameters = {"requestParameterJson": '{"SecretName": "shop-db"}'}
    assert names(envelope({"eventName": "UpdateSecretVersionStage", **parameters})) == ["shop-db"]


@pytest.mark.parametrize(
    "event",
    [
        {**ROTATED, "name": "Secret:RotateSecret:Failure"},
        envelope({"resourceId": ARN}, "kms:CloudMonitor:Secret[RotateSecret:Failure]"),
        {**ROTATED, "product": "ECS"},
        envelope({**CALLED, "errorCode": "Forbidden.NoPermission"}),
        envelope({**CALLED, "serviceName": "Ecs"}),
        envelope({**CALLED, "serviceName": 7}),
        envelope(None),
        envelope("no JSON"),
        {"specversion": "1.0"},
        {"product": "KMS", "content": [], "resourceId": 7},
    ],
)
def test_events_that_change_no_secret_name_none(event: object) -> None:
    assert names(event) == []


@pytest.mark.parametrize("call", ["GetSecretValue", "ListSecrets", "DescribeSecret"])
def test_events_of_reads_name_none_since_a_refresh_would_cause_the_next(call: str) -> None:
    assert names(envelope({**CALLED, "eventName": call, "eventRW": "Write"})) == []
    assert names(envelope({**CALLED, "eventRW": "Read"})) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"secrets=a", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"{}", "neither"),
        (b"7", "neither"),
        (b"[[]]", "neither"),
        (b'{"secrets": "a"}', "secrets: expected"),
        (b'{"secrets": [7]}', "secrets: expected"),
        (b'{"secrets": [""]}', "secrets: expected"),
        (b'{"secrets": ["%s"]}' % (b"a" * (MAX_LENGTH + 1)), "secrets: expected"),
    ],
)
def test_body_of_another_form_is_refused_without_being_quoted(body: bytes, problem: str) -> None:
    with pytest.raises(DefiniteError, match=problem) as caught:
        read_names(body)
    assert "aaa" not in str(caught.value)


def test_number_of_names_is_bounded_over_all_events() -> None:
    many = [{"secrets": [str(n)]} for n in range(MAX_NAMES + 1)]
    assert len(names(many[:-1])) == MAX_NAMES
    with pytest.raises(DefiniteError, match="send several"):
        names(many)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*ROTATED, *CALLED, *envelope(None), "secrets", "SecretName", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(
    JSON
    | st.builds(envelope, JSON)
    | st.builds(
        lambda inner: {**CALLED, **inner}, st.dictionaries(st.sampled_from([*CALLED]), JSON)
    )
)
def test_any_json_gives_bounded_names_or_a_documented_error(document: object) -> None:
    try:
        found = read_names(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    except (DefiniteError, orjson.JSONEncodeError):
        return
    assert len(found) == len(set(found)) <= MAX_NAMES
    assert all(0 < len(name) <= MAX_LENGTH for name in found)


@given(st.binary(max_size=2000))
def test_any_bytes_give_names_or_a_documented_error(body: bytes) -> None:
    with suppress(DefiniteError):
        assert all(read_names(body))
