"""GetSecretValue over TLS against the playground's cloud with injected faults.

Its signature check is written on its own, so agreement with it means something.
"""

from __future__ import annotations

import ssl
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from secret_sync.cloud.errors import StaleConnectionError
from secret_sync.cloud.transport import Transport, build_ssl_context
from secret_sync.credentials import Credentials
from secret_sync.errors import (
    DefiniteError,
    NotFoundError,
    SecretSyncError,
    ThrottledError,
    TransientError,
)
from secret_sync.local.cloud import CloudAdmin, LocalCloud
from secret_sync.providers.kms import KmsClient, SecretValue, fetch_secret
from tests.unit.providers.fakes import PlainRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.cloud.transport import Reply

NAME = "team/db"
VALUE = "hunter2-hunter2"


@dataclass
class KmsHarness:
    admin: CloudAdmin
    client: KmsClient
    keys: Credentials
    endpoint: str
    ca_file: str
    proxy_url: str

    async def fetch(self, name: str = NAME, keys: Credentials | None = None) -> SecretValue:
        request = PlainRequest(self.endpoint, name)
        return await fetch_secret(self.client, request, keys or self.keys)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[KmsHarness]:
    cloud = LocalCloud()
    info = await cloud.start(tmp_path)
    transport = Transport(ssl_context=build_ssl_context(str(info.ca_file)))
    async with CloudAdmin(info.admin_url) as admin:
        await admin.put_secret(NAME, VALUE)
        keys = Credentials(info.access_key_id, info.access_key_secret)
        yield KmsHarness(
            admin, KmsClient(transport), keys, info.endpoint, str(info.ca_file), info.proxy_url
        )
    await transport.close()
    await cloud.stop()


class Impatient(Transport):
    """The limits of a try in tenths of a second, rather than seconds."""

    async def send(self, *args: Any, **options: Any) -> Reply:
        limits = aiohttp.ClientTimeout(total=0.4, connect=0.2, sock_read=0.2)
        return await super().send(*args, **options, timeout=limits)


async def test_value_text_or_binary_by_name_or_arn(harness: KmsHarness) -> None:
    assert (await harness.fetch()).data == VALUE.encode()
    await harness.admin.put_secret("odd name+*~%/ä", b"\x00\xff")
    assert (await harness.fetch("odd name+*~%/ä")).data == b"\x00\xff"


async def test_versions_and_stages(harness: KmsHarness) -> None:
    first = (await harness.fetch()).version_id
    await harness.admin.put_secret(NAME, "newer")
    assert (await harness.fetch()).data == b"newer"
    for request in (
        PlainRequest(harness.endpoint, NAME, version_id=first),
        PlainRequest(harness.endpoint, NAME, version_stage="ACSPrevious"),
    ):
        value = await fetch_secret(harness.client, request, harness.keys)
        assert value == SecretValue(VALUE.encode(), first)


async def test_other_shape_of_version_stages(harness: KmsHarness) -> None:
    await harness.admin.update_settings(version_stages_as_list=True)
    assert (await harness.fetch()).data == VALUE.encode()


@pytest.mark.parametrize("xml", [False, True])
async def test_absent_secret(harness: KmsHarness, xml: bool) -> None:  # noqa: FBT001 - a parameter
    await harness.admin.update_settings(xml_errors=xml)
    with pytest.raises(NotFoundError, match=r"Forbidden\.ResourceNotFound"):
        await harness.fetch("absent")


async def test_forbidden_secret(harness: KmsHarness) -> None:
    await harness.admin.update(NAME, forbidden=True)
    with pytest.raises(DefiniteError, match="RAM does not allow") as caught:
        await harness.fetch()
    assert caught.value.code == "Forbidden.NoPermission"


@pytest.mark.parametrize("wrong", ["id", "secret"])
async def test_wrong_accesskey_is_named_and_not_shown(harness: KmsHarness, wrong: str) -> None:
    keys = (
        Credentials("LTAI-nobody", harness.keys.access_key_secret)
        if wrong == "id"
        else Credentials(harness.keys.access_key_id, "wrong-secret")
    )
    with pytest.raises(DefiniteError, match="AccessKey") as caught:
        await harness.fetch(keys=keys)
    shown = "".join(traceback.format_exception(caught.value))
    for part in (keys.access_key_id, keys.access_key_secret, harness.keys.access_key_secret):
        assert part not in shown
    assert caught.value.code == (
        "InvalidAccessKeyId.NotFound" if wrong == "id" else "SignatureDoesNotMatch"
    )


async def test_clock_skew_is_said_in_words(harness: KmsHarness) -> None:
    await harness.admin.update_settings(clock_offset=-3600)
    with pytest.raises(DefiniteError, match="the clock of this machine"):
        await harness.fetch()


@pytest.mark.parametrize(("milliseconds", "seconds"), [(500, 0.5), (None, None)])
async def test_throttled(
    harness: KmsHarness, milliseconds: int | None, seconds: float | None
) -> None:
    await harness.admin.set_fault("throttle", retry_after_ms=milliseconds, count=1)
    with pytest.raises(ThrottledError) as caught:
        await harness.fetch()
    assert caught.value.retry_after == seconds
    assert (await harness.fetch()).data == VALUE.encode()


@pytest.mark.parametrize(("kind", "status"), [("html", "502"), ("empty", "503"), ("blank", "200")])
async def test_html_and_empty_answers_keep_their_status(
    harness: KmsHarness, kind: str, status: str
) -> None:
    await harness.admin.set_fault(kind, count=1)
    with pytest.raises(TransientError, match=f"HTTP {status}"):
        await harness.fetch()
    assert (await harness.fetch()).data == VALUE.encode()


@pytest.mark.parametrize("kind", ["hang", "drip"])
async def test_hang_and_a_drip_end_in_time(harness: KmsHarness, kind: str) -> None:
    transport = Impatient(ssl_context=build_ssl_context(harness.ca_file))
    harness.client = KmsClient(transport)
    try:
        await harness.admin.set_fault(kind, seconds=5.0, count=1)
        with pytest.raises(TransientError, match="no answer in time"):
            await harness.fetch()
        assert (await harness.fetch()).data == VALUE.encode()
    finally:
        await transport.close()


async def test_close_of_a_reused_connection(harness: KmsHarness) -> None:
    await harness.fetch()
    await harness.admin.set_fault("close", count=1)
    with pytest.raises(StaleConnectionError):
        await harness.fetch()
    assert (await harness.fetch()).data == VALUE.encode()


async def test_many_calls_share_few_connections_and_no_nonce(harness: KmsHarness) -> None:
    for _ in range(30):
        await harness.fetch()
    assert (await harness.admin.counters())["connections"] <= 2


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of the admin's upload
async def test_value_of_more_than_a_secret_can_hold(harness: KmsHarness) -> None:
    await harness.admin.put_secret("huge", "x" * 1_500_000)
    with pytest.raises(DefiniteError, match="more than 1 MiB"):
        await harness.fetch("huge")


async def test_certificate_of_an_unknown_ca(harness: KmsHarness) -> None:
    transport = Transport(ssl_context=ssl.create_default_context())
    try:
        with pytest.raises(DefiniteError, match=r"not trusted.*SSL_CERT_FILE"):
            await fetch_secret(
                KmsClient(transport), PlainRequest(harness.endpoint, NAME), harness.keys
            )
    finally:
        await transport.close()


async def test_default_host_through_the_proxy(harness: KmsHarness) -> None:
    transport = Transport(
        ssl_context=build_ssl_context(harness.ca_file), https_proxy=harness.proxy_url
    )
    try:
        request = PlainRequest("kms-vpc.cn-hangzhou.aliyuncs.com", NAME)
        for _ in range(3):
            value = await fetch_secret(KmsClient(transport), request, harness.keys)
            assert value.data == VALUE.encode()
    finally:
        await transport.close()


@pytest.mark.parametrize("kind", ["html", "empty", "blank", "close", "throttle"])
async def test_no_error_holds_the_credentials(harness: KmsHarness, kind: str) -> None:
    await harness.fetch()
    await harness.admin.set_fault(kind, count=1)
    with pytest.raises(SecretSyncError) as caught:
        await harness.fetch()
    assert caught.value.__context__ is None
    shown = "".join(traceback.format_exception(caught.value))
    for part in (harness.keys.access_key_id, harness.keys.access_key_secret, VALUE, "Signature="):
        assert part not in shown
