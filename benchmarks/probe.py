"""How long an event loop answers nobody, seen from outside."""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

#: Seconds between an answer and the next question.
STEP: Final = 0.005
#: Seconds after which an answer is waited for no longer.
_PATIENCE: Final = 60.0


class Probe:
    """Asks ``/healthz`` without a break, in a thread of its own; a context manager.

    What the two threads that take part spent waiting for a processor is subtracted: a busy machine
    is not the controller's doing. What the loop's thread waited for the interpreter's lock is not.

    Args:
        port: Of the server on loopback.
        pid: Of its process, whose main thread runs the loop.

    Attributes:
        longest: Seconds that the slowest answer took.
    """

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.longest = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End, when the last question is answered."""
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with ExitStack() as stack:
            waits = [stack.enter_context(_schedule(self._pid, self._pid))]
            waits.append(stack.enter_context(_schedule("self", threading.get_native_id())))
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
            stack.callback(connection.close)
            while not self._over.wait(STEP):
                began, waited = time.monotonic(), _seconds(waits)
                try:
                    connection.request("GET", "/healthz")
                    connection.getresponse().read()
                except (OSError, http.client.HTTPException):
                    # It ended, or gave no answer for very long: that took as long as it took.
                    connection.close()
                    if not Path(f"/proc/{self._pid}").exists():
                        self.longest = math.inf
                        return
                took = time.monotonic() - began - (_seconds(waits) - waited)
                self.longest = max(self.longest, took)


def _schedule(pid: int | str, thread: int) -> BinaryIO:
    """Open what Linux counts for a thread: the nanoseconds that it ran and waited to run."""
    return Path(f"/proc/{pid}/task/{thread}/schedstat").open("rb", buffering=0)


def _seconds(waits: list[BinaryIO]) -> float:
    """Return how long these threads have waited for a processor, together."""
    total = 0
    for wait in waits:
        wait.seek(0)
        total += int(wait.read().split()[1])
    return total / 1e9


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
