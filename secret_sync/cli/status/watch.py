"""Show the snapshot, and redraw it when something changes."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.status.rows import ExternalSecretRow, StatusSnapshot
from secret_sync.cli.status.snapshot import row_of, take_snapshot
from secret_sync.cli.status.tables import render
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.kube import ALL_NAMESPACES, Informer, WatchedNamespaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secret_sync.cli.terminal import Screen
    from secret_sync.kube import KubeClient, Resource

#: Seconds in which changes are collected: 10,000 objects that sync at once are not redrawn 10,000
#: times.
_GATHER: Final = 0.1
#: Seconds after which ages are redrawn.
_TICK: Final = 5.0
_LOST: Final = "the API server does not answer; this may be outdated; retrying"

_ALTERNATE_SCREEN: Final = "\x1b[?1049h\x1b[?25l"
_NORMAL_SCREEN: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"


class _RedrawSignal:
    """Signals that something changed, or that it is time to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.stopping = False

    def changed(self, _: Any = None) -> None:
        self._event.set()

    def stop(self) -> None:
        self.stopping = True
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait for a change, at most for this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        if not self.stopping:
            await asyncio.sleep(_GATHER)
            self._event.clear()


class _Connection:
    """An observer of one reflector that knows whether its objects may be outdated."""

    def __init__(self, redraw: _RedrawSignal) -> None:
        self._redraw = redraw
        self.lost = False

    def listed(self) -> None:
        self._set(lost=False)

    def watching(self) -> None:
        self._set(lost=False)

    def event(self, kind: str) -> None:
        del kind
        self._set(lost=False)

    def failed(self, kind: str) -> None:
        if kind not in {"unreadable", "expired"}:
            self._set(lost=True)

    def handler_raised(self) -> None:
        """Ignore it: our handlers do not raise."""

    def _set(self, *, lost: bool) -> None:
        if self.lost != lost:
            self.lost = lost
            self._redraw.changed()


class _LiveSnapshot:
    """The objects, kept up to date by informers."""

    def __init__(
        self, client: KubeClient, namespace: str, others: Sequence[Resource], redraw: _RedrawSignal
    ) -> None:
        self._namespace = namespace
        self._connections: list[_Connection] = []

        def informer(resource: Resource, convert: Callable[[dict[str, Any]], Any]) -> Informer[Any]:
            connection = _Connection(redraw)
            self._connections.append(connection)
            one = namespace and resource.namespaced
            scope = WatchedNamespaces((namespace,)) if one else ALL_NAMESPACES
            made = Informer(client, resource, convert, connection, namespaces=scope)
            made.add_handler(redraw.changed)
            return made

        self._objects = informer(EXTERNAL_SECRETS, ExternalSecretRow.from_dict)
        self._others = [informer(kind, row_of(kind)) for kind in others]

    @property
    def synced(self) -> bool:
        """Return whether everything has been listed."""
        return all(informer.synced for informer in (self._objects, *self._others))

    async def run(self) -> None:
        """Run the informers until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._objects, *self._others):
                tasks.create_task(informer.run())

    def snapshot(self, notes: Sequence[str]) -> StatusSnapshot:
        """Return the current snapshot."""
        lost = (_LOST,) if any(connection.lost for connection in self._connections) else ()
        others = [row for informer in self._others for row in informer.store.values()]
        return StatusSnapshot.of(
            self._namespace, self._objects.store.values(), others, (*notes, *lost)
        )


async def watch(client: KubeClient, namespace: str, screen: Callable[[], Screen]) -> None:
    """Show the snapshot until SIGINT or SIGTERM.

    Args:
        client: The API server.
        namespace: ``""`` for all.
        screen: Returns the screen; called for each redraw, since windows change their size.

    Raises:
        SecretSyncError: The first snapshot failed; later failures are retried.
    """
    snapshot, readable = await take_snapshot(client, namespace)
    notes = snapshot.notes
    redraw = _RedrawSignal()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, redraw.stop)
    live = _LiveSnapshot(client, namespace, readable, redraw)
    running = asyncio.create_task(live.run())
    try:
        with _drawing(screen()):
            while not redraw.stopping:
                _draw(snapshot, screen())
                # Only a terminal is redrawn for growing ages: elsewhere each output is appended.
                await redraw.wait(_TICK if screen().terminal else None)
                if live.synced:
                    snapshot = live.snapshot(notes)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if screen().terminal:
        # The alternate screen is gone: write the last snapshot to the normal one.
        screen().stream.write("\n".join(render(snapshot, screen(), datetime.now(UTC))) + "\n")


@contextmanager
def _drawing(screen: Screen) -> Iterator[None]:
    """Use the alternate screen of a terminal, and restore the normal one afterwards."""
    if not screen.terminal:
        yield
        return
    screen.stream.write(_ALTERNATE_SCREEN)
    try:
        yield
    finally:
        screen.stream.write(_NORMAL_SCREEN)
        screen.stream.flush()


def _draw(snapshot: StatusSnapshot, screen: Screen) -> None:
    lines = render(snapshot, screen, datetime.now(UTC))
    if not screen.terminal:
        screen.stream.write("\n".join([*lines, "", ""]))
    else:
        if len(lines) >= screen.height:
            # Objects that are not ready come first if not everything fits.
            first = replace(
                snapshot, objects=sorted(snapshot.objects, key=lambda r: r.readiness.good)
            )
            lines = render(first, screen, datetime.now(UTC))
            seen = max(screen.height - 2, 1)
            lines = [*lines[:seen], f"... and {len(lines) - seen} more lines"]
        screen.stream.write(_HOME + "".join(line + _END_OF_LINE for line in lines) + _BELOW)
    screen.stream.flush()
