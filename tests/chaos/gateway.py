"""Stands between the controller and the API server, and may stand in the way."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from secret_sync.local.cloud.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random
    from types import TracebackType

    from secret_sync.local.controlplane.plane import ControlPlane

_ONWARDS: Final = ("Authorization", "Accept", "Content-Type", "User-Agent")
_BACK: Final = ("Content-Type", "Retry-After", "Warning", "Audit-Id")
_FOREVER: Final = aiohttp.ClientTimeout(total=None, sock_connect=5)


@dataclass
class Trouble:
    """What befalls requests.

    Attributes:
        refused: Status that is answered instead, or 0.
        share: Part of the requests that are refused, or whose answers are lost.
        late: Seconds before a request goes on.
        lost: Whether answers are lost: what was asked for is done, and nobody hears of it.
        retry_after: Seconds that a refusal with 429 asks to wait.
        only: Expressions, one of which the method and path of such a request match; ``()``: all do.
    """

    refused: int = 0
    share: float = 1.0
    late: float = 0.0
    lost: bool = False
    retry_after: int = 1
    only: tuple[str, ...] = ()

    def has(self, line: str) -> bool:
        """Whether a request with this method and path is refused."""
        return not self.only or any(re.fullmatch(pattern, line) for pattern in self.only)


class Gateway:
    """A reverse proxy on loopback; an async context manager.

    Attributes:
        url: Where it listens.
        ca_file: Whom to trust as it.
        trouble: What befalls requests from now on.
        mute: Part of a path; watches of such paths stay open, and no byte of theirs comes.
        buffers: Whether watches are held back whole, as a proxy does that waits for their end.
        refusals: The requests that were refused: method and path.
    """

    def __init__(self, plane: ControlPlane, directory: Path, random: Random) -> None:
        self._plane = plane
        self._random = random
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession
        self._open: dict[int, web.Request] = {}
        self._audible = asyncio.Event()
        self._audible.set()
        self._authority = Authority()
        self.ca_file = directory / "gateway.pem"
        self.ca_file.write_bytes(self._authority.pem)
        self.url = ""
        self.trouble = Trouble()
        self.mute = ""
        self.buffers = False
        self.refusals: list[str] = []

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=self._plane.ca_file)
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=0),
                timeout=_FOREVER,
                # As it was asked for, which is without compression.
                skip_auto_headers=("Accept-Encoding",),
            )
        )
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._authority.context("127.0.0.1"))
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.calm()
        await self._stack.aclose()

    def calm(self) -> None:
        """Nothing is in the way any more."""
        self.trouble = Trouble()
        self.mute = ""
        self.buffers = False
        self._audible.set()

    def silence(self) -> None:
        """No byte comes back until it is calm again; connections stay."""
        self._audible.clear()

    def cut(self, *, watches_only: bool = False) -> None:
        """Ends connections, in the middle of whatever they are at."""
        for request in tuple(self._open.values()):
            if not watches_only or "watch" in request.query:
                _abort(request)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._open[id(request)] = request
        try:
            return await self._serve(request)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            # As seen from the other side: the API server went away.
            _abort(request)
            return web.Response(status=502)
        finally:
            del self._open[id(request)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        trouble = self.trouble
        hit = self._random.random() < trouble.share
        if trouble.refused and hit and trouble.has(line := f"{request.method} {request.path}"):
            self.refusals.append(line)
            return _refusal(trouble.refused, trouble.retry_after)
        await asyncio.sleep(trouble.late)
        headers = {n: request.headers[n] for n in _ONWARDS if n in request.headers}
        url = URL(self._plane.server + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            back = {n: answer.headers[n] for n in _BACK if n in answer.headers}
            if "watch" in request.query and self.buffers:
                await answer.read()
            if "watch" in request.query and answer.status == 200:
                return await self._stream(request, answer, back)
            content = await answer.read()
        if trouble.lost and hit:
            raise ConnectionResetError
        await self._audible.wait()
        return web.Response(status=answer.status, body=content, headers=back)

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await self._audible.wait()
            if self.mute and self.mute in request.path:
                # For good: what comes later would tell that something is missing.
                await asyncio.Event().wait()
            await response.write(chunk)
        return response


def _refusal(status: int, retry_after: int) -> web.Response:
    """As the API server, or what stands before it, words it."""
    reason = {429: "TooManyRequests", 500: "InternalError"}.get(status, "ServiceUnavailable")
    document: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "chaos",
        "reason": reason,
        "code": status,
    }
    headers = {"Retry-After": str(retry_after)} if status == 429 else {}
    return web.Response(
        status=status,
        body=orjson.dumps(document),
        headers=headers,
        content_type="application/json",
    )


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
