"""A log that nobody reads: its pipe is full, and whatever writes to it waits for ever."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import termios
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.operator import (
    Api,
    external_secret,
    put_store,
)
from tests.support.program import PROGRAM, environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

#: Seconds for what takes a few milliseconds.
SOON = 5.0
SECRETS = [f"some-{number}" for number in range(30)]
#: The least that a pipe can hold, in bytes.
PIPE = 4096
#: The most that one of our lines has, in bytes.
LINE = 1000


@pytest.fixture
def unread() -> Iterator[int]:
    """The end of a pipe to write to; at the other one nobody reads."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    yield writing
    os.close(reading)
    os.close(writing)


def held_by(pipe: int) -> int:
    """How many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"), "little")


async def test_a_log_that_nobody_reads_stops_nothing(
    cluster: ControlPlane, cloud: CloudInfo, namespace: str, unread: int
) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), "run", "--log-format=json", "--region=cn-hangzhou"),
        f"--metrics-bind-address=127.0.0.1:{port}",
        f"--kms-endpoint={cloud.endpoint}",
        f"--watch-namespaces={namespace}",
        env=environment({"KUBECONFIG": str(cluster.kubeconfig), "SSL_CERT_FILE": cloud.ca_file}),
        stdout=unread,
        stderr=unread,
    )
    try:
        async with (
            CloudAdmin(cloud.admin_url) as admin,
            Api(cluster) as api,
            aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(total=SOON)
            ) as http,
        ):
            await admin.put_secret("log/one", "one")
            await put_store(api, cloud, namespace)
            # Each Secret that is written is a line, and so is each repair.
            for name in SECRETS:
                await api.put(external_secret(name, {"key": "log/one", "name": "x"}), namespace)
                await api.until_holds(namespace, name, {"x": "one"}, 20)
            for name in SECRETS:
                edited: dict[str, Any] = {"stringData": {"x": "edited"}}
                await api.merge("Secret", namespace, name, edited)
                await api.until_holds(namespace, name, {"x": "one"}, SOON)
            # What is left has no room for another line.
            assert held_by(unread) > PIPE - LINE
            async with http.get("/healthz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
        assert time.monotonic() - begun < SOON
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
