"""The controller as a process that can be made to suffer from the inside.

``python -m tests.chaos.child run FLAGS`` is ``secret-sync run FLAGS`` in which somebody else has
a hand in: name resolution, both clocks, the moment of its death. Commands come in on standard
input and answers go out on standard output, one JSON object a line; standard error is the
controller's own.

The environment says what has to be known from the beginning: ``CHAOS_LOOP`` (``uvloop``, which
is what users run, or ``asyncio``, whose clock can be moved) and, for the latter,
``CHAOS_SIGNAL_AFTER``: so many callbacks after its start the process sends itself SIGTERM.
``CHAOS_RESTART_GAP`` shortens the minute between two restarts of a workload.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import orjson
import uvloop

from secret_sync import app, cli
from secret_sync.app import start
from secret_sync.cloud import sdk_transport, temporary
from secret_sync.controller import sync
from secret_sync.controller.restart import pacing
from secret_sync.dns import Resolver
from secret_sync.kube import events, lease

if TYPE_CHECKING:
    from datetime import tzinfo
    from types import FrameType

    from secret_sync.settings import Settings

#: Seconds between two beats of the loop, and how late one may be.
BEAT: Final = 0.02
BLOCKED: Final = 0.2
#: Connections that were closed are gone a few turns of the loop later.
SETTLED: Final = 0.3
#: Calls of a stack that are told.
DEPTH: Final = 8


class Wall(datetime):
    """The clock on the wall, as the controller sees it."""

    offset = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """What everything of the controller reads, wrong by ``offset``."""
        right = datetime.now(tz or UTC) + cls.offset
        return cls.fromisoformat(right.isoformat())


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward, and which ends the process after so many steps.

    Attributes:
        ahead: Seconds.
        left: Callbacks until ``signal`` is sent, or -1 for never.
    """

    ahead = 0.0
    left = int(os.environ.get("CHAOS_SIGNAL_AFTER", "-1"))
    signal = signal.SIGTERM

    def time(self) -> float:
        """Seconds, of a clock that never goes backwards but may leap."""
        return super().time() + self.ahead

    def call_soon(  # type: ignore[override]  # passed on as they are
        self, *args: Any, **kwargs: Any
    ) -> asyncio.Handle:
        """Every await that comes to its end passes here."""
        if self.left >= 0:
            self.left -= 1
            if self.left < 0:
                say({"signal": self.signal})
                os.kill(os.getpid(), self.signal)
        return super().call_soon(*args, **kwargs)


class FailingNames:
    """Name resolution, which may fail.

    Attributes:
        failing: Whether it does.
    """

    failing = False

    def install(self) -> None:
        """Puts itself before the resolver and its cache."""
        resolve = Resolver.resolve

        async def failing(resolver: Resolver, host: str, *args: Any, **kwargs: Any) -> Any:
            if self.failing and host.replace(".", "").isalpha():
                raise OSError(-3, "Temporary failure in name resolution")
            return await resolve(resolver, host, *args, **kwargs)

        setattr(Resolver, resolve.__name__, failing)


class Pulse:
    """Watches for callbacks that keep the loop to themselves.

    What the loop's thread spent waiting for a processor is not held against the controller: the
    machine had no time for it. What it computed is, and what it waited for while it held the loop.
    """

    def __init__(self) -> None:
        self._beaten = time.monotonic()
        self._seen: Counter[str] = Counter()
        self._over = threading.Event()
        self.forgiven = False

    def start(self) -> None:
        """Begins to look where the loop is when a beat is late."""
        loop = threading.get_ident()
        threading.Thread(target=self._look, args=(loop,), daemon=True).start()

    def stop(self) -> None:
        """Ends that."""
        self._over.set()

    def _look(self, loop: int) -> None:
        while not self._over.wait(BEAT):
            if time.monotonic() - self._beaten > 2 * BEAT:
                self._seen[where(sys._current_frames()[loop])] += 1

    async def beat(self) -> None:
        """Says what blocked the loop for too long, until cancelled."""
        with open_waits() as waits:
            while True:
                before, waited = time.monotonic(), seconds_waited(waits)
                self._beaten = before
                self._seen.clear()
                await asyncio.sleep(BEAT)
                late = time.monotonic() - before - BEAT
                blocked = late - (seconds_waited(waits) - waited)
                if blocked > BLOCKED and not self.forgiven:
                    seen = dict(self._seen.most_common(5))
                    say({"late": late, "blocked": blocked, "seen": seen})


def open_waits() -> BinaryIO:
    """What Linux counts for this thread: nanoseconds that it ran, that it waited to, and turns."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").open("rb", buffering=0)


def seconds_waited(waits: BinaryIO) -> float:
    """How long this thread has waited for a processor since it began."""
    waits.seek(0)
    return int(waits.read().split()[1]) / 1e9


def where(frame: FrameType | None) -> str:
    """The innermost calls of a stack, the last one first."""
    calls: list[str] = []
    while frame is not None and len(calls) < DEPTH:
        code = frame.f_code
        calls.append(f"{code.co_qualname} {Path(code.co_filename).name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(calls)


def say(answer: dict[str, Any]) -> None:
    """One line to whoever watches."""
    os.write(1, orjson.dumps(answer) + b"\n")


class Strings:
    """Those that somebody outside pulls."""

    def __init__(self, names: FailingNames, pulse: Pulse) -> None:
        self._names = names
        self._pulse = pulse

    async def listen(self) -> None:
        """Does what comes in, until cancelled."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, sys.stdin)
        try:
            async for line in reader:
                command = orjson.loads(line)
                getattr(self, command.pop("do"))(**command)
        finally:
            transport.close()

    def resolve(self, *, failing: bool) -> None:
        """Name resolution fails, or works again."""
        self._names.failing = failing

    def wall(self, *, offset: float) -> None:
        """The clock on the wall is wrong by so many seconds."""
        Wall.offset = timedelta(seconds=offset)

    def leap(self, *, seconds: float) -> None:
        """The loop's clock goes forward, as after a long sleep of the machine."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, JumpingLoop):
            loop.ahead += seconds

    def die(self, *, after: int) -> None:
        """Kill -9 at the await that comes then."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, JumpingLoop):
            loop.signal, loop.left = signal.SIGKILL, after

    def forgive(self, *, lateness: bool) -> None:
        """Whether late beats are somebody else's doing."""
        self._pulse.forgiven = lateness

    def report(self) -> None:
        """How many tasks there are."""
        say({"tasks": len(asyncio.all_tasks())})


def sockets() -> set[str]:
    """Open ones, by their identity."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:"):
                found.add(target)
    return found


async def run(settings: Settings, stop: asyncio.Event) -> int:
    """The controller's ``run`` with somebody at its elbow; tells at the end what it leaves."""
    names, pulse = FailingNames(), Pulse()
    names.install()
    pulse.start()
    for module in (sdk_transport, temporary, sync, events, lease):
        module.datetime = Wall  # type: ignore[attr-defined]
    ours = [
        asyncio.create_task(pulse.beat(), name="pulse"),
        asyncio.create_task(Strings(names, pulse).listen(), name="strings"),
    ]
    await asyncio.sleep(0)
    before = sockets()
    try:
        return await RUN(settings, stop)
    finally:
        await asyncio.sleep(SETTLED)
        mine = {*ours, asyncio.current_task()}
        tasks = [task.get_name() for task in asyncio.all_tasks() if task not in mine]
        say({"tasks_left": tasks, "sockets_left": len(sockets() - before)})
        pulse.stop()
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)


RUN: Final = start.run


def main() -> int:
    """As ``secret-sync``, with the arguments of this process."""
    if os.environ["CHAOS_LOOP"] == "asyncio":
        uvloop.new_event_loop = JumpingLoop  # type: ignore[assignment]
    if gap := os.environ.get("CHAOS_RESTART_GAP"):
        # A minute is too long to wait for again and again.
        shorter = {"GAP": float(gap), "SETTLE": 1.0, "LONGEST_GAP": 2 * float(gap)}
        for name, seconds in shorter.items():
            setattr(pacing, name, seconds)
    start.run = run
    assert app.main is start.main
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
