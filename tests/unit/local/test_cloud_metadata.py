from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.local.conftest import answer_of

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.unit.local.conftest import Answer, KmsCaller

TOKEN = "X-aliyun-ecs-metadata-token"
TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
ROLES = "/latest/meta-data/ram/security-credentials/"
REGION = "/latest/meta-data/region-id"


@dataclass
class Machine:
    """A program on the machine, which asks at the listener or through the proxy."""

    kms: KmsCaller
    proxied: bool

    async def ask(
        self, path: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        info = self.kms.info
        host = "100.100.100.200" if self.proxied else info.metadata_endpoint
        proxy = info.proxy_url if self.proxied else None
        async with self.kms.session.request(
            method, f"http://{host}{path}", headers=headers, proxy=proxy
        ) as response:
            return await answer_of(response)

    async def get(self, path: str, token: str = "") -> tuple[int, str]:
        answer = await self.ask(path, {TOKEN: token} if token else None)
        return answer.status, answer.raw.decode() if answer.status == 200 else ""

    async def token(self, ttl: str = "60") -> tuple[int, str]:
        answer = await self.ask("/latest/api/token", {TTL: ttl}, "PUT")
        return answer.status, answer.raw.decode() if answer.status == 200 else ""

    async def credentials(self) -> dict[str, str]:
        answer = await self.ask(f"{ROLES}worker")
        assert answer.status == 200
        body: dict[str, str] = answer.body
        return body


@pytest.fixture(params=[False, True], ids=["listener", "proxy"])
def machine(kms: KmsCaller, request: pytest.FixtureRequest) -> Machine:
    return Machine(kms, request.param)


@pytest.fixture
async def role(admin: CloudAdmin) -> str:
    return await admin.put_role("worker")


async def test_at_the_start_there_is_no_role_and_no_region(machine: Machine) -> None:
    for path in (ROLES, f"{ROLES}worker", REGION, "/latest/meta-data/", "/"):
        assert (await machine.get(path))[0] == 404


@pytest.mark.parametrize("mode", ["both", "hardened"])
async def test_token_requests(admin: CloudAdmin, machine: Machine, role: str, mode: str) -> None:
    await admin.set_metadata(role=role, region_id="cn-hangzhou", mode=mode)
    status, token = await machine.token()
    assert status == 200
    assert await machine.get(ROLES, token) == (200, "worker")
    assert await machine.get(ROLES.rstrip("/"), token) == (200, "worker")
    assert await machine.get(REGION, token) == (200, "cn-hangzhou")
    assert (await machine.get(f"{ROLES}worker", token))[0] == 200
    assert (await machine.get(f"{ROLES}other", token))[0] == 404
    assert (await machine.get(REGION, "made up"))[0] == 403


async def test_hardened_insists_on_the_token(
    admin: CloudAdmin, machine: Machine, role: str
) -> None:
    await admin.set_metadata(role=role, region_id="cn-hangzhou", mode="hardened")
    for path in (ROLES, f"{ROLES}worker", REGION):
        assert (await machine.get(path))[0] == 403


async def test_plain_has_no_tokens(admin: CloudAdmin, machine: Machine, role: str) -> None:
    await admin.set_metadata(role="worker", region_id="cn-hangzhou", mode="plain")
    assert (await machine.token())[0] == 404
    assert await machine.get(ROLES) == (200, "worker")
    assert await machine.get(REGION) == (200, "cn-hangzhou")


@pytest.mark.parametrize("ttl", ["", "0", "-1", "21601", "99999999999999", "soon"])
async def test_lifetime_limits_of_a_token(machine: Machine, ttl: str) -> None:
    assert (await machine.token(ttl))[0] == 400
    assert (await machine.token("21600"))[0] == 200


async def test_token_ends(admin: CloudAdmin, machine: Machine) -> None:
    await admin.set_metadata(region_id="cn-hangzhou", mode="hardened")
    _, token = await machine.token("60")
    await admin.update_settings(clock_offset=61)
    assert (await machine.get(REGION, token))[0] == 403
    _, token = await machine.token("60")
    assert (await machine.get(REGION, token))[0] == 200
    assert await admin.expire_metadata_tokens() == 2
    assert (await machine.get(REGION, token))[0] == 403


async def test_credentials_are_those_of_the_role(
    admin: CloudAdmin, kms: KmsCaller, machine: Machine
) -> None:
    await admin.put_secret("s", "theirs", account="2")
    await admin.put_role("worker", account="2")
    await admin.set_metadata(role="worker", account="2")
    credentials = await machine.credentials()
    assert set(credentials) == {
        *("AccessKeyId", "AccessKeySecret", "SecurityToken"),
        *("Expiration", "LastUpdated", "Code"),
    }
    assert credentials["Code"] == "Success"
    left = datetime.fromisoformat(credentials["Expiration"]) - datetime.now(UTC)
    assert timedelta(hours=5) < left <= timedelta(hours=6)
    kms.use(credentials)
    assert (await kms.get("s")).body["SecretData"] == "theirs"


async def test_credentials_rotate(
    admin: CloudAdmin, kms: KmsCaller, machine: Machine, role: str
) -> None:
    await admin.put_secret("s", "v")
    await admin.set_metadata(role=role, session_seconds=3600)

    async def current() -> str:
        return (await machine.credentials())["AccessKeyId"]

    first = await machine.credentials()
    assert await current() == first["AccessKeyId"]
    # With less than half an hour left there are others, and the old ones stay valid.
    await admin.update_settings(clock_offset=1810)
    second = await current()
    assert second != first["AccessKeyId"]
    await admin.update_settings(clock_offset=0)
    kms.use(first)
    assert (await kms.get("s")).status == 200
    assert await admin.expire_sessions(role=role) == 2
    third = await current()
    assert third != second
    await admin.set_metadata(role=role)
    assert await current() != third


async def test_deleted_and_detached_role(admin: CloudAdmin, machine: Machine, role: str) -> None:
    await admin.set_metadata(role=role)
    await admin.delete_role(role)
    assert (await machine.get(ROLES))[0] == 404
    await admin.put_role("worker")
    assert (await machine.get(ROLES))[0] == 200
    await admin.set_metadata()
    assert (await machine.get(f"{ROLES}worker"))[0] == 404


async def test_other_methods_are_not_answered(
    admin: CloudAdmin, machine: Machine, role: str
) -> None:
    await admin.set_metadata(role=role)
    assert (await machine.ask(ROLES, method="POST")).status == 404
    assert (await machine.ask(ROLES, method="PUT")).status == 404
    assert (await machine.ask("/latest/api/token", {TTL: "60"})).status == 404


async def test_journal(admin: CloudAdmin, machine: Machine, role: str) -> None:
    await admin.set_metadata(role=role, region_id="cn-hangzhou")
    await machine.token()
    for path in (ROLES, f"{ROLES}worker", REGION, "/latest/meta-data/"):
        await machine.get(path)
    assert [(call["action"], call["subject"], call["code"]) for call in await admin.calls()] == [
        ("MetadataToken", "", "OK"),
        ("MetadataRole", "", "OK"),
        ("MetadataCredentials", "worker", "OK"),
        ("MetadataRegion", "", "OK"),
        ("MetadataOther", "", "NotFound"),
    ]


async def test_faults(admin: CloudAdmin, machine: Machine, role: str) -> None:
    await admin.set_metadata(role=role, region_id="cn-hangzhou")
    await admin.set_fault("hang", action="MetadataToken")
    call = asyncio.create_task(machine.token())
    done, _ = await asyncio.wait([call], timeout=0.1)
    assert not done
    assert (await machine.get(ROLES))[0] == 200
    await admin.clear_faults()
    assert (await call)[0] == 200
    await admin.set_fault("error", action="MetadataCredentials", count=1)
    assert (await machine.get(f"{ROLES}worker"))[0] == 500
    await admin.set_fault("html", action="MetadataRegion", count=1)
    assert (await machine.get(REGION))[0] == 502
    await admin.set_fault("drip", action="MetadataRegion", seconds=0.001, count=1)
    assert await machine.get(REGION) == (200, "cn-hangzhou")


async def test_listener_speaks_no_tls(kms: KmsCaller) -> None:
    endpoint = kms.info.metadata_endpoint
    assert kms.info.environment["SECRET_SYNC_METADATA_ENDPOINT"] == endpoint
    reader, writer = await asyncio.open_connection(*endpoint.split(":"))
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    answer = await asyncio.wait_for(reader.read(64), 5)
    assert not answer.startswith(b"\x16\x03")
    writer.close()
