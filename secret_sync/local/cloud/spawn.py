"""The cloud in its own process, which ends with the parent process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from secret_sync.local.cloud.info import CloudInfo

if TYPE_CHECKING:
    from pathlib import Path

_START_TIMEOUT: Final = 30.0
_STOP_TIMEOUT: Final = 5.0


class SpawnedCloud:
    """A running cloud of its own process.

    Attributes:
        info: Where it is.
        pid: Of its process.
    """

    def __init__(self, info: CloudInfo, process: asyncio.subprocess.Process) -> None:
        self.info = info
        self.pid = process.pid
        self._process = process

    async def stop(self) -> int:
        """End the process, if it still runs; return its exit status."""
        return await _end(self._process)


async def spawn(directory: Path, *arguments: str) -> SpawnedCloud:
    """Start the cloud in a process of its own and wait until it answers.

    The child ends when the thread that calls this ends: see `die_with_parent`.

    Args:
        directory: For `cloud.json`, `ca.pem` and the log, `cloud.log`.
        *arguments: Further ones of `python -m secret_sync.local.cloud`.

    Raises:
        RuntimeError: It ended at once; the message says where its log is.
        TimeoutError: It is not up after half a minute.
    """
    command = [sys.executable, "-m", "secret_sync.local.cloud", "--directory", str(directory)]
    command += ["--parent", str(os.getpid()), *arguments]
    log = directory / "cloud.log"
    with await asyncio.to_thread(log.open, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output
        )
    try:
        async with asyncio.timeout(_START_TIMEOUT):
            ready = await process.stdout.readline() if process.stdout is not None else b""
    except BaseException:
        await _end(process)
        raise
    if not ready:
        status = await _end(process)
        raise RuntimeError(f"the local cloud ended with status {status}: see {log}")
    return SpawnedCloud(await asyncio.to_thread(CloudInfo.read, directory), process)


async def _end(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                return await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()
