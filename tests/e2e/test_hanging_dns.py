"""Host names that the name server never answers, as a tenant can write them into an object.

The controller runs in a mount namespace whose resolv.conf names a server that stays silent.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import (
    Api,
    external_secret,
    put_store,
)
from tests.support.program import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

_LACKS = [] if shutil.which("unshare") else ["unshare"]
_LACKS += [] if os.geteuid() == 0 else ["root"]

pytestmark = [
    pytest.mark.skipif(
        bool(_LACKS),
        reason="NOT RUN: nothing proves that hanging names harm nobody else, for lack of "
        + ", ".join(_LACKS),
    ),
]

#: An address of the loopback network that nothing else listens on.
NAME_SERVER = "127.53.53.53"
DEAD = [f"kms.cn-dead-{number}.aliyuncs.com" for number in range(8)]
LIVE = [f"live-{number}" for number in range(20)]
#: Seconds for what takes a few milliseconds; before, it took minutes.
SOON = 3.0


@contextmanager
def silent_name_server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((NAME_SERVER, 53))
        server.setblocking(False)  # noqa: FBT003 (the standard library's signature)
        yield server


@pytest.fixture
def isolated(tmp_path: Path) -> list[str]:
    """A command that becomes the one after it, with the silent name server."""
    configuration = tmp_path / "resolv.conf"
    configuration.write_text(f"nameserver {NAME_SERVER}\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(configuration)]


async def asked_for(server: socket.socket, names: set[str]) -> None:
    """Waits until the name server has been asked for these."""
    wanted = {b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) for name in names}
    async with asyncio.timeout(15):
        while wanted:
            query = await asyncio.get_running_loop().sock_recv(server, 4096)
            wanted = {name for name in wanted if name not in query}


async def edit_and_wait(api: Api, namespace: str) -> float:
    """Changes every Secret by hand; returns after how many seconds the last one is repaired."""
    begun = time.monotonic()
    await asyncio.gather(
        *(api.merge("Secret", namespace, n, {"stringData": {"x": "edited"}}) for n in LIVE)
    )
    await asyncio.gather(*(api.until_holds(namespace, n, {"x": "one"}, 60) for n in LIVE))
    return time.monotonic() - begun


async def test_names_that_are_never_answered_stop_nothing_else(
    cluster: ControlPlane, cloud: CloudInfo, namespace: str, isolated: list[str]
) -> None:
    port = free_port()
    flags = (
        f"--metrics-bind-address=127.0.0.1:{port}",
        "--region=cn-hangzhou",
        f"--kms-endpoint={cloud.endpoint}",
        f"--watch-namespaces={namespace}",
        "--max-concurrent-kms-secret-pulls=1000",
        "--log-format=json",
    )
    variables = {"KUBECONFIG": str(cluster.kubeconfig), "SSL_CERT_FILE": cloud.ca_file}
    with silent_name_server() as server:
        async with (
            CloudAdmin(cloud.admin_url) as admin,
            Api(cluster) as api,
            running(*flags, through=isolated, **variables) as child,
        ):
            await admin.put_secret("dns/one", "one")
            await put_store(api, cloud, namespace)
            for number, host in enumerate(DEAD):
                entry = {"key": "dns/one", "name": "x", "kmsEndpoint": host}
                await api.put(external_secret(f"dead-{number}", entry), namespace)
            for name in LIVE:
                await api.put(external_secret(name, {"key": "dns/one", "name": "x"}), namespace)
            await asked_for(server, set(DEAD))
            for name in LIVE:
                await api.until_holds(namespace, name, {"x": "one"}, SOON)
            # So many at once that the connections that are kept open do not do.
            for _ in range(3):
                assert await edit_and_wait(api, namespace) < SOON
            await api.until_ready(namespace, "dead-0", "ProviderUnavailable")
            begun = time.monotonic()
            child.process.send_signal(signal.SIGTERM)
            assert await child.ends(60) == 0
            # Before, 8 to 38 s.
            assert time.monotonic() - begun < 2 * SOON
    assert '"stopped"' in child.lines[-1]
