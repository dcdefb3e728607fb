"""Connections that are kept open between requests: as many as are of use, and no more."""

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

#: Connections to one host that are opened at the same time.
OPENED_AT_ONCE: Final = 16


class Connector(aiohttp.TCPConnector):
    """Takes the connection that was used last, so that those in excess grow old and are closed.

    aiohttp takes the one that was idle for longest. So what a burst opened, or a moment in which
    the other side was slow, stays for ever as long as there are a few requests a second: each
    connection has its turn before it is too old.

    Opens few at a time: a handshake is a millisecond of the event loop's, and where all
    connections broke at once hundreds of them would be one long moment.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Of a host that nobody connects to just now there is nothing to count.
        self._opening: WeakValueDictionary[ConnectionKey, asyncio.Semaphore] = WeakValueDictionary()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> Connection:
        """One from the pool, or a new one; whoever waited looks in the pool again."""
        key = req.connection_key
        if any(protocol.is_connected() for protocol, _ in reversed(self._conns.get(key, ()))):
            return await super().connect(req, traces, timeout)
        opening = self._opening.get(key)
        if opening is None:
            opening = self._opening[key] = asyncio.Semaphore(OPENED_AT_ONCE)
        async with opening:
            return await super().connect(req, traces, timeout)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        # aiohttp takes from the left and gives back on the right.
        if idle := self._conns.get(key):
            idle.rotate(1)
        return await super()._get(key, traces)
