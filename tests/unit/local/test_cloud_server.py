from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING

import aiohttp
import orjson
import pytest
from alibabacloud_kms20160120 import models
from alibabacloud_kms20160120.client import Client
from alibabacloud_tea_openapi.models import Config
from darabonba.runtime import RuntimeOptions

from secret_sync.local.cloud import CloudAdmin, CloudInfo, LocalCloud, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.local.conftest import KmsCaller

pytestmark = pytest.mark.slow

HOST = "kms.cn-hangzhou.aliyuncs.com"


@pytest.mark.parametrize(
    "host",
    [HOST, "kms-vpc.cn-beijing.aliyuncs.com", "kst-hzz1.cryptoservice.kms.aliyuncs.com"],
)
async def test_default_endpoints_are_reached_through_the_proxy(
    admin: CloudAdmin, kms: KmsCaller, host: str
) -> None:
    await admin.put_secret("s", "v")
    kms.proxied = True
    for _ in range(2):
        assert (await kms.send({"SecretName": "s"}, host=host)).body["SecretData"] == "v"
    assert (await admin.counters())["connections"] == 1


@pytest.mark.parametrize("proxied", [False, True], ids=["endpoint", "proxy"])
async def test_sdk_accepts_the_local_cloud(
    admin: CloudAdmin, cloud: CloudInfo, *, proxied: bool
) -> None:
    await admin.put_secret("dir/name with space", "pässword")
    config = Config(
        access_key_id=cloud.access_key_id,
        access_key_secret=cloud.access_key_secret,
        endpoint=HOST if proxied else cloud.endpoint,
        https_proxy=cloud.proxy_url if proxied else None,
        ca=cloud.ca_file,
    )
    client = await asyncio.to_thread(Client, config)
    request = models.GetSecretValueRequest(secret_name="dir/name with space")
    response = await asyncio.to_thread(
        client.get_secret_value_with_options, request, RuntimeOptions()
    )
    assert response.status_code == 200
    assert response.body.secret_data == "pässword"
    assert response.body.version_stages.version_stage == ["ACSCurrent"]


async def test_endpoint_has_a_certificate_for_every_name_of_alibaba(
    cloud: CloudInfo, kms: KmsCaller
) -> None:
    # As with a hosts file instead of a proxy.
    for host in (HOST, "sts.aliyuncs.com", "kst-hzz1.cryptoservice.kms.aliyuncs.com"):
        async with kms.session.post(
            f"https://{cloud.endpoint}/", ssl=kms.tls, server_hostname=host
        ) as response:
            assert response.status == 400


async def test_client_that_trusts_others_is_not_served(kms: KmsCaller) -> None:
    kms.tls = ssl.create_default_context()
    for kms.proxied in (False, True):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await kms.get("s")


@pytest.mark.parametrize(
    "target",
    [
        "example.com:443",
        "aliyuncs.com.example.com:443",
        "evil-aliyuncs.com:443",
        f"{HOST}:22",
        "127.0.0.1:443",
        HOST,
    ],
)
async def test_proxy_leads_nowhere_else(cloud: CloudInfo, target: str) -> None:
    reader, writer = await _open_proxy(cloud)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 403 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    writer.close()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://100.100.100.200/latest/meta-data/", 404),
        ("http://example.com/", 403),
        # The response is from the service itself: the request is not signed.
        (f"http://{HOST}/", 400),
    ],
)
async def test_plain_requests_through_the_proxy(
    cloud: CloudInfo, kms: KmsCaller, url: str, status: int
) -> None:
    async with kms.session.get(url, proxy=cloud.proxy_url) as response:
        assert response.status == status


async def test_connect_may_come_in_pieces(cloud: CloudInfo) -> None:
    reader, writer = await _open_proxy(cloud)
    for piece in (b"CON", b"NECT ", f"{HOST}:443 HTTP/1.1\r\n".encode(), b"\r\n"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_cloud_stops_whatever_clients_do(tmp_path: Path) -> None:
    local = LocalCloud()
    info = await local.start(tmp_path)
    idle, half, mute = [await _open_proxy(info) for _ in range(3)]
    half[1].write(b"CONNECT ")
    mute[1].write(f"CONNECT {HOST}:443 HTTP/1.1\r\n\r\n".encode())
    await mute[0].readuntil(b"\r\n\r\n")
    async with asyncio.timeout(5):
        await local.stop()
    for _, writer in (idle, half, mute):
        writer.close()
    with pytest.raises(OSError, match="Connect call failed"):
        await _open_proxy(info)


async def test_cloud_starts_on_the_requested_ports(tmp_path: Path) -> None:
    first = LocalCloud()
    info = await first.start(tmp_path)
    await first.stop()
    port, proxy, admin = (
        int(url.rpartition(":")[2]) for url in (info.endpoint, info.proxy_url, info.admin_url)
    )
    second = LocalCloud(port=port, proxy_port=proxy, admin_port=admin)
    again = await second.start(tmp_path)
    third = LocalCloud(port=port)
    with pytest.raises(OSError, match="in use"):
        await third.start(tmp_path / "third")
    await second.stop()
    assert (again.endpoint, again.proxy_url, again.admin_url) == (
        info.endpoint,
        info.proxy_url,
        info.admin_url,
    )


async def test_process_of_its_own(tmp_path: Path) -> None:
    cloud = await spawn(tmp_path)
    try:
        assert CloudInfo.read(tmp_path) == cloud.info
        assert (tmp_path / "cloud.json").stat().st_mode & 0o777 == 0o600
        async with CloudAdmin(cloud.info.admin_url) as admin:
            assert await admin.put_secret("s", "v") == "v1"
    finally:
        os.kill(cloud.pid, signal.SIGTERM)
        status = await cloud.stop()
    assert status == 0
    assert not (tmp_path / "cloud.json").exists()


async def test_process_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"cloud\.log"):
        await spawn(tmp_path, "--port", "no number")


async def test_cloud_ends_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys, time\n"
        "from secret_sync.local.cloud import spawn\n"
        "async def main():\n"
        "    cloud = await spawn(pathlib.Path(sys.argv[1]))\n"
        "    print(cloud.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    info = orjson.loads((tmp_path / "cloud.json").read_bytes())
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(10):
        while _answers(info["endpoint"]) or _runs(pid):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


def _answers(endpoint: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2])), 1).close()
    except OSError:
        return False
    return True


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - one line of procfs
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def _open_proxy(info: CloudInfo) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(info.proxy_url.rpartition(":")[2]))
