"""``secret-sync run`` as a child process."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

PROGRAM = Path(sys.executable).with_name("secret-sync")


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """A bare one, so that nothing of the machine's own proxies or clusters counts."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **more}


def run_to_the_end(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own program)
        [str(PROGRAM), "run", *arguments],
        env=environment(more),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Running:
    """A child that is up; its standard error as lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    async def until_says(self, text: str, within: float = 30) -> None:
        try:
            async with asyncio.timeout(within):
                while not any(text in line for line in self.lines):  # noqa: ASYNC110 (a child)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never said {text!r}:\n{''.join(self.lines)}") from None

    async def ends(self, within: float = 25) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


@asynccontextmanager
async def running(
    *arguments: str, through: Sequence[str] = (), **more: str
) -> AsyncIterator[Running]:
    """Runs the controller, by way of another program that becomes it if one is given."""
    command = (*through, str(PROGRAM), "run", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(more), stderr=asyncio.subprocess.PIPE
    )
    child = Running(process)
    reading = asyncio.create_task(child.read())
    try:
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


def free_port() -> int:
    """A port of loopback that nobody has, and that the kernel gives to nobody by itself.

    One of its own choice could be somebody else's connection by the time that a program listens.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def kubeconfig(path: Path, server: str, token: str = "", ca_file: str = "") -> str:
    """A file that says where and as whom; returns its path."""
    cluster = {"server": server, **({"certificate-authority": ca_file} if ca_file else {})}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)
