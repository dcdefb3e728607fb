from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.unit.local.conftest import timestamp

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller

OTHER = "6543210987654321"


@pytest.fixture
async def role(admin: CloudAdmin, sts: KmsCaller) -> str:
    return await admin.put_role("reader", trust=[{"account": sts.info.account}])


async def assume(sts: KmsCaller, role: str, **more: str) -> dict[str, str]:
    answer = await sts.send({"RoleArn": role, "RoleSessionName": "a-test", **more})
    assert answer.status == 200, answer.code
    credentials: dict[str, str] = answer.body["Credentials"]
    return credentials


async def refusal(sts: KmsCaller, query: dict[str, str], **more: Any) -> tuple[int, str]:
    answer = await sts.send(query, **more)
    return answer.status, answer.code


def lifetime(credentials: dict[str, str]) -> timedelta:
    return datetime.fromisoformat(credentials["Expiration"]) - datetime.now(UTC)


async def test_answer(sts: KmsCaller, role: str) -> None:
    answer = await sts.send({"RoleArn": role, "RoleSessionName": "a-test"})
    assert answer.status == 200
    assert set(answer.body) == {"RequestId", "AssumedRoleUser", "Credentials"}
    user, credentials = answer.body["AssumedRoleUser"], answer.body["Credentials"]
    assert set(user) == {"AssumedRoleId", "Arn"}
    assert user["Arn"] == f"acs:ram::{sts.info.account}:role/reader/a-test"
    assert user["AssumedRoleId"].endswith(":a-test")
    assert set(credentials) == {"AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"}
    assert credentials["AccessKeyId"].startswith("STS.")
    assert credentials["Expiration"].endswith("Z")
    assert timedelta(minutes=59) < lifetime(credentials) <= timedelta(hours=1)


@pytest.mark.parametrize(
    "host",
    ["sts.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com", "sts-vpc.cn-beijing.aliyuncs.com"],
)
async def test_sts_hosts(sts: KmsCaller, role: str, host: str) -> None:
    sts.proxied = True
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    assert (await sts.send(query, host=host)).status == 200


async def test_service_is_not_served_at_hosts_of_others(sts: KmsCaller, role: str) -> None:
    sts.proxied = True
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    reported = await refusal(sts, query, host="kms.cn-hangzhou.aliyuncs.com")
    assert reported == (400, "InvalidVersion")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RoleArn": ""}, "MissingParameter"),
        ({"RoleSessionName": ""}, "MissingParameter"),
        ({"RoleArn": "reader"}, "InvalidParameter.RoleArn"),
        ({"RoleArn": "acs:ram::1:user/reader"}, "InvalidParameter.RoleArn"),
        ({"RoleSessionName": "x"}, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": "x" * 65}, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": "a b"}, "InvalidParameter.RoleSessionName"),
        ({"DurationSeconds": "899"}, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "3601"}, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "an hour"}, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "-900"}, "InvalidParameter.DurationSeconds"),
        ({"Policy": "{}"}, "UnsupportedOperation"),
    ],
)
async def test_parameters_are_checked(
    sts: KmsCaller, role: str, changes: dict[str, str], code: str
) -> None:
    query = {"RoleArn": role, "RoleSessionName": "a-test", **changes}
    assert await refusal(sts, query) == (400, code)


async def test_role_says_how_long_its_sessions_may_last(
    admin: CloudAdmin, sts: KmsCaller, role: str
) -> None:
    await admin.update_role(role, max_session_seconds=43_200)
    credentials = await assume(sts, role, DurationSeconds="43200")
    assert timedelta(hours=11) < lifetime(credentials) <= timedelta(hours=12)
    await admin.update_role(role, max_session_seconds=900)
    assert lifetime(await assume(sts, role)) <= timedelta(minutes=15)


async def test_refused_role_assumptions(admin: CloudAdmin, sts: KmsCaller, role: str) -> None:
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    missing = {**query, "RoleArn": f"acs:ram::{sts.info.account}:role/missing"}
    assert await refusal(sts, missing) == (404, "EntityNotExist.Role")
    await admin.restrict_access_key(sts.info.access_key_id, roles=["acs:ram::*:role/other-*"])
    assert await refusal(sts, query) == (403, "NoPermission")
    await admin.restrict_access_key(sts.info.access_key_id, roles=["*:role/reader"])
    await assume(sts, role)
    await admin.update_role(role, trust=[{"account": OTHER}])
    assert await refusal(sts, query) == (403, "NoPermission")
    sts.key = await admin.create_access_key(account=OTHER)
    await assume(sts, role)


async def test_signatures_are_checked_as_everywhere(sts: KmsCaller, role: str) -> None:
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    sts.signed["x-acs-date"] = timestamp(timedelta(minutes=-16))
    assert await refusal(sts, query) == (400, "InvalidTimeStamp.Expired")
    sts.signed |= {"x-acs-date": timestamp(timedelta()), "x-acs-signature-nonce": "once"}
    await assume(sts, role)
    assert await refusal(sts, query) == (400, "SignatureNonceUsed")
    sts.key = (sts.info.access_key_id, "wrong")
    assert await refusal(sts, query) == (400, "SignatureDoesNotMatch")


async def test_unsigned_call_is_refused(sts: KmsCaller, role: str) -> None:
    query = {"Action": "AssumeRole", "Version": "2015-04-01", "RoleArn": role}
    answer = await sts.plain("POST", query=query)
    assert (answer.status, answer.code) == (400, "MissingParameter")


async def test_session_reads_the_secrets_of_its_role(
    admin: CloudAdmin, sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    await admin.put_secrets({"shop/db": "v", "bank/db": "w"})
    await admin.update_role(role, secrets=["shop/*"])
    kms.use(await assume(sts, role))
    assert (await kms.get("shop/db")).body["SecretData"] == "v"
    answer = await kms.get("bank/db")
    assert (answer.status, answer.code) == (403, "Forbidden.NoPermission")
    # What a role allows is looked up at each call.
    await admin.update_role(role, secrets=[])
    assert (await kms.get("shop/db")).code == "Forbidden.NoPermission"
    assert (await kms.get("no such secret")).code == "Forbidden.NoPermission"


async def test_chain_into_another_account(
    admin: CloudAdmin, sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    await admin.put_secret("s", "ours")
    await admin.put_secret("s", "theirs", account=OTHER)
    remote = await admin.put_role("remote", account=OTHER, trust=[{"role": role}])
    await admin.update_role(role, roles=[remote])
    query = {"RoleArn": remote, "RoleSessionName": "a-test"}
    # The remote role trusts the first one, not the key that may become it.
    assert await refusal(sts, query) == (403, "NoPermission")
    first = await assume(sts, role)
    sts.use(first)
    kms.use(await assume(sts, remote))
    assert (await kms.get("s")).body["SecretData"] == "theirs"
    opened = [session["opened_by"] for session in await admin.sessions()]
    assert opened == [sts.info.access_key_id, first["AccessKeyId"]]
    await admin.update_role(role, roles=[])
    assert await refusal(sts, query) == (403, "NoPermission")


@pytest.mark.parametrize("token", [None, "wrong"], ids=["missing", "wrong"])
async def test_session_without_a_token(
    sts: KmsCaller, kms: KmsCaller, role: str, token: str | None
) -> None:
    kms.use(await assume(sts, role))
    kms.signed["x-acs-security-token"] = token
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (400, "InvalidSecurityToken.Malformed")


async def test_credentials_that_do_not_belong_together(
    sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    one, two = await assume(sts, role), await assume(sts, role)
    kms.use({**one, "SecurityToken": two["SecurityToken"]})
    assert (await kms.get("s")).code == "InvalidSecurityToken.Malformed"
    kms.use({**one, "AccessKeySecret": two["AccessKeySecret"]})
    assert (await kms.get("s")).code == "SignatureDoesNotMatch"
    kms.use({**one, "AccessKeyId": "STS.unknown"})
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (404, "InvalidAccessKeyId.NotFound")
    # A permanent key has no token.
    kms.key = ("", "")
    assert (await kms.get("s")).code == "InvalidSecurityToken.Malformed"


async def test_session_ends_at_its_time(
    admin: CloudAdmin, sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    await admin.put_secret("s", "v")
    kms.use(await assume(sts, role, DurationSeconds="900"))
    for ahead, code in ((880, "OK"), (901, "InvalidSecurityToken.Expired")):
        await admin.update_settings(clock_offset=ahead)
        kms.signed["x-acs-date"] = timestamp(timedelta(seconds=ahead))
        await kms.get("s")
        assert (await admin.calls(last=1))[0]["code"] == code


async def test_sessions_end_on_command(
    admin: CloudAdmin, sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    await admin.put_secret("s", "v")
    other = await admin.put_role("other", trust=[{"account": sts.info.account}])
    one, two, three = [await assume(sts, arn) for arn in (role, role, other)]

    async def outcomes() -> list[str]:
        for credentials in (one, two, three):
            kms.use(credentials)
            await kms.get("s")
        return [call["code"] for call in await admin.calls(last=3)]

    expired = "InvalidSecurityToken.Expired"
    assert await admin.expire_sessions(access_key=one["AccessKeyId"]) == 1
    assert await outcomes() == [expired, "OK", "OK"]
    assert await admin.expire_sessions(role="other") == 1
    assert await outcomes() == [expired, "OK", expired]
    assert await admin.expire_sessions(access_key=sts.info.access_key_id) == 1
    assert await outcomes() == [expired] * 3
    assert await admin.expire_sessions() == 0
    kms.use(await assume(sts, role))
    assert (await kms.get("s")).status == 200


async def test_sessions_of_a_deleted_role_end(
    admin: CloudAdmin, sts: KmsCaller, kms: KmsCaller, role: str
) -> None:
    kms.use(await assume(sts, role))
    await admin.delete_role("reader")
    assert (await kms.get("s")).code == "InvalidSecurityToken.Expired"
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    assert await refusal(sts, query) == (404, "EntityNotExist.Role")


async def test_faults_and_counters_by_role(admin: CloudAdmin, sts: KmsCaller, role: str) -> None:
    other = await admin.put_role("other", trust=[{"account": sts.info.account}])
    await admin.set_fault("throttle", action="AssumeRole", subject=role, count=1)
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    await assume(sts, other)
    assert await refusal(sts, query) == (429, "Rejected.Throttling")
    await assume(sts, role)
    counters = await admin.counters()
    assert counters["actions"] == {"AssumeRole": 3}
    assert counters["subjects"] == {"AssumeRole": {other: 1, role: 2}}
    assert counters["codes"] == {"OK": 2, "Rejected.Throttling": 1}


async def test_other_faults(admin: CloudAdmin, sts: KmsCaller, role: str) -> None:
    query = {"RoleArn": role, "RoleSessionName": "a-test"}
    for kind, status in (("html", 502), ("empty", 503), ("blank", 200), ("delay", 200)):
        await admin.set_fault(kind, action="AssumeRole", count=1)
        assert (await sts.send(query)).status == status
    await admin.set_fault("close", action="AssumeRole", count=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await sts.send(query)
    await admin.set_fault("hang", action="AssumeRole")
    call = asyncio.create_task(sts.send(query))
    done, _ = await asyncio.wait([call], timeout=0.1)
    assert not done
    await admin.clear_faults()
    assert (await call).status == 200
