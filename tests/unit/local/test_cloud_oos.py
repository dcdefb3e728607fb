from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.local.cloud import AdminError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import Answer, KmsCaller

HOST = "oos-vpc.cn-hangzhou.aliyuncs.com"


@pytest.fixture
def oos(kms: KmsCaller) -> KmsCaller:
    headers: dict[str, str | None] = {
        "x-acs-action": "GetSecretParameter",
        "x-acs-version": "2019-06-01",
    }
    return replace(kms, signed=headers, tampered={})


async def get(oos: KmsCaller, name: str, host: str = HOST, **more: str) -> Answer:
    return await oos.send({"Name": name, "WithDecryption": "true", **more}, host=host)


async def test_parameter(admin: CloudAdmin, oos: KmsCaller) -> None:
    assert await admin.put_parameter("team/db", "pässword") == 1
    answer = await get(oos, "team/db")
    assert answer.status == 200
    assert answer.body["RequestId"]
    parameter = answer.body["Parameter"]
    assert parameter.pop("Id").startswith("p-")
    assert parameter.pop("CreatedDate") == parameter.pop("UpdatedDate")
    account = oos.info.account
    assert parameter == {
        "Name": "team/db",
        "Type": "Secret",
        "Value": "pässword",
        "ParameterVersion": 1,
        "KeyId": "",
        "ShareType": "Private",
        "Description": "",
        "Constraints": "",
        "Tags": {},
        "CreatedBy": f"root({account})",
        "UpdatedBy": f"root({account})",
    }


async def test_parameter_without_decryption_has_no_value(admin: CloudAdmin, oos: KmsCaller) -> None:
    await admin.put_parameter("db", "v")
    for query in ({"Name": "db"}, {"Name": "db", "WithDecryption": "false"}):
        assert (await oos.send(query)).body["Parameter"]["Value"] is None


async def test_versions(admin: CloudAdmin, oos: KmsCaller) -> None:
    for value in ("one", "two", "three"):
        await admin.put_parameter("db", value)

    async def read(**more: str) -> tuple[str, int]:
        parameter = (await get(oos, "db", **more)).body["Parameter"]
        return parameter["Value"], parameter["ParameterVersion"]

    assert await read() == ("three", 3)
    assert await read(ParameterVersion="1") == ("one", 1)
    assert (await get(oos, "db", ParameterVersion="4")).code == "EntityNotExists.Parameter"
    assert (await get(oos, "db", ParameterVersion="v1")).code == "InvalidParameter"


async def test_oldest_of_more_than_a_hundred_versions_are_gone(
    admin: CloudAdmin, oos: KmsCaller
) -> None:
    for number in range(101):
        await admin.put_parameter("db", f"v-{number}")
    assert (await get(oos, "db", ParameterVersion="1")).code == "EntityNotExists.Parameter"
    assert (await get(oos, "db")).body["Parameter"]["ParameterVersion"] == 101
    [parameter] = await admin.parameters()
    assert len(parameter["versions"]) == 100


async def test_region_comes_from_the_host_or_the_parameter(
    admin: CloudAdmin, oos: KmsCaller
) -> None:
    await admin.put_parameter("db", "here", region="cn-hangzhou")
    await admin.put_parameter("db", "there", region="cn-beijing")
    for region, value in (("cn-hangzhou", "here"), ("cn-beijing", "there")):
        answer = await get(oos, "db", RegionId=region)
        assert answer.body["Parameter"]["Value"] == value
    oos.proxied = True
    for host, value in (
        (HOST, "here"),
        ("oos.cn-hangzhou.aliyuncs.com", "here"),
        ("oos.cn-beijing.aliyuncs.com", "there"),
    ):
        assert (await get(oos, "db", host)).body["Parameter"]["Value"] == value
    missing = await get(oos, "db", "oos.cn-wuhan.aliyuncs.com")
    assert missing.code == "EntityNotExists.Parameter"
    assert (await get(oos, "db", "kms.cn-hangzhou.aliyuncs.com")).code == "InvalidVersion"


async def test_accounts_are_apart(admin: CloudAdmin, oos: KmsCaller) -> None:
    await admin.put_parameter("db", "theirs", account="2")
    assert (await get(oos, "db")).code == "EntityNotExists.Parameter"
    oos.key = await admin.create_access_key(account="2")
    assert (await get(oos, "db")).body["Parameter"]["Value"] == "theirs"


async def test_secrets_and_parameters_are_apart(
    admin: CloudAdmin, kms: KmsCaller, oos: KmsCaller
) -> None:
    await admin.put_secret("s", "a secret")
    await admin.put_parameter("p", "a parameter")
    assert (await get(oos, "s")).code == "EntityNotExists.Parameter"
    assert (await kms.get("p")).code == "Forbidden.ResourceNotFound"


async def test_parameter_needs_a_permission_of_oos_and_one_of_kms(
    admin: CloudAdmin, oos: KmsCaller
) -> None:
    await admin.put_parameters({"shop-db": "v", "bank-db": "w"})
    key = oos.info.access_key_id
    await admin.restrict_access_key(key, parameters=["shop-*"], secrets=[])
    assert (await get(oos, "shop-db")).status == 200
    answer = await get(oos, "bank-db")
    assert (answer.status, answer.code) == (403, "NoPermission")
    await admin.restrict_access_key(key, decrypts=False)
    answer = await get(oos, "shop-db")
    assert (answer.status, answer.code) == (403, "Forbidden.NoPermission")
    assert (await oos.send({"Name": "shop-db"})).status == 200


async def test_session_reads_what_its_role_may(
    admin: CloudAdmin, oos: KmsCaller, sts: KmsCaller
) -> None:
    await admin.put_parameters({"shop-db": "v", "bank-db": "w"})
    trust = [{"account": oos.info.account}]
    role = await admin.put_role("reader", trust=trust, parameters=["shop-*"])
    answer = await sts.send({"RoleArn": role, "RoleSessionName": "a-test"})
    oos.use(answer.body["Credentials"])
    assert (await get(oos, "shop-db")).status == 200
    assert (await get(oos, "bank-db")).code == "NoPermission"
    await admin.update_role("reader", parameters=["*"])
    assert (await get(oos, "bank-db")).status == 200


async def test_errors(admin: CloudAdmin, oos: KmsCaller) -> None:
    await admin.put_parameter("db", "v")
    await admin.update_parameter("db", forbidden=True)
    assert (await get(oos, "db")).code == "NoPermission"
    await admin.update_parameter("db", forbidden=False)
    assert (await get(oos, "db")).status == 200
    await admin.delete_parameter("db")
    answer = await get(oos, "db")
    assert (answer.status, answer.code) == (404, "EntityNotExists.Parameter")
    assert await admin.parameters() == []
    answer = await oos.send({"WithDecryption": "true"})
    assert (answer.status, answer.code) == (400, "MissingParameter")


async def test_signature_is_checked_as_for_kms(admin: CloudAdmin, oos: KmsCaller) -> None:
    await admin.put_parameter("db", "v")
    oos.tampered["x-acs-date"] = "2020-01-01T00:00:00Z"
    assert (await get(oos, "db")).code == "InvalidTimeStamp.Expired"


async def test_faults_and_calls_go_by_the_parameters_name(
    admin: CloudAdmin, oos: KmsCaller
) -> None:
    await admin.put_parameters({"a": "v", "b": "w"})
    await admin.set_fault("throttle", action="GetSecretParameter", subject="a", count=1)
    assert (await get(oos, "b")).status == 200
    assert (await get(oos, "a")).status == 429
    assert (await get(oos, "a")).status == 200
    assert (await admin.counters())["subjects"] == {"GetSecretParameter": {"a": 2, "b": 1}}
    assert [(call["action"], call["subject"]) for call in await admin.calls(2)] == [
        ("GetSecretParameter", "a"),
        ("GetSecretParameter", "a"),
    ]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda admin: admin.put_parameter("", "v"), 400),
        (lambda admin: admin.put_parameter("a b", "v"), 400),
        (lambda admin: admin.put_parameter("a.b", "v"), 400),
        (lambda admin: admin.put_parameter("OOS-db", "v"), 400),
        (lambda admin: admin.put_parameter("x" * 181, "v"), 400),
        (lambda admin: admin.put_parameter("db", ""), 400),
        (lambda admin: admin.put_parameter("db", "ä" * 2049), 400),
        (lambda admin: admin.put_parameter("db", 7), 400),
        (lambda admin: admin.delete_parameter("missing"), 404),
        (lambda admin: admin.update_parameter("missing", forbidden=True), 404),
    ],
)
async def test_error_in_an_admin_request_is_reported(
    admin: CloudAdmin, call: Callable[[CloudAdmin], Awaitable[Any]], status: int
) -> None:
    with pytest.raises(AdminError) as caught:
        await call(admin)
    assert caught.value.status == status
    assert "ä" not in str(caught.value)
    assert await admin.parameters() == []
