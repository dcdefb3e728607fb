"""Requests as they come and replies as they go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from secret_sync.local.cloud.signature import Signed

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON: Final = "application/json;charset=utf-8"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A request as the gateway checks it.

    Attributes:
        host: As the client named it, lower case, without the port.
        signed: What a signature covers.
        parameters: Of the query and of a form body.
    """

    host: str
    signed: Signed
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What is answered.

    Attributes:
        code: Error code for the journal; "OK" for a success.
        drip: Seconds between two bytes of the body; 0: all at once.
        close: Close the connection instead of answering.
    """

    status: int
    body: bytes = field(repr=False)
    code: str = "OK"
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    close: bool = False


async def read(request: web.BaseRequest) -> IncomingRequest:
    """Take a request apart, with its target in either form and the names in lower case."""
    target = request.raw_path
    if not target.startswith("/"):
        url = urlsplit(target)
        target = f"{url.path or '/'}?{url.query}"
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    body = await request.read() if request.can_read_body else b""
    pairs = parse_qsl(query, keep_blank_values=True)
    form: list[tuple[str, str]] = []
    if body and headers.get("content-type", "").startswith(_FORM):
        form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    host = headers.get("host", "").partition(":")[0].lower()
    signed = Signed(request.method, path, pairs, headers, body, form)
    return IncomingRequest(host, signed, dict([*pairs, *form]))


async def send(request: web.BaseRequest, reply: HttpReply) -> web.StreamResponse:
    """Answer, in the way the reply asks for."""
    headers = {**reply.headers, "Content-Type": reply.content_type}
    if reply.close and request.transport is not None:
        request.transport.close()
    if not reply.drip:
        return web.Response(status=reply.status, body=reply.body, headers=headers)
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    for index in range(len(reply.body)):
        await response.write(reply.body[index : index + 1])
        await asyncio.sleep(reply.drip)
    await response.write_eof()
    return response
