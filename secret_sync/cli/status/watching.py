"""The picture, drawn anew when something changes."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cli.status.look import look
from secret_sync.cli.status.rows import ExternalSecretRow, Picture, StoreRow
from secret_sync.cli.status.tables import draw
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.kube import Informer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secret_sync.cli.terminal import Screen
    from secret_sync.kube import KubeClient, Resource

#: Seconds in which changes are gathered: 10,000 objects that sync at once are not 10,000 drawings.
_GATHER: Final = 0.1
#: Seconds after which ages are wrong enough to be drawn anew.
_TICK: Final = 5.0
_LOST: Final = "the API server does not answer, this may be old; trying again"

_ALTERNATE_SCREEN: Final = "\x1b[?1049h\x1b[?25l"
_NORMAL_SCREEN: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"


class _Wake:
    """Wakes who draws: something changed, or it is time to stop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.stopping = False

    def changed(self, _: Any = None) -> None:
        self._event.set()

    def stop(self) -> None:
        self.stopping = True
        self._event.set()

    async def wait(self, seconds: float | None) -> None:
        """Waits for a change, at most for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        if not self.stopping:
            await asyncio.sleep(_GATHER)
            self._event.clear()


class _Connection:
    """An observer of one reflector that knows whether what it shows may be old."""

    def __init__(self, wake: _Wake) -> None:
        self._wake = wake
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
        """Nothing that is shown; ours do not raise."""

    def _set(self, *, lost: bool) -> None:
        if self.lost != lost:
            self.lost = lost
            self._wake.changed()


class _Live:
    """The objects, kept in step."""

    def __init__(
        self, client: KubeClient, namespace: str, stores: Sequence[Resource], wake: _Wake
    ) -> None:
        self._namespace = namespace
        self._connections: list[_Connection] = []

        def informer(resource: Resource, convert: Callable[[dict[str, Any]], Any]) -> Informer[Any]:
            connection = _Connection(wake)
            self._connections.append(connection)
            only = (namespace,) if namespace and resource.namespaced else ()
            made = Informer(client, resource, convert, connection, namespaces=only)
            made.add_handler(wake.changed)
            return made

        self._objects = informer(EXTERNAL_SECRETS, ExternalSecretRow.from_dict)
        self._stores = [informer(kind, _store_of(kind)) for kind in stores]

    @property
    def synced(self) -> bool:
        """Whether everything has been listed."""
        return all(informer.synced for informer in (self._objects, *self._stores))

    async def run(self) -> None:
        """Ends only when cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._objects, *self._stores):
                tasks.create_task(informer.run())

    def picture(self, notes: Sequence[str]) -> Picture:
        """As far as is known now."""
        lost = (_LOST,) if any(connection.lost for connection in self._connections) else ()
        stores = [store for informer in self._stores for store in informer.store.values()]
        return Picture.of(self._namespace, self._objects.store.values(), stores, (*notes, *lost))


def _store_of(kind: Resource) -> Callable[[dict[str, Any]], StoreRow]:
    # Watch events of some servers lack the kind.
    return lambda value: StoreRow.from_dict({**value, "kind": kind.kind})


async def watch(client: KubeClient, namespace: str, screen: Callable[[], Screen]) -> None:
    """Shows the picture until SIGINT or SIGTERM.

    Args:
        client: The API server.
        namespace: ``""`` for all.
        screen: Where to; asked for anew at each drawing, since windows change their size.

    Raises:
        SecretSyncError: The first look failed; later ones are repeated until they succeed.
    """
    picture, readable = await look(client, namespace)
    notes = picture.notes
    wake = _Wake()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, wake.stop)
    live = _Live(client, namespace, readable, wake)
    running = asyncio.create_task(live.run())
    try:
        with _drawing(screen()):
            while not wake.stopping:
                _show(picture, screen())
                # Ages grow on a terminal only: elsewhere each drawing is there to stay.
                await wake.wait(_TICK if screen().terminal else None)
                if live.synced:
                    picture = live.picture(notes)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    if screen().terminal:
        # What was drawn has gone with the screen it was drawn on.
        screen().stream.write("\n".join(draw(picture, screen(), datetime.now(UTC))) + "\n")


@contextmanager
def _drawing(screen: Screen) -> Iterator[None]:
    """A screen of its own, as long as a person watches; theirs comes back afterwards."""
    if not screen.terminal:
        yield
        return
    screen.stream.write(_ALTERNATE_SCREEN)
    try:
        yield
    finally:
        screen.stream.write(_NORMAL_SCREEN)
        screen.stream.flush()


def _show(picture: Picture, screen: Screen) -> None:
    lines = draw(picture, screen, datetime.now(UTC))
    if not screen.terminal:
        screen.stream.write("\n".join([*lines, "", ""]))
    else:
        if len(lines) >= screen.height:
            # What needs somebody comes first, where not everything can be seen.
            first = replace(picture, objects=sorted(picture.objects, key=lambda r: r.standing.good))
            lines = draw(first, screen, datetime.now(UTC))
            seen = max(screen.height - 2, 1)
            lines = [*lines[:seen], f"... and {len(lines) - seen} more lines"]
        screen.stream.write(_HOME + "".join(line + _END_OF_LINE for line in lines) + _BELOW)
    screen.stream.flush()
