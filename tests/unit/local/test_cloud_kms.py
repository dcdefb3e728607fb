from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from secret_sync.local.cloud import AdminError
from secret_sync.local.cloud.store import SecretState

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import KmsCaller


async def test_text(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("team/db", "pässword")
    answer = await kms.get("team/db")
    assert answer.status == 200
    created, request_id = answer.body.pop("CreateTime"), answer.body.pop("RequestId")
    assert created.endswith("Z")
    assert answer.headers["x-acs-request-id"] == request_id
    assert answer.body == {
        "SecretName": "team/db",
        "SecretType": "Generic",
        "SecretData": "pässword",
        "SecretDataType": "text",
        "VersionId": "v1",
        "VersionStages": {"VersionStage": ["ACSCurrent"]},
    }


async def test_binary_is_base64(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("keystore", b"\x00\xff")
    body = (await kms.get("keystore")).body
    assert body["SecretDataType"] == "binary"
    assert base64.b64decode(body["SecretData"]) == b"\x00\xff"


async def test_parameters_may_come_in_a_form(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s p", "v")
    answer = await kms.send({}, form={"SecretName": "s p"})
    assert answer.body["SecretData"] == "v"


async def test_versions_and_stages(admin: CloudAdmin, kms: KmsCaller) -> None:
    for value in ("one", "two", "three"):
        await admin.put_secret("s", value)
    await admin.put_secret("s", "canary", version_id="c1", stages=["Canary"])

    async def read(**parameters: str) -> str:
        return str((await kms.get("s", **parameters)).body["SecretData"])

    assert await read() == "three"
    assert await read(VersionStage="ACSCurrent") == "three"
    assert await read(VersionStage="ACSPrevious") == "two"
    assert await read(VersionStage="Canary") == "canary"
    assert await read(VersionId="v1") == "one"
    assert (await kms.get("s", VersionId="v9")).code == "Forbidden.ResourceNotFound"
    assert (await kms.get("s", VersionStage="None")).code == "Forbidden.ResourceNotFound"


async def test_rotation(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "old")
    version = await admin.rotate("s")
    now = (await kms.get("s")).body
    assert now["VersionId"] == version
    assert now["SecretData"] != "old"
    assert (await kms.get("s", VersionStage="ACSPrevious")).body["SecretData"] == "old"


async def test_both_shapes_of_version_stages(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "v", stages=["ACSCurrent", "Blue"])
    stages = ["ACSCurrent", "Blue"]
    assert (await kms.get("s")).body["VersionStages"] == {"VersionStage": stages}
    await admin.update_settings(version_stages_as_list=True)
    assert (await kms.get("s")).body["VersionStages"] == stages


async def test_managed_type_knows_two_stages_and_no_version_ids(
    admin: CloudAdmin, kms: KmsCaller
) -> None:
    await admin.put_secret("rds", '{"AccountName":"a","AccountPassword":"1"}', type="Rds")
    await admin.put_secret("rds", '{"AccountName":"a","AccountPassword":"2"}')
    await admin.update("rds", extended_config='{"SecretSubType":"SingleUser"}')
    body = (await kms.get("rds", VersionId="v1", FetchExtendedConfig="true")).body
    assert (body["SecretType"], body["VersionId"]) == ("Rds", "v2")
    assert body["ExtendedConfig"] == '{"SecretSubType":"SingleUser"}'
    assert (await kms.get("rds", VersionStage="Canary")).code == "InvalidParameter"


async def test_name_may_be_an_arn(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "here", region="cn-hangzhou")
    await admin.put_secret("s", "there", region="cn-beijing")
    account = kms.info.account
    arn = f"acs:kms:cn-beijing:{account}:secret/s"
    assert (await kms.get(arn)).body["SecretData"] == "there"
    missing = await kms.get(f"acs:kms:cn-wuhan:{account}:secret/s")
    assert missing.code == "Forbidden.ResourceNotFound"
    assert (await kms.get("acs:kms:cn-beijing:1:secret/s")).code == "Forbidden.NoPermission"
    assert (await kms.get("acs:kms:nonsense")).code == "InvalidParameter"


async def test_host_gives_the_region(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "here", region="cn-hangzhou")
    await admin.put_secret("everywhere", "v")
    kms.proxied = True
    beijing = "kms-vpc.cn-beijing.aliyuncs.com"
    assert (await kms.get("s")).body["SecretData"] == "here"
    missing = await kms.send({"SecretName": "s"}, host=beijing)
    assert missing.code == "Forbidden.ResourceNotFound"
    assert (await kms.send({"SecretName": "everywhere"}, host=beijing)).status == 200


async def test_accounts_are_apart(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "theirs", account="2")
    assert (await kms.get("s")).code == "Forbidden.ResourceNotFound"
    kms.key = await admin.create_access_key(account="2")
    assert (await kms.get("s")).body["SecretData"] == "theirs"


async def test_error_table(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "v")

    async def outcome() -> tuple[int, str]:
        answer = await kms.get("s")
        assert answer.body["HttpStatus"] == answer.status
        assert answer.body["RequestId"]
        assert answer.body["Message"]
        return answer.status, answer.code

    await admin.update("s", state=SecretState.DISABLED)
    assert await outcome() == (409, "Rejected.Disabled")
    await admin.update("s", state=SecretState.PENDING_DELETION)
    assert await outcome() == (409, "Rejected.PendingDeletion")
    await admin.update("s", state=SecretState.ENABLED, forbidden=True)
    assert await outcome() == (403, "Forbidden.NoPermission")
    await admin.delete("s")
    assert await outcome() == (404, "Forbidden.ResourceNotFound")
    answer = await kms.get(None)
    assert (answer.status, answer.code) == (400, "MissingParameter")


async def test_errors_in_xml(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.update_settings(xml_errors=True)
    answer = await kms.get("missing")
    root = ET.fromstring(answer.raw.decode())  # noqa: S314 - our own server's
    assert root.tag == "KMS"
    assert root.findtext("Code") == "Forbidden.ResourceNotFound"
    assert root.findtext("HttpStatus") == "404"


@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("x-acs-action", "DeleteEverything", 404, "InvalidAction.NotFound"),
        ("x-acs-action", None, 400, "MissingParameter"),
        ("x-acs-version", "1999-01-01", 400, "InvalidVersion"),
    ],
)
async def test_unsupported_operations(
    kms: KmsCaller, header: str, value: str | None, status: int, code: str
) -> None:
    kms.signed[header] = value
    answer = await kms.get("s")
    assert (answer.status, answer.code) == (status, code)


async def test_api_version_behind_the_wrong_host(kms: KmsCaller) -> None:
    kms.proxied = True
    answer = await kms.send({"SecretName": "s"}, host="sts.cn-hangzhou.aliyuncs.com")
    assert answer.code == "InvalidVersion"


async def test_old_versions_do_not_pile_up(admin: CloudAdmin, kms: KmsCaller) -> None:
    await admin.put_secret("s", "v", stages=["ACSCurrent", "Kept"])
    for _ in range(30):
        await admin.rotate("s")
    [secret] = await admin.secrets()
    assert len(secret["versions"]) == 13
    assert (await kms.get("s", VersionStage="Kept")).body["SecretData"] == "v"


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda admin: admin.rotate("missing"), 404),
        (lambda admin: admin.delete("missing"), 404),
        (lambda admin: admin.put_secret("s", 7), 400),
        (lambda admin: admin.set_fault("throttle", colour="red"), 400),
        (lambda admin: admin.set_fault("drip", seconds="long"), 400),
        (lambda admin: admin.update_settings(colour="red"), 400),
        (lambda admin: admin.update_settings(clock_offset="ahead"), 400),
        (lambda admin: admin.set_access_key_active("missing", active=True), 404),
        (lambda admin: admin.call("no-such-thing"), 404),
    ],
)
async def test_error_in_an_admin_request_is_reported(
    admin: CloudAdmin, call: object, status: int
) -> None:
    with pytest.raises(AdminError) as caught:
        await call(admin)  # type: ignore[operator]  # parametrized
    assert caught.value.status == status


async def test_version_id_is_used_once(admin: CloudAdmin) -> None:
    await admin.put_secret("s", "1", version_id="x")
    with pytest.raises(AdminError, match="has a version x already"):
        await admin.put_secret("s", "2", version_id="x")
