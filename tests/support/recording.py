"""API servers that only remember who asked them, over TLS, and a proxy in front of them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import trustme

from tests.support.streams import StreamServer

if TYPE_CHECKING:
    from pathlib import Path

#: Of a request; headers that identify the sender.
IDENTIFYING = ("authorization", "impersonate-")


@dataclass(frozen=True)
class Asked:
    """Which server was asked, and as whom."""

    server: str
    headers: tuple[tuple[str, str], ...]
    certificate: str = ""
    proxied: bool = False


class Authority:
    """A CA; it writes what it issues into one folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self._ca = trustme.CA(organization_unit_name=name)
        self.path = folder / f"{name}.crt"
        self._ca.cert_pem.write_to_path(self.path)

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """The files of a certificate and of its key."""
        issued = self._ca.issue_cert(*(hosts or (f"{name}.test",)), common_name=name)
        certificate, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(private)
        return certificate, private


@dataclass
class RecordingServer:
    """Answers everything with an empty object, or with 401 to who is not accepted.

    Attributes:
        accepts: Values of ``Authorization``, or names in certificates; empty for all.
    """

    name: str
    authority: Authority
    host: str = "127.0.0.1"
    tls: bool = True
    asked: list[Asked] = field(default_factory=list)
    accepts: set[str] = field(default_factory=set)
    through: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._server = StreamServer(self._serve)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        context = None
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.authority.issue(self.name, self.host))
            context.load_verify_locations(self.authority.path)
            context.verify_mode = ssl.CERT_OPTIONAL
        await self._server.start(tls=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert") or {}
        certificate = next((v for ((k, v),) in peer.get("subject", ()) if k == "commonName"), "")
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = [line.split(": ", 1) for line in head[1:] if line]
            identifying = tuple(
                sorted(
                    (name.lower(), value)
                    for name, value in headers
                    if name.lower().startswith(IDENTIFYING)
                )
            )
            proxied = head[0].split(" ")[1].startswith("http://")
            proxied = proxied or writer.get_extra_info("peername")[1] in self.through
            self.asked.append(Asked(self.name, identifying, certificate, proxied))
            who = {certificate, dict(identifying).get("authorization", "")}
            status = "200 OK" if not self.accepts or who & self.accepts else "401 No"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n{}".encode()
            )
            await writer.drain()


@dataclass
class ConnectProxy:
    """A proxy that tunnels; the ports that it connects from say that it was used."""

    ports: set[int]
    context: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = StreamServer(self._serve)

    @property
    def url(self) -> str:
        scheme = "https" if self.context else "http"
        return f"{scheme}://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> Self:
        await self._server.start(tls=self.context)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        host, _, port = head.split(" ")[1].rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        self.ports.add(back.get_extra_info("sockname")[1])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            back.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    with suppress(OSError, NotImplementedError):
        writer.write_eof()
