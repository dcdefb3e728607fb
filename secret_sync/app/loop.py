"""The event loop of the controller: uvloop's, but for what lets one hanging call stop others."""

from __future__ import annotations

import ctypes
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
#: Bytes from which an allocation is a mapping of its own, and bytes of unused heap that are kept.
#: Above the 256 KiB that uvloop allocates for each read of a TLS connection.
_MAPPED_FROM: Final = 1024 * 1024
_HEAP_KEPT: Final = 16 * 1024 * 1024
#: The numbers of glibc's ``malloc.h``.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


class EventLoop(uvloop.Loop):
    """uvloop's event loop, whose threads neither connections nor the end of the process wait for.

    libuv looks names up in two threads, which it joins when the process ends. uvloop's
    ``sock_connect`` uses them for addresses in numbers, too: only where the type of socket is
    given does uvloop answer by itself, and ``sock_connect`` does not give it.
    """

    def __init__(self) -> None:
        super().__init__()
        keep_read_buffers()
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


def keep_read_buffers() -> None:
    """Let the C library reuse the memory of read buffers; a no-op where it is not glibc.

    uvloop reads TLS connections into a fresh ``bytes`` of 256 KiB (``SSL_READ_MAX_SIZE`` in its
    ``sslproto.pxd``), most of which it gives back. By default glibc maps and unmaps such a block,
    or trims the heap each time: a seventh of the CPU of a sync went into the page faults.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        libc.mallopt(_M_TRIM_THRESHOLD, _HEAP_KEPT)


def _is_address(host: Any) -> bool:
    if not isinstance(host, str):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
