"""What the controller's event loop does not use: threads that its end would wait for."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from secret_sync.app.loop import EventLoop

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow

#: Connects to an address by HTTP; prints how many threads there are then.
CONNECT = """
import asyncio, os, socket, sys
import aiohttp
from aiohttp import web
from secret_sync.app.loop import EventLoop

async def main(host):
    runner = web.ServerRunner(web.Server(lambda request: asyncio.sleep(0, web.Response())))
    await runner.setup()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    await web.SockSite(runner, socket.create_server((host, 0), family=family)).start()
    url = f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    print(len(os.listdir("/proc/self/task")))
    await runner.cleanup()

asyncio.Runner(loop_factory=EventLoop).run(main(sys.argv[1]))
"""
#: Has twelve calls hang, and ends.
HANG = """
import asyncio, time
from secret_sync.app.loop import EventLoop

async def main():
    for _ in range(12):
        asyncio.ensure_future(asyncio.to_thread(time.sleep, 60))
    await asyncio.sleep(0.1)

asyncio.Runner(loop_factory=EventLoop).run(main())
"""


def output_of(program: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout


def has(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, 0), family=family).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", [host for host in ("127.0.0.1", "::1") if has(host)])
def test_an_address_in_numbers_is_connected_to_without_a_thread(host: str) -> None:
    assert output_of(CONNECT, host) == "1\n"


def test_uvloop_by_itself_starts_threads_for_it() -> None:
    # Once it does not, this loop is not needed any more.
    program = CONNECT.replace("secret_sync.app.loop import", "uvloop import Loop as")
    assert int(output_of(program, "127.0.0.1")) > 1


def test_the_process_ends_although_calls_in_threads_hang() -> None:
    begun = time.monotonic()
    output_of(HANG)
    assert time.monotonic() - begun < 20


def test_names_are_looked_up_still() -> None:
    async def look_up() -> Sequence[object]:
        return await asyncio.get_running_loop().getaddrinfo("localhost", 80, family=socket.AF_INET)

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        ours = runner.run(look_up())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look_up()) == ours
