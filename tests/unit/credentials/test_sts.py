"""What is sent to STS, and what is made of its answers; under a virtual clock."""

from __future__ import annotations

import asyncio
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.cloud.errors import StaleConnectionError, UnreachableError
from secret_sync.credentials import Credentials, Role, Sts
from secret_sync.errors import (
    ClockError,
    CredentialsError,
    DefiniteError,
    NotFoundError,
    SecretSyncError,
    ThrottledError,
    TransientError,
)

pytestmark = pytest.mark.looptime

ROLE = Role("acs:ram::42:role/reader", "secret-sync", 900)
PROVIDER = "acs:ram::42:oidc-provider/ack-rrsa-c1"
TOKEN = "hush-jwt.with+odd/characters==.~"
KEYS = Credentials("LTAI-id", "hush-key")
VPC, PUBLIC = "sts-vpc.cn-test.aliyuncs.com", "sts.cn-test.aliyuncs.com"


def sts_on(wire: Any, *, endpoint: str = "sts.example:8443", region: str = "cn-test") -> Sts:
    return Sts(wire, endpoint=endpoint, region=region)


async def assume(sts: Sts) -> Credentials:
    return await sts.assume_role(KEYS, ROLE)


async def assume_with_token(sts: Sts) -> Credentials:
    return await sts.assume_role_with_oidc(TOKEN, PROVIDER, ROLE)


both = pytest.mark.parametrize("call", [assume, assume_with_token])


async def test_token_is_sent_in_the_body_and_nowhere_else(played: Any) -> None:
    wire = played.wire([played.granted()])
    await assume_with_token(sts_on(wire))
    (sent,) = wire.sent
    assert sent.method == "POST"
    assert str(sent.url) == "https://sts.example:8443/"
    assert sent.body == (
        b"OIDCProviderArn=acs%3Aram%3A%3A42%3Aoidc-provider%2Fack-rrsa-c1"
        b"&OIDCToken=hush-jwt.with%2Bodd%2Fcharacters%3D%3D.~"
        b"&RoleArn=acs%3Aram%3A%3A42%3Arole%2Freader"
        b"&RoleSessionName=secret-sync&DurationSeconds=900"
    )
    assert set(sent.headers) == {
        "host", "accept", "user-agent", "content-type", "x-acs-action", "x-acs-version",
        "x-acs-date", "x-acs-signature-nonce",
    }  # fmt: skip
    assert sent.headers["x-acs-action"] == "AssumeRoleWithOIDC"
    assert sent.headers["x-acs-version"] == "2015-04-01"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert sent.headers["host"] == "sts.example:8443"
    assert "hush" not in f"{sent.url}{sent.headers}"


async def test_assume_role_is_signed_with_the_credentials_given(played: Any) -> None:
    wire = played.wire([played.granted()])
    sts = sts_on(wire)
    await assume(sts)
    await sts.assume_role(Credentials("STS.id", "hush-key", "base-token"), ROLE)
    permanent, temporary = wire.sent
    assert permanent.method == "POST"
    assert permanent.body == b""
    assert dict(parse_qsl(permanent.url.raw_query_string)) == {
        "RoleArn": ROLE.arn,
        "RoleSessionName": "secret-sync",
        "DurationSeconds": "900",
    }
    assert permanent.headers["x-acs-action"] == "AssumeRole"
    assert permanent.headers["x-acs-version"] == "2015-04-01"
    start = "ACS3-HMAC-SHA256 Credential=LTAI-id,SignedHeaders="
    assert permanent.headers["authorization"].startswith(start)
    assert "x-acs-security-token" not in permanent.headers
    assert temporary.headers["x-acs-security-token"] == "base-token"
    assert "x-acs-security-token" in temporary.headers["authorization"]
    assert "base-token" not in str(temporary.url)


@both
async def test_duration_that_is_not_written_is_not_sent(played: Any, call: Any) -> None:
    wire = played.wire([played.granted()])
    sts = sts_on(wire)
    role = Role(ROLE.arn, "me")
    if call is assume:
        await sts.assume_role(KEYS, role)
    else:
        await sts.assume_role_with_oidc(TOKEN, PROVIDER, role)
    assert "DurationSeconds" not in wire.sent[0].fields
    assert wire.sent[0].fields["RoleSessionName"] == "me"


@both
@pytest.mark.parametrize("skew", [0.0, 7200.0, -7200.0])
async def test_session_lives_by_the_clock_of_sts(played: Any, call: Any, skew: float) -> None:
    await asyncio.sleep(100.0)
    wire = played.wire([played.granted("x", seconds=900.0, skew=skew)])
    credentials = await call(sts_on(wire))
    assert credentials == Credentials(
        "STS.id-x", "hush-secret-x", "hush-token-x", credentials.expires_at
    )
    assert credentials.expires_at == pytest.approx(now() + 900.0, abs=0.01)


@both
@pytest.mark.parametrize("hours", [2, -2])
async def test_session_outlives_a_date_that_a_proxy_made_up(
    played: Any, call: Any, hours: int
) -> None:
    good = played.granted(seconds=900.0)
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    wire = played.wire([played.reply(200, good.body, Date=date)])
    credentials = await call(sts_on(wire))
    assert credentials.expires_at == pytest.approx(now() + 900.0, abs=2.0)


async def test_session_without_a_date_uses_our_clock(played: Any) -> None:
    good = played.granted(seconds=900.0)
    for date in ({}, {"Date": "yesterday"}):
        wire = played.wire([played.reply(200, good.body, **date)])
        credentials = await assume(sts_on(wire))
        assert credentials.expires_at == pytest.approx(now() + 900.0, abs=2.0)


@both
async def test_session_that_is_over_by_every_clock_is_refused_with_the_clocks(
    played: Any, call: Any
) -> None:
    good = played.granted(seconds=900.0, skew=-7200.0)
    date = format_datetime(datetime.now(UTC), usegmt=True)
    wire = played.wire([played.reply(200, good.body, Date=date)])
    with pytest.raises(ClockError, match=r"ended about 105 minutes ago by the clock of this"):
        await call(sts_on(wire))
    assert len(wire.sent) == 1


@both
@pytest.mark.parametrize(
    ("change", "cut"),
    [
        ({"AccessKeyId": None}, None),
        ({"AccessKeySecret": ""}, None),
        ({"SecurityToken": 7}, None),
        ({"SecurityToken": "hush\r\nx: y"}, None),
        ({"Expiration": None}, None),
        ({"Expiration": "hush soon"}, None),
        ({}, b"{}"),
        ({}, b'{"Credentials": null}'),
        ({}, b'{"Credentials": ["hush"]}'),
        ({}, b""),
        ({}, b"<html>hush</html>"),
        ({}, b'{"Credentials": {"AccessKeySecret": "hush'),
        ({}, b"[]"),
    ],
)
async def test_200_without_a_session_passes(
    played: Any, call: Any, change: dict[str, Any], cut: bytes | None
) -> None:
    answer = played.granted(**change) if cut is None else played.reply(200, cut)
    wire = played.wire([answer])
    with pytest.raises(TransientError) as caught:
        await call(sts_on(wire))
    assert len(wire.sent) == 4
    assert_shows_nothing(caught.value)
    assert 'role "acs:ram::42:role/reader" at sts.example:8443' in caught.value.message


@both
async def test_answer_that_is_cut_off_passes(played: Any, call: Any) -> None:
    good = played.granted()
    cut = type(good)(200, good.headers, good.body, complete=False)
    with pytest.raises(TransientError, match="unreadable answer"):
        await call(sts_on(played.wire([cut])))


@both
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>"])
async def test_response_not_from_sts_is_tried_four_times(
    played: Any, call: Any, body: bytes
) -> None:
    wire = played.wire([played.reply(502, body)])
    with pytest.raises(TransientError, match="HTTP 502"):
        await call(sts_on(wire))
    assert len(wire.sent) == 4
    nonces = {sent.headers["x-acs-signature-nonce"] for sent in wire.sent}
    assert len(nonces) == 4


@both
async def test_fault_that_passes_is_not_noticed(played: Any, call: Any) -> None:
    wire = played.wire(
        [
            StaleConnectionError("closed"),
            played.refused(503, "ServiceUnavailable"),
            TransientError("no answer in time"),
            played.granted("x"),
        ]
    )
    assert (await call(sts_on(wire))).access_key_id == "STS.id-x"
    assert len(wire.sent) == 4


async def test_wait_that_sts_asks_for_is_kept(played: Any) -> None:
    throttled = played.refused(429, "Throttling.User", x_acs_retry_after="3000")
    wire = played.wire([throttled, played.granted()])
    await assume(sts_on(wire))
    assert wire.sent[1].at - wire.sent[0].at >= 3.0


async def test_retry_after_beyond_the_limit_is_left_to_the_caller(played: Any) -> None:
    wire = played.wire([played.refused(429, "Throttling.User", x_acs_retry_after="40000")])
    with pytest.raises(ThrottledError) as caught:
        await assume(sts_on(wire))
    assert caught.value.retry_after == 40.0
    assert len(wire.sent) == 1
    assert now() < 1.0


@both
async def test_all_tries_end_within_25_seconds(played: Any, call: Any) -> None:
    wire = played.wire([TransientError("no answer in time")], takes=10.0)
    with pytest.raises(TransientError, match="no answer in time"):
        await call(sts_on(wire))
    assert now() <= 25.01
    assert len(wire.sent) == 3


@pytest.mark.slow
async def test_rate_is_50_calls_a_second_and_waiting_uses_no_time_of_the_call(played: Any) -> None:
    wire = played.wire([played.granted()])
    sts = sts_on(wire)
    await asyncio.gather(*(assume(sts) for _ in range(2000)))
    assert now() == pytest.approx(40.0, abs=0.5)
    times = [sent.at for sent in wire.sent]
    busiest = max(sum(start <= t < start + 1.0 for t in times) for start in times[::25])
    assert busiest <= 56


REFUSALS = [
    (403, "NoPermission", DefiniteError, "sts:AssumeRole"),
    (403, "Forbidden.NoPermission", DefiniteError, "sts:AssumeRole"),
    (404, "Forbidden.ResourceNotFound", DefiniteError, 'refused with "words of STS'),
    (404, "EntityNotExist.Role", DefiniteError, "role does not exist"),
    (404, "EntityNotExist.OIDCProvider", DefiniteError, "OIDC provider does not exist"),
    (400, "InvalidParameter.DurationSeconds", DefiniteError, "longest one"),
    (400, "InvalidParameter.RoleSessionName", DefiniteError, "2 to 64"),
    (400, "InvalidParameter.Other", DefiniteError, 'refused with "words of STS'),
    (401, "AuthenticationFail.NoPermission", DefiniteError, "oidc:sub"),
    (401, "AuthenticationFail.OIDCToken.Expired", CredentialsError, "token has expired"),
    (401, "AuthenticationFail.OIDCToken.Invalid", DefiniteError, "cluster"),
    (401, "AuthenticationFail.OIDCToken.InvalidSignature", DefiniteError, "not signed"),
    (401, "AuthenticationFail.OIDCToken.AudienceNotMatch", DefiniteError, "sts.aliyuncs.com"),
    (401, "AuthenticationFail.OIDCToken.New", DefiniteError, "token was not accepted"),
    (400, "InvalidSecurityToken.Expired", CredentialsError, "identity that assumes it"),
    (400, "InvalidSecurityToken.Revoked", CredentialsError, "identity that assumes it"),
    (400, "SignatureDoesNotMatch", DefiniteError, "AccessKey secret"),
    (400, "InvalidTimeStamp.Expired", ClockError, "clock"),
]


@both
@pytest.mark.parametrize(("status", "code", "kind", "words"), REFUSALS)
async def test_refusals_of_sts_are_explained(
    played: Any, call: Any, status: int, code: str, kind: type[SecretSyncError], words: str
) -> None:
    secret = "hush-key" if call is assume else TOKEN
    message = f"words of STS, {secret}"
    wire = played.wire([played.refused(status, code, message)])
    with pytest.raises(kind, match=words) as caught:
        await call(sts_on(wire))
    error = caught.value
    assert type(error) is kind
    assert error.code == code
    assert not isinstance(error, NotFoundError), "that would be the secret that is synced"
    assert len(wire.sent) == 1
    assert "kms:" not in error.message
    assert "hush" not in f"{error} {error!r}"
    assert ("words of STS" in error.message) is ("words of STS" in words)
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("keys", "kind"),
    [(KEYS, DefiniteError), (Credentials("STS.id", "hush-key", "t"), CredentialsError)],
)
@pytest.mark.parametrize("code", ["InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive"])
async def test_refused_accesskey_is_that_of_the_base(
    played: Any, keys: Credentials, kind: type[SecretSyncError], code: str
) -> None:
    sts = sts_on(played.wire([played.refused(404, code)]))
    with pytest.raises(kind, match="of the identity that assumes it") as caught:
        await sts.assume_role(keys, ROLE)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("endpoint", "region", "hosts"),
    [
        ("", "cn-test", (VPC, PUBLIC)),
        ("", "", ("sts.aliyuncs.com",)),
        ("sts.example:8443", "cn-test", ("sts.example:8443",)),
        ("sts.example", "", ("sts.example",)),
    ],
)
async def test_hosts(played: Any, endpoint: str, region: str, hosts: tuple[str, ...]) -> None:
    sts = sts_on(played.wire([played.granted()]), endpoint=endpoint, region=region)
    assert sts.hosts == hosts
    assert sts.region == region


@pytest.mark.parametrize(
    ("endpoint", "region"), [("https://sts.example/", ""), ("a b", ""), ("", "evil.example/")]
)
async def test_invalid_host_is_noticed_at_the_start(endpoint: str, region: str) -> None:
    with pytest.raises(DefiniteError, match="is not"):
        Sts(None, endpoint=endpoint, region=region)  # type: ignore[arg-type] # never called


async def test_region_may_be_learnt_later(played: Any) -> None:
    wire = played.wire([played.granted()])
    sts = sts_on(wire, endpoint="", region="")
    sts.region = "cn-test"
    await assume(sts)
    assert sts.hosts == (VPC, PUBLIC)
    assert wire.sent[0].url.host == VPC
    with pytest.raises(DefiniteError):
        sts.region = "no region"
    assert (sts.region, sts.hosts) == ("cn-test", (VPC, PUBLIC))


@both
async def test_second_host_is_used_if_the_first_is_unreachable(played: Any, call: Any) -> None:
    unreachable = {VPC}

    def answer(sent: Any) -> Any:
        if sent.url.host in unreachable:
            return UnreachableError("cannot connect")
        return played.granted()

    wire = played.wire([answer])
    sts = sts_on(wire, endpoint="")
    for _ in range(3):
        await call(sts)
    hosts = [sent.url.host for sent in wire.sent]
    assert hosts == [VPC, PUBLIC, PUBLIC, PUBLIC], "which one serves is remembered"
    assert [sent.headers["host"] for sent in wire.sent] == hosts
    assert now() == 0.0, "without any backoff"

    unreachable.clear()
    unreachable.add(PUBLIC)
    await call(sts)
    await call(sts)
    assert [sent.url.host for sent in wire.sent[4:]] == [PUBLIC, VPC, VPC]


@both
@pytest.mark.parametrize("answered", ["refusal", "silence", "broken", "certificate", "html"])
async def test_host_that_was_reached_is_not_left_for_another(
    played: Any, call: Any, answered: str
) -> None:
    answer = {
        "refusal": played.refused(403, "NoPermission"),
        "silence": TransientError("no answer in time"),
        "broken": StaleConnectionError("closed"),
        "certificate": DefiniteError("its certificate is not trusted"),
        "html": played.reply(502, b"<html>"),
    }[answered]
    wire = played.wire([answer])
    with pytest.raises(SecretSyncError):
        await call(sts_on(wire, endpoint=""))
    assert {sent.url.host for sent in wire.sent} == {VPC}


@both
async def test_both_hosts_are_retried_if_none_is_reached(played: Any, call: Any) -> None:
    wire = played.wire([UnreachableError("cannot connect")])
    with pytest.raises(TransientError, match="cannot connect") as caught:
        await call(sts_on(wire, endpoint=""))
    assert [sent.url.host for sent in wire.sent] == [VPC, PUBLIC] * 4
    assert caught.value.__context__ is None


async def test_another_hosts_untrusted_certificate_is_not_remembered_as_an_answer(
    played: Any,
) -> None:
    def answer(sent: Any) -> Any:
        if sent.url.host == VPC and len(wire.sent) == 1:
            return UnreachableError("cannot connect")
        if sent.url.host == PUBLIC:
            return DefiniteError("its certificate is not trusted")
        return played.granted()

    wire = played.wire([answer])
    sts = sts_on(wire, endpoint="")
    with pytest.raises(DefiniteError):
        await assume(sts)
    await assume(sts)
    assert wire.sent[-1].url.host == VPC


@both
async def test_nothing_is_kept_and_nothing_is_shown(played: Any, call: Any) -> None:
    wire = played.wire([played.reply(500, f"<p>{TOKEN} hush-key".encode())])
    sts = sts_on(wire)
    with pytest.raises(TransientError) as caught:
        await call(sts)
    assert_shows_nothing(caught.value)
    kept = {name: value for name, value in vars(sts).items() if value is not wire}
    assert "hush" not in f"{sts!r} {kept}"


def assert_shows_nothing(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    assert "hush" not in f"{error} {error!r} {text}"
    assert (error.__cause__, error.__context__) == (None, None)
