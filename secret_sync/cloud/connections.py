"""Connections that are kept open between requests: as many as are of use, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Takes the connection that was used last, so that those in excess grow old and are closed.

    aiohttp takes the one that was idle for longest. So what a burst opened, or a moment in which
    the other side was slow, stays for ever as long as there are a few requests a second: each
    connection has its turn before it is too old.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        # aiohttp takes from the left and gives back on the right.
        if idle := self._conns.get(key):
            idle.rotate(1)
        return await super()._get(key, traces)
