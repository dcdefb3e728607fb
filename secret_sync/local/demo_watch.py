"""The changes of a Secret and their times, from a watch of the API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secret_sync.local.controlplane import launcher
from secret_sync.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.local.kubectl import Kubectl

_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Event:
    """One change.

    Attributes:
        at: When it was heard of, on the loop's clock.
        kind: ``ADDED``, ``MODIFIED`` or ``DELETED``.
        data: Of the Secret, in base64.
    """

    at: float
    kind: str
    data: dict[str, str] = field(repr=False)


class SecretWatch:
    """Hears of every state of one Secret, so that the time between two of them is known.

    Asking again and again would miss what is repaired within milliseconds.
    """

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._transport: asyncio.SubprocessTransport | None = None
        self._seen = 0

    async def start(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        """Begin to watch; kubectl ends with us, however we end."""
        command = ["get", "secrets", "-n", namespace, "--field-selector", f"metadata.name={name}"]
        self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self._pipe,
            *(sys.executable, "-I", "-S", launcher.__file__, str(os.getpid())),
            *(str(kubectl.program), *command),
            *("--watch", "--output-watch-events", "--output=json"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kubectl.environment,
            start_new_session=True,
        )

    async def until(self, wanted: Callable[[Event], bool], *, within: float, what: str) -> Event:
        """Wait for a change, beginning after the one that was waited for before.

        Args:
            wanted: Whether an event is it.
            within: Seconds.
            what: What is waited for, for the message.

        Raises:
            LocalError: It did not come, or the watch broke off.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    while self._seen < len(self._pipe.events):
                        event = self._pipe.events[self._seen]
                        self._seen += 1
                        if wanted(event):
                            return event
                    if self._pipe.ended.is_set():
                        raise LocalError(f"kubectl's watch broke off: {self._pipe.errors.strip()}")
                    self._pipe.changed.clear()
                    await self._pipe.changed.wait()
        except TimeoutError:
            raise LocalError(f"{what}: not within {within:.0f} s") from None

    async def stop(self) -> None:
        """End kubectl."""
        if self._transport is None:
            return
        if self._transport.get_returncode() is None:
            self._transport.kill()
        async with asyncio.timeout(_STOP_SECONDS):
            await self._pipe.ended.wait()
        self._transport.close()


class _Pipe(asyncio.SubprocessProtocol):
    """Notes events at the moment they arrive, whatever else is going on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.errors = ""
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self._text = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what kubectl prints: one JSON object per line."""
        if fd != 1:
            self.errors += data.decode(errors="replace")
            return
        *lines, self._text = (self._text + data).split(b"\n")
        at = asyncio.get_running_loop().time()
        for line in lines:
            change: dict[str, Any] = json.loads(line)
            self.events.append(Event(at, change["type"], change["object"].get("data") or {}))
        self.changed.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Handle the end of the process, after all of its output was read."""
        self.ended.set()
        self.changed.set()
