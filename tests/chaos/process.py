"""The controller under chaos: started, told to suffer, ended, and watched from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.support.program import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
#: Seconds that a stop may take, as a kubelet gives it.
STOPS_WITHIN: Final = 25.0
#: Seconds in which it says its first word on a machine that is busy.
START: Final = 60.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Footprint:
    """What the process has of the machine: bytes, and numbers of descriptors and tasks."""

    resident: int
    descriptors: int
    tasks: int

    def __str__(self) -> str:
        return f"{self.resident / 2**20:.0f} MiB, {self.descriptors} fds, {self.tasks} tasks"


@dataclass
class Child:
    """One life of the controller.

    Attributes:
        process: Of the operating system.
        loop: Which event loop it runs on.
        lines: What it said on standard error.
        answers: What the harness in it said.
        doomed: Whether somebody wants it to end.
        in_sync: Whether it has been in sync with the API server.
    """

    process: asyncio.subprocess.Process
    loop: str
    lines: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    doomed: bool = False
    in_sync: bool = False
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(
        cls,
        loop: str,
        flags: Sequence[str],
        variables: Mapping[str, str],
        *,
        signal_after: int = -1,
    ) -> Child:
        """Starts one; does not wait for anything.

        Args:
            loop: ``uvloop`` or ``asyncio``.
            flags: Of ``secret-sync run``.
            variables: Of the environment.
            signal_after: Callbacks until it sends itself SIGTERM, with ``asyncio``.
        """
        more = {"CHAOS_LOOP": loop, "CHAOS_SIGNAL_AFTER": str(signal_after), **variables}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.chaos.child", "run", *flags),
            cwd=ROOT,
            env=environment(more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        child = cls(process, loop)
        child.readers = [
            asyncio.create_task(child.read_lines()),
            asyncio.create_task(child.read_answers()),
        ]
        return child

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def report(self, do: str, **arguments: Any) -> None:
        """A command to the harness in it; one that has just ended hears nothing."""
        assert self.process.stdin is not None
        if self.alive:
            with suppress(ConnectionError, RuntimeError):
                self.process.stdin.write(orjson.dumps({"do": do, **arguments}) + b"\n")

    async def until_in_sync(self, within: float = 60) -> None:
        """Waits for its informers, or its end."""
        by = time.monotonic() + within
        while not self.in_sync:
            if not self.alive or time.monotonic() > by:
                raise AssertionError(f"never in sync: {self.lines[-3:]}")
            await asyncio.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still lives."""
        if self.alive:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def ends(self, within: float) -> int:
        """Waits for its end; returns the exit code."""
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def is_told_to_stop(self, within: float) -> bool:
        """Whether it sends itself the signal in these seconds, which begin when it says something.

        Before, a signal from outside ends it without a word: nobody has asked for it yet.
        """
        by = time.monotonic() + START
        begun = False
        while self.alive and time.monotonic() < by:
            if any("signal" in answer for answer in self.answers):
                return True
            if not begun and (self.lines or self.answers):
                begun, by = True, time.monotonic() + within
            await asyncio.sleep(0.02)
        return False

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Ends it; returns its exit code.

        Raises:
            TimeoutError: It was asked to stop and did not.
        """
        # One that ended before, nobody wanted to.
        self.doomed = self.doomed or self.alive
        self.send(number)
        try:
            code = await self.ends(STOPS_WITHIN)
        finally:
            self.send(signal.SIGKILL)
            await self.process.wait()
            await asyncio.gather(*self.readers)
        return code

    async def footprint(self) -> Footprint:
        """What it has at this moment."""
        asked = len(self.answers)
        self.report("report")
        async with asyncio.timeout(15):
            while not any(  # noqa: ASYNC110 (a child)
                "tasks" in a for a in self.answers[asked:]
            ):
                await asyncio.sleep(0.02)
        tasks = next(a["tasks"] for a in self.answers[asked:] if "tasks" in a)
        return await asyncio.to_thread(self._footprint, tasks)

    def _footprint(self, tasks: int) -> Footprint:
        here = Path(f"/proc/{self.process.pid}")
        resident = int((here / "statm").read_text().split()[1]) * _PAGE
        return Footprint(resident, len(list((here / "fd").iterdir())), tasks)

    def blocked(self, seconds: float) -> list[str]:
        """When its loop could do nothing else for longer than this."""
        return [str(a) for a in self.answers if a.get("blocked", 0) > seconds]

    def leftovers(self) -> list[str]:
        """What a life that was ended in peace left behind."""
        last = next((a for a in self.answers if "tasks_left" in a), None)
        if last is None:
            return ["it did not come to its end"]
        left = [f"task {name}" for name in last["tasks_left"]]
        return left + [f"{last['sockets_left']} sockets"] * bool(last["sockets_left"])

    async def read_lines(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode(errors="replace"))
            self.in_sync = self.in_sync or b'"in sync"' in line

    async def read_answers(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.answers.append(orjson.loads(line))
