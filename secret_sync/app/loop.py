"""The event loop of the controller: uvloop's, but for what lets one hanging call stop others."""

from __future__ import annotations

import ipaddress
import socket
from functools import partial
from typing import Any, Final

import uvloop

from secret_sync.background import DaemonExecutor

#: Calls of ``asyncio.to_thread`` at the same time.
_THREADS: Final = 32
#: Seconds that the end waits for them: what does not hang is done by then.
_FINISH_WITHIN: Final = 2.0


class EventLoop(uvloop.Loop):
    """uvloop's event loop, whose threads neither connections nor the end of the process wait for.

    libuv looks names up in two threads, which it joins when the process ends. uvloop's
    ``sock_connect`` uses them for addresses in numbers, too: only where the type of socket is
    given does uvloop answer by itself, and ``sock_connect`` does not give it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(DaemonExecutor(_THREADS, "worker", patience=_FINISH_WITHIN))

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as above
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return the addresses of a host, at once where it is an address."""
        if _is_address(host):
            return await super().getaddrinfo(
                host,
                port,
                family=family,
                type=type or socket.SOCK_STREAM,
                proto=proto,
                flags=flags,
            )
        look_up = partial(
            socket.getaddrinfo, host, port, family=family, type=type, proto=proto, flags=flags
        )
        return await self.run_in_executor(None, look_up)


def _is_address(host: Any) -> bool:
    if not isinstance(host, str):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
