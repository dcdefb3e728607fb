"""The shared session against servers that misbehave exactly as written."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from secret_sync import dns
from secret_sync.cloud import transport as module
from secret_sync.cloud.errors import StaleConnectionError, UnreachableError
from secret_sync.cloud.transport import MAX_BODY, Transport, build_ssl_context, call_timeout
from secret_sync.errors import DefiniteError, ThrottledError, TransientError
from secret_sync.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from secret_sync.errors import SecretSyncError

AUTHORIZATION = "ACS3-HMAC-SHA256 Credential=LTAI-ours,Signature=0123abcd"


def answer(body: bytes = b"{}", status: str = "200 OK", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(head).encode() + body


async def ok(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(answer())


async def call(transport: Transport, authority: str, **options: Any) -> Any:
    url = URL(f"http://{authority}/?SecretName=a%2Fb", encoded=True)
    headers = {"host": url.authority, "authorization": AUTHORIZATION}
    return await transport.send("POST", url, headers, what="KMS", **options)


def quick(**limits: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(**{"total": 2.0, **limits})


def test_each_try_has_5_seconds_to_connect_5_of_silence_and_10_in_all() -> None:
    limits = call_timeout()
    assert (limits.connect, limits.sock_read, limits.total) == (5.0, 5.0, 10.0)
    settings = Settings()
    assert (
        call_timeout(connect=settings.cloud_connect_timeout, total=settings.cloud_call_timeout)
        == limits
    )


async def test_calls_share_connections(transport: Transport, serve: Any) -> None:
    server = await serve(ok)
    for _ in range(5):
        assert (await call(transport, server.authority)).body == b"{}"
    assert server.connections == 1


async def test_only_the_signed_headers_are_sent(transport: Transport, serve: Any) -> None:
    server = await serve(ok)
    await call(transport, server.authority)
    head = server.requests[0].decode().lower()
    assert head.startswith("post /?secretname=a%2fb http/1.1\r\n")
    names = {line.partition(":")[0] for line in head.splitlines()[1:] if line}
    assert names == {"host", "authorization", "content-length"}


async def test_close_of_a_reused_connection_is_a_stale_connection(
    transport: Transport, serve: Any
) -> None:
    async def script(n: int, writer: asyncio.StreamWriter) -> None:
        if n == 2:
            raise EOFError
        writer.write(answer())

    server = await serve(script)
    await call(transport, server.authority)
    with pytest.raises(StaleConnectionError):
        await call(transport, server.authority)
    assert (await call(transport, server.authority)).status == 200
    assert server.connections == 2


async def test_connection_given_up_between_calls_is_not_noticed(
    transport: Transport, serve: Any
) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer())
        raise EOFError

    server = await serve(script)
    for _ in range(3):
        assert (await call(transport, server.authority)).status == 200
        await asyncio.sleep(0.02)
    assert server.connections == 3


async def test_hang_ends_at_the_read_limit(transport: Transport, serve: Any) -> None:
    async def script(_: int, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10)

    server = await serve(script)
    with pytest.raises(TransientError, match="KMS: no answer in time"):
        await call(transport, server.authority, timeout=quick(sock_read=0.05))


async def test_drip_ends_at_the_limit_for_the_try(transport: Transport, serve: Any) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    server = await serve(script)
    with pytest.raises(TransientError, match="no answer in time"):
        await call(transport, server.authority, timeout=quick(total=0.15, sock_read=0.1))


async def test_body_without_end_is_cut_off(transport: Transport, serve: Any) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    server = await serve(script)
    reply = await call(transport, server.authority)
    assert len(reply.body) == MAX_BODY
    assert not reply.complete
    await call(transport, server.authority)
    assert server.connections == 2, "the rest of the body must not be read as the next answer"


async def test_answer_that_breaks_off_is_transient(transport: Transport, serve: Any) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        raise EOFError

    server = await serve(script)
    with pytest.raises(TransientError, match="broke"):
        await call(transport, server.authority)


@pytest.mark.parametrize(
    ("status", "body"),
    [("502 Bad Gateway", b"<html><h1>502</h1></html>"), ("503 ServiceProfile Unavailable", b"")],
)
async def test_html_and_empty_5xx_keep_their_status(
    transport: Transport, serve: Any, status: str, body: bytes
) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, status))

    server = await serve(script)
    reply = await call(transport, server.authority)
    assert (reply.status, reply.body) == (int(status[:3]), body)


async def test_redirect_is_not_followed(transport: Transport, serve: Any) -> None:
    elsewhere = await serve(ok)

    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "307 Go", f"Location: http://{elsewhere.authority}/"))

    server = await serve(script)
    assert (await call(transport, server.authority)).status == 307
    assert not elsewhere.requests


async def test_refused_connection_is_transient(transport: Transport, serve: Any) -> None:
    server = await serve(ok)
    authority = server.authority
    await server.stop()
    with pytest.raises(UnreachableError, match="KMS: cannot connect"):
        await call(transport, authority)


async def test_unresolvable_name_is_reported_as_such(transport: Transport) -> None:
    with pytest.raises(UnreachableError, match="KMS: the host name cannot be resolved"):
        await call(transport, "none.invalid")


async def test_server_that_was_reached_is_not_called_unreachable(
    transport: Transport, serve: Any
) -> None:
    async def hang(_: int, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10)

    async def close(_: int, __: asyncio.StreamWriter) -> None:
        raise EOFError

    for script in (hang, close):
        server = await serve(script)
        with pytest.raises(TransientError) as caught:
            await call(transport, server.authority, timeout=quick(sock_read=0.05))
        assert not isinstance(caught.value, UnreachableError)


async def test_proxy_gets_the_absolute_form_and_its_credentials(serve: Any) -> None:
    proxy = await serve(ok)
    transport = Transport(
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        http_proxy=f"http://someone:pa%40ss@{proxy.authority}",
        no_proxy="intern.example",
    )
    try:
        reply = await call(transport, "kms.example")
        await call(transport, "kms.example")
    finally:
        await transport.close()
    head = proxy.requests[0].decode()
    assert reply.status == 200
    assert head.startswith("POST http://kms.example/?SecretName=a%2Fb HTTP/1.1\r\n")
    assert base64.b64encode(b"someone:pa@ss").decode() in head
    assert proxy.connections == 1


async def test_name_of_a_proxy_is_looked_up_like_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[str] = []

    def look_up(host: str, _family: int) -> None:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dns, "look_up", look_up)
    transport = Transport(
        ssl_context=build_ssl_context(""), https_proxy="http://proxy.example:3128"
    )
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        await transport.send("GET", URL("https://kms.example/"), {}, what="it")
    await transport.close()
    assert looked_up == ["proxy.example"]


async def test_proxy_that_refuses_is_named_without_its_password(serve: Any) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "407 No"))

    proxy = await serve(script)
    transport = Transport(
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        https_proxy=f"http://someone:hunter2@{proxy.authority}",
    )
    url = URL("https://kms.example/")
    try:
        with pytest.raises(
            TransientError, match=r"proxy refused to connect \(HTTP 407\)"
        ) as caught:
            await transport.send("POST", url, {"authorization": AUTHORIZATION}, what="KMS")
    finally:
        await transport.close()
    assert proxy.requests[0].startswith(b"CONNECT kms.example:443")
    assert base64.b64encode(b"someone:hunter2") in proxy.requests[0]
    assert AUTHORIZATION.encode() not in proxy.requests[0]
    assert_keeps_nothing(caught.value)


@pytest.mark.parametrize(
    "address", ["socks5://hunter2@proxy:1080", "http://u:hunter2@proxy:no", "http://"]
)
async def test_invalid_proxy_is_noticed_at_the_start(address: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(DefiniteError, match="HTTPS_PROXY is not") as caught:
        Transport(ssl_context=context, https_proxy=address)
    assert "hunter2" not in str(caught.value)


async def test_error_keeps_no_hold_of_the_request(transport: Transport, serve: Any) -> None:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"not http at all\r\n\r\n")

    server = await serve(script)
    with pytest.raises(TransientError) as caught:
        await call(transport, server.authority)
    assert_keeps_nothing(caught.value)


def assert_keeps_nothing(error: BaseException) -> None:
    """aiohttp's exceptions hold the request's headers: none may hang behind ours."""
    assert error.__cause__ is None
    assert error.__context__ is None
    assert "Credential=" not in f"{error!r} {error}"
    assert "hunter2" not in f"{error!r} {error}"


async def test_route_of_a_host_is_computed_once(
    serve: Any, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    asked: list[str] = []

    def proxy_for(host: str, scheme: str, **_: str) -> str:
        asked.append(f"{scheme}://{host}")
        return ""

    monkeypatch.setattr(module, "proxy_for", proxy_for)
    server = await serve(ok)
    for _ in range(3):
        await call(transport, server.authority)
    assert asked == [f"http://{server.authority}"]


def test_ca_bundle_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    with pytest.raises(DefiniteError, match=r"CA bundle .*missing\.pem"):
        build_ssl_context(str(missing))
    missing.write_text("not a certificate")
    with pytest.raises(DefiniteError, match=r"CA bundle .*missing\.pem"):
        build_ssl_context(str(missing))


@pytest.mark.parametrize("kind", [TransientError, ThrottledError, StaleConnectionError])
def test_all_passing_errors_are_transient(kind: type[SecretSyncError]) -> None:
    assert issubclass(kind, TransientError)
