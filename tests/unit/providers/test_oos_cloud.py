"""GetSecretParameter over TLS against the playground's cloud, also when that misbehaves."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from secret_sync.cloud.dedicated import DedicatedTrust
from secret_sync.cloud.endpoints import resolve_oos
from secret_sync.cloud.errors import StaleConnectionError
from secret_sync.cloud.transport import Transport, build_ssl_context
from secret_sync.credentials import Credentials
from secret_sync.errors import DefiniteError, NotFoundError, ThrottledError, TransientError
from secret_sync.local.cloud import CloudAdmin, LocalCloud
from secret_sync.providers.kms import KmsClient, fetch_secret
from secret_sync.providers.oos import OosClient, fetch_parameter
from secret_sync.providers.value import SecretValue
from tests.unit.providers.fakes import PlainRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo

NAME = "team/db"
VALUE = "hunter2-hunter2"
REGION = "cn-hangzhou"


@dataclass
class OosHarness:
    info: CloudInfo
    admin: CloudAdmin
    transport: Transport
    keys: Credentials

    async def fetch(self, name: str = NAME, version: str = "", endpoint: str = "") -> SecretValue:
        target = resolve_oos(name, region=REGION, endpoint=endpoint or self.info.endpoint)
        request = PlainRequest(target.host, name, version, region=target.region)
        return await fetch_parameter(OosClient(self.transport), request, self.keys)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[OosHarness]:
    cloud = LocalCloud()
    info = await cloud.start(tmp_path)
    transport = Transport(
        ssl_context=build_ssl_context(info.ca_file),
        https_proxy=info.proxy_url,
        dedicated=DedicatedTrust(info.ca_file),
    )
    async with CloudAdmin(info.admin_url) as admin:
        await admin.put_parameter(NAME, VALUE)
        keys = Credentials(info.access_key_id, info.access_key_secret)
        yield OosHarness(info, admin, transport, keys)
    await transport.close()
    await cloud.stop()


async def test_value_and_its_version(harness: OosHarness) -> None:
    assert await harness.fetch() == SecretValue(VALUE.encode(), "1")
    await harness.admin.put_parameter(NAME, "newer")
    assert await harness.fetch() == SecretValue(b"newer", "2")
    assert await harness.fetch(version="1") == SecretValue(VALUE.encode(), "1")


async def test_default_endpoint(harness: OosHarness) -> None:
    host = resolve_oos(NAME, region=REGION).host
    assert (await harness.fetch(endpoint=host)).data == VALUE.encode()


async def test_region_is_another_place(harness: OosHarness) -> None:
    await harness.admin.put_parameter("there", VALUE, region="cn-beijing")
    with pytest.raises(NotFoundError):
        await harness.fetch("there")


@pytest.mark.parametrize("version", ["", "7"])
async def test_absent_parameter_or_version(harness: OosHarness, version: str) -> None:
    with pytest.raises(NotFoundError, match=r"EntityNotExists\.Parameter"):
        await harness.fetch(NAME if version else "absent", version)


@pytest.mark.parametrize("missing", [{"parameters": ["other"]}, {"decrypts": False}])
async def test_forbidden_parameter(
    harness: OosHarness, missing: dict[str, list[str] | bool]
) -> None:
    await harness.admin.restrict_access_key(harness.info.access_key_id, **missing)
    with pytest.raises(DefiniteError, match="RAM does not allow"):
        await harness.fetch()


async def test_wrong_accesskey_is_named_and_not_shown(harness: OosHarness) -> None:
    right = harness.keys
    harness.keys = Credentials(right.access_key_id, "wrong-secret")
    with pytest.raises(DefiniteError, match="AccessKey") as caught:
        await harness.fetch()
    shown = "".join(traceback.format_exception(caught.value))
    for part in (right.access_key_id, right.access_key_secret, "wrong-secret"):
        assert part not in shown


async def test_throttled(harness: OosHarness) -> None:
    await harness.admin.set_fault("throttle", retry_after_ms=500, count=1, code="Throttling.User")
    with pytest.raises(ThrottledError) as caught:
        await harness.fetch()
    assert caught.value.retry_after == 0.5
    assert (await harness.fetch()).data == VALUE.encode()


@pytest.mark.parametrize(("kind", "status"), [("html", "502"), ("empty", "503"), ("blank", "200")])
async def test_html_and_empty_answers_keep_their_status(
    harness: OosHarness, kind: str, status: str
) -> None:
    await harness.admin.set_fault(kind, count=1)
    with pytest.raises(TransientError, match=f"HTTP {status}"):
        await harness.fetch()
    assert (await harness.fetch()).data == VALUE.encode()


async def test_close_of_a_reused_connection(harness: OosHarness) -> None:
    await harness.fetch()
    await harness.admin.set_fault("close", count=1)
    with pytest.raises(StaleConnectionError):
        await harness.fetch()


async def test_session_serves_kms_its_dedicated_gateways_and_oos(harness: OosHarness) -> None:
    await harness.admin.put_secret("s", "of KMS")
    kms = KmsClient(harness.transport)
    for host in (
        "kms-vpc.cn-hangzhou.aliyuncs.com",
        "kst-hzz1.cryptoservice.kms.aliyuncs.com",
    ):
        request = PlainRequest(host, "s", region=REGION)
        assert (await fetch_secret(kms, request, harness.keys)).data == b"of KMS"
    assert (await harness.fetch()).data == VALUE.encode()
    calls = [(call["action"], call["subject"]) for call in await harness.admin.calls()]
    assert calls == [
        ("GetSecretValue", "s"),
        ("GetSecretValue", "s"),
        ("GetSecretParameter", NAME),
    ]
