"""A forward proxy that takes its time for a CONNECT, as those of many companies do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from secret_sync.cloud.errors import UnreachableError
from secret_sync.cloud.transport import Transport, call_timeout
from secret_sync.errors import TransientError
from secret_sync.tls import client_context
from tests.support.streams import StreamServer
from tests.unit.cloud.chains import ChainAuthority

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from secret_sync.cloud.transport import Reply

HOST = "kms.intern.test"
URL_ = URL(f"https://{HOST}/")


@dataclass
class SlowProxy:
    """Takes ``hold`` seconds for a tunnel and ``think`` seconds for each answer through it."""

    tls: ssl.SSLContext
    authority: ChainAuthority
    hold: float = 0.0
    think: float = 0.0
    tunnels: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT ")
        self.tunnels += 1
        await asyncio.sleep(self.hold)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.start_tls(self.tls)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(self.think)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[SlowProxy]:
    authority = ChainAuthority.root()
    proxy = SlowProxy(authority.server_context(HOST, tmp_path), authority)
    server = StreamServer(proxy.serve)
    await server.start()
    proxy.url = f"http://127.0.0.1:{server.port}"
    yield proxy
    await server.stop()


@pytest.fixture
async def through(proxy: SlowProxy) -> AsyncIterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def make(**limits: float) -> Transport:
        made.append(
            Transport(
                ssl_context=client_context(ca_data=proxy.authority.pem),
                https_proxy=proxy.url,
                timeout=call_timeout(**limits),
            )
        )
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


def call(transport: Transport) -> Awaitable[Reply]:
    return transport.send("POST", URL_, {}, what="KMS")


@pytest.mark.slow
async def test_tunnel_that_takes_3_5_seconds_serves_a_burst_of_calls(
    proxy: SlowProxy, through: Callable[..., Transport]
) -> None:
    """More than are opened at once: who waits for that has not begun to connect."""
    proxy.hold = 3.5
    transport = through()
    replies = await asyncio.gather(*(call(transport) for _ in range(40)))
    assert {reply.status for reply in replies} == {200}


async def test_slower_tunnel_is_given_up_and_the_flag_named(
    proxy: SlowProxy, through: Callable[..., Transport]
) -> None:
    proxy.hold = 30.0
    with pytest.raises(UnreachableError) as caught:
        await call(through(connect=0.2))
    assert caught.value.message == (
        "KMS: no connection in time (0.2 s; --cloud-connect-timeout sets the limit)"
    )


async def test_answer_that_takes_longer_is_given_up_and_the_flag_named(
    proxy: SlowProxy, through: Callable[..., Transport]
) -> None:
    proxy.think = 30.0
    with pytest.raises(TransientError) as caught:
        await call(through(total=1.0))
    assert not isinstance(caught.value, UnreachableError)
    assert caught.value.message == (
        "KMS: no answer in time (1 s; --cloud-call-timeout sets the limit)"
    )
