"""The controller as a process of its own, and what it uses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from secret_sync.local.process import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

MIB: Final = 1024 * 1024
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STOP_WITHIN: Final = 25.0
_KIB: Final = 1024


class ControllerProcess:
    """``secret-sync run``; started and stopped as a context manager.

    Attributes:
        command: What runs it, without arguments.
        pid: Of the process.
        started: When it was started, on the clock of ``time.monotonic``.
        log: Its output.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> None:
        self.command: Sequence[str] = ("-m", "secret_sync", "run")
        self._arguments = arguments
        self._environment = environment
        self.log = directory / f"controller-{time.monotonic_ns()}.log"
        self.pid = 0
        self.started = 0.0

    async def __aenter__(self) -> Self:
        """Start it."""
        command = [sys.executable, *self.command, *self._arguments]
        parent = os.getpid()
        with await asyncio.to_thread(self.log.open, "wb") as output:
            self.started = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The only way to have the kernel end it with us; nothing else runs in threads.
                preexec_fn=lambda: die_with_parent(parent),
            )
        self.pid = self._process.pid
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it, kindly first; what it last said is shown if something failed."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(_STOP_WITHIN):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()
        if error is not None and self.log.exists():
            sys.stderr.write(self.log.read_text(errors="replace")[-2000:])

    async def says(self, event: str, *, within: float = 30.0) -> float:
        """Wait for an event in its log; return the seconds since the start.

        Raises:
            RuntimeError: It ended.
            TimeoutError: It did not say so in time.
        """
        wanted = f'"event":"{event}"'
        async with asyncio.timeout(within):
            while wanted not in self.log.read_text():
                if self._process.returncode is not None:
                    raise RuntimeError(f"the controller ended with {self._process.returncode}")
                await asyncio.sleep(0.01)
        return time.monotonic() - self.started

    @property
    def cpu_seconds(self) -> float:
        """User and system time so far, in steps of the kernel's tick (10 ms)."""
        return cpu_seconds(self.pid)

    @property
    def resident(self) -> float:
        """MiB resident now."""
        return memory(self.pid, "VmRSS")

    @property
    def peak(self) -> float:
        """MiB resident at most so far."""
        return memory(self.pid, "VmHWM")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    # The second field is a name in parentheses, which may hold blanks.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int, field: str) -> float:
    """A field of ``/proc/PID/status``, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _KIB / MIB
    raise KeyError(field)
