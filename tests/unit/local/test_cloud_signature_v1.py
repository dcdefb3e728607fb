from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from alibabacloud_tea_openapi.utils import Utils

from secret_sync.local.cloud.signature_v1 import signature, string_to_sign
from tests.unit.local.conftest import timestamp

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import Answer, KmsCaller

DOCUMENTED = {
    "Timestamp": "2016-02-23T12:46:24Z",
    "Format": "XML",
    "AccessKeyId": "testid",
    "Action": "DescribeRegions",
    "SignatureMethod": "HMAC-SHA1",
    "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    "Version": "2014-05-26",
    "SignatureVersion": "1.0",
}


def test_documented_signature() -> None:
    text = string_to_sign("GET", DOCUMENTED.items())
    assert text == (
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML"
        "%26SignatureMethod%3DHMAC-SHA1"
        "%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0"
        "%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26"
    )
    assert signature("testsecret", text) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_values_that_need_encoding() -> None:
    pairs = [("b", "x y*~/"), ("a", "+="), ("Signature", "left out")]
    text = string_to_sign("POST", pairs)
    assert text == "POST&%2F&a%3D%252B%253D%26b%3Dx%2520y%252A~%252F"
    by_hand = base64.b64encode(hmac.new(b"s&", text.encode(), hashlib.sha1).digest()).decode()
    assert signature("s", text) == by_hand


@pytest.fixture
async def role(admin: CloudAdmin, kms: KmsCaller) -> str:
    return await admin.put_role("reader", trust=[{"account": kms.info.account}])


def parameters(kms: KmsCaller, role: str, **changes: str) -> dict[str, str]:
    return {
        "Action": "AssumeRole",
        "Version": "2015-04-01",
        "Format": "JSON",
        "Timestamp": timestamp(timedelta()),
        "SignatureNonce": uuid.uuid4().hex,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "AccessKeyId": kms.info.access_key_id,
        "RoleArn": role,
        "RoleSessionName": "a.b@c-d_e",
        **changes,
    }


async def send(
    kms: KmsCaller, method: str, given: dict[str, str], *, form: tuple[str, ...] = ()
) -> Answer:
    """Sign with the SDK's helper and send; the parameters named in `form` go into the body."""
    secret = kms.info.access_key_secret
    signed = {**given, "Signature": Utils.get_rpcsignature(given, method, secret)}
    body = {name: signed.pop(name) for name in form}
    return await kms.plain(method, query=signed, form=body or None)


@pytest.mark.parametrize(
    ("method", "form"),
    [("GET", ()), ("POST", ()), ("POST", ("RoleArn", "RoleSessionName", "Timestamp"))],
)
async def test_signature_is_accepted_in_the_query_and_in_a_form(
    kms: KmsCaller, role: str, method: str, form: tuple[str, ...]
) -> None:
    answer = await send(kms, method, parameters(kms, role), form=form)
    assert answer.status == 200
    assert answer.body["AssumedRoleUser"]["Arn"] == f"{role}/a.b@c-d_e"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Timestamp": timestamp(timedelta(hours=-2))}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": timestamp(timedelta(hours=2))}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": "yesterday"}, 400, "IllegalTimestamp"),
        ({"SignatureNonce": ""}, 400, "MissingParameter"),
        ({"SignatureMethod": "HMAC-SHA256"}, 400, "InvalidParameter"),
        ({"SignatureVersion": "2.0"}, 400, "InvalidParameter"),
        ({"AccessKeyId": "LTAIunknown"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"SecurityToken": "of nobody"}, 400, "InvalidSecurityToken.Malformed"),
        ({"Action": "AssumeEverything"}, 404, "InvalidAction.NotFound"),
    ],
)
async def test_errors_are_reported(
    kms: KmsCaller, role: str, changes: dict[str, str], status: int, code: str
) -> None:
    answer = await send(kms, "GET", parameters(kms, role, **changes))
    assert (answer.status, answer.code) == (status, code)


async def test_change_after_signing_and_a_replay(kms: KmsCaller, role: str) -> None:
    given = parameters(kms, role)
    secret = kms.info.access_key_secret
    signed = {**given, "Signature": Utils.get_rpcsignature(given, "GET", secret)}
    changed = await kms.plain("GET", query={**signed, "RoleSessionName": "another"})
    assert (changed.status, changed.code) == (400, "SignatureDoesNotMatch")
    assert (await kms.plain("GET", query=signed)).status == 200
    again = await kms.plain("GET", query=signed)
    assert (again.status, again.code) == (400, "SignatureNonceUsed")


async def test_session_signs_with_its_token_which_is_noted_in_the_url(
    admin: CloudAdmin, kms: KmsCaller, role: str
) -> None:
    await admin.update_role(role, roles=[role])
    first = (await send(kms, "GET", parameters(kms, role))).body["Credentials"]
    given = parameters(
        kms, role, AccessKeyId=first["AccessKeyId"], SecurityToken=first["SecurityToken"]
    )
    signature_ = Utils.get_rpcsignature(given, "GET", first["AccessKeySecret"])
    answer = await kms.plain("GET", query={**given, "Signature": signature_})
    assert answer.status == 200
    plain, with_token = await admin.calls()
    assert (plain["token_in_url"], with_token["token_in_url"]) == (False, True)
    assert with_token["access_key"] == first["AccessKeyId"]
