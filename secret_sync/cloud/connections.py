"""A pool of connections that closes those in excess."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import aiohttp

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

#: The pool of idle connections, and how one is taken from it, are private in aiohttp, which has no
#: public way to choose one. A test fails when another version is installed than this was written
#: against.
WRITTEN_AGAINST: Final = ("aiohttp", "3.14.5")
#: Connections to one host that are opened at the same time.
OPENED_AT_ONCE: Final = 16


class Connector(aiohttp.TCPConnector):
    """Uses the most recently used connection, so that those in excess become idle and are closed.

    aiohttp uses the one that was idle for longest. So connections opened in a burst, or while the
    other side was slow, stay open as long as there are a few requests per second: each connection
    is used before its idle timeout.

    Opens few connections at a time: a handshake takes a millisecond of the event loop, and after
    all connections broke at once, hundreds of them would block it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Only hosts to which a connection is being made have an entry.
        self._opening: WeakValueDictionary[ConnectionKey, asyncio.Semaphore] = WeakValueDictionary()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """Return a connection from the pool, which is tried again after waiting, or a new one."""
        key = req.connection_key
        if any(protocol.is_connected() for protocol, _ in reversed(self._conns.get(key, ()))):
            return await super().connect(req, traces, timeout)
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = asyncio.Semaphore(OPENED_AT_ONCE)
        async with opening:
            return await super().connect(req, traces, timeout)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        # aiohttp takes connections from the left and returns them on the right.
        if idle := self._conns.get(key):
            idle.rotate(1)
        return await super()._get(key, traces)
