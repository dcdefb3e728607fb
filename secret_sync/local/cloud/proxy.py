"""The forward proxy: CONNECT is answered by the cloud itself, in place, without a second socket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, cast

from secret_sync.local.cloud.services import is_alibaba

if TYPE_CHECKING:
    import ssl

    from secret_sync.local.cloud.certificates import Authority
    from secret_sync.local.cloud.gateway import Connections

_CONNECT: Final = b"CONNECT "
_MAX_HEAD: Final = 16 * 1024
_PATIENCE: Final = 30.0
"""Seconds for a connection to say what it wants, and as long again for its TLS handshake."""
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection Established\r\n\r\n"
_FORBIDDEN: Final = (
    b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 49\r\n\r\nthis proxy leads to the local Alibaba Cloud only\n"
)


class Proxy:
    """Makes a protocol for each connection and looks after it until a server has taken it over."""

    def __init__(self, authority: Authority, tls: Connections, plain: Connections) -> None:
        self.authority = authority
        self.tls = tls
        self.plain = plain
        self._entries: set[Entry] = set()

    def __call__(self) -> Entry:
        """Return the protocol of a new connection."""
        entry = Entry(self)
        self._entries.add(entry)
        return entry

    def forget(self, entry: Entry) -> None:
        """Stop looking after a connection that a server has taken over, or that is gone."""
        self._entries.discard(entry)

    async def close(self) -> None:
        """Drop the connections that are still on their way."""
        entries = list(self._entries)
        for entry in entries:
            entry.drop()
        await asyncio.gather(*(entry.done() for entry in entries))


class Entry(asyncio.Protocol):
    """A connection until it is known where it goes: then an HTTP server's protocol replaces it.

    Bytes that arrive meanwhile are kept and handed on. That matters for TLS: a handshake's last
    packet may bring the first request with it, before there is anyone to read it.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._upgrade: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._successor: asyncio.Protocol | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Look whether it is a CONNECT and if so, whether it is complete."""
        self._buffer += data
        if self._upgrade is not None or self._transport is None:
            return
        head = bytes(self._buffer[: len(_CONNECT)])
        if not _CONNECT.startswith(head):
            self._hand_over(self._transport, self._proxy.plain)
        elif b"\r\n\r\n" in self._buffer:
            self._connect(self._transport)
        elif len(self._buffer) > _MAX_HEAD:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, or notify the protocol that took it over meanwhile."""
        self._lost = True
        self._stop_timer()
        if self._successor is not None:
            self._successor.connection_lost(exc)
        elif self._upgrade is None:
            self._proxy.forget(self)

    def drop(self) -> None:
        """Give up on the connection."""
        if self._upgrade is not None:
            self._upgrade.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def done(self) -> None:
        """Wait for what `drop` has cancelled."""
        if self._upgrade is not None:
            await asyncio.wait([self._upgrade])

    def _connect(self, transport: asyncio.Transport) -> None:
        self._stop_timer()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer.clear()
        target = head.split(b" ", 2)[1].decode("latin-1").lower()
        host, _, port = target.rpartition(":")
        # A client that starts TLS before the response to CONNECT is not supported.
        if port != "443" or not is_alibaba(host) or rest:
            transport.write(_FORBIDDEN)
            transport.close()
            return
        loop = asyncio.get_running_loop()
        self._upgrade = loop.create_task(self._start_tls(transport, host))

    async def _start_tls(self, transport: asyncio.Transport, host: str) -> None:
        context = self._proxy.authority.known_context(host)
        if context is None:
            context = await asyncio.to_thread(self._proxy.authority.context, host)
        try:
            tls = await self._handshake(transport, context)
        finally:
            self._proxy.forget(self)
        if tls is not None:
            self._hand_over(tls, self._proxy.tls)

    async def _handshake(
        self, transport: asyncio.Transport, context: ssl.SSLContext
    ) -> asyncio.Transport | None:
        """Return the encrypted transport; None if the client went away or trusts others."""
        loop = asyncio.get_running_loop()
        transport.write(_ESTABLISHED)
        # SSLError is an OSError, and so is what a reset or a timeout raises.
        with contextlib.suppress(OSError):
            return await loop.start_tls(
                transport, self, context, server_side=True, ssl_handshake_timeout=_PATIENCE
            )
        transport.abort()
        return None

    def _hand_over(self, transport: asyncio.Transport, server: Connections) -> None:
        self._stop_timer()
        self._proxy.forget(self)
        if self._lost:
            return
        self._successor = successor = server()
        transport.set_protocol(successor)
        successor.connection_made(transport)
        if self._buffer:
            successor.data_received(bytes(self._buffer))
            self._buffer.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
