"""One child process: its own session, its own log, never outliving us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from secret_sync.local.controlplane.errors import CancelledStartError, ControlPlaneError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

_LAUNCHER = Path(__file__).with_name("launcher.py")
_POLL = 0.05
_TAIL_BYTES = 2000


class Process:
    """A running program with its output in a log file.

    Start it from a thread that lives as long as the program is wanted: the kernel kills it when
    that thread is gone (see ``launcher``). It gets a session of its own, because a Ctrl-C at the
    terminal must reach us alone: the parts of a control plane only stop cleanly in order.

    Attributes:
        name: What to call it in messages.
        log: The file its stdout and stderr are appended to.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        program = Path(argv[0])
        self.name = program.name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # argv is ours, no shell
                [
                    *(sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid())),
                    *(str(part) for part in (program.absolute(), *argv[1:])),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"<Process {self.name} pid={self.pid} returncode={self._popen.returncode}>"

    @property
    def pid(self) -> int:
        """Return the program's own process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Return its exit status, or ``None`` while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait up to ``seconds`` for the end; the exit status, or ``None`` if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(seconds)
        return None

    def stop(self, seconds: float) -> None:
        """Ask it and its children to stop; kill them if it has not within ``seconds``."""
        if self._signal(signal.SIGTERM) and self.wait(seconds) is None:
            self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        if self._signal(signal.SIGKILL):
            self._popen.wait()

    def finish(self, cancelled: threading.Event, tick: Callable[[], None] = lambda: None) -> int:
        """Wait for its own end, however long that takes, calling ``tick`` now and then.

        Returns:
            Its exit status.

        Raises:
            CancelledStartError: ``cancelled`` was set; it has been killed.
        """
        try:
            while (status := self.wait(_POLL)) is None:
                tick()
                if cancelled.is_set():
                    raise CancelledStartError(f"{self.name} was cancelled")
        finally:
            self.kill()
        return status

    def tail(self) -> str:
        """Return the end of its log, for an error message."""
        text = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        return text if len(text) < _TAIL_BYTES else "..." + text.partition("\n")[2]

    def wait_until(
        self, ready: Callable[[], bool], *, seconds: float, cancelled: threading.Event
    ) -> None:
        """Ask ``ready`` again and again until it says yes.

        Raises:
            ControlPlaneError: It ended, or ``seconds`` went by; with the tail of the log.
            CancelledStartError: ``cancelled`` was set.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.returncode is not None:
                why = f"ended with status {self.returncode}"
            elif time.monotonic() > deadline:
                why = f"was not ready within {seconds:.0f} s"
            elif cancelled.wait(_POLL):
                raise CancelledStartError(f"{self.name} was cancelled")
            else:
                continue
            raise ControlPlaneError(f"{self.name} {why}; the end of {self.log}:\n{self.tail()}")

    def _signal(self, signum: signal.Signals) -> bool:
        """Send a signal to its process group, unless it has ended."""
        if self.returncode is not None:
            return False
        # It leads its group; until it is reaped, no other process can have its id.
        os.killpg(self.pid, signum)
        return True
