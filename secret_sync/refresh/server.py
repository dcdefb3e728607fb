"""The HTTP server of ``POST /refresh``."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from secret_sync.errors import DefiniteError
from secret_sync.refresh.authentication import Authentication
from secret_sync.refresh.bodies import read_names
from secret_sync.refresh.limits import ClientLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.settings import BindAddress

_log = structlog.get_logger(__name__)

PATH: Final = "/refresh"
MAX_BODY: Final = 64 * 1024
#: Seconds that a connection may last, which carries one request; and connections at a time.
CONNECTION_SECONDS: Final = 10.0
MAX_CONNECTIONS: Final = 128
#: Seconds after which a standby, or a client that sends too much, is to try again.
RETRY_AFTER: Final = 2
#: Requests per second and burst of one client, and how many times as much all together may send.
ACCEPTED_LIMITS: Final = (50.0, 250.0, 4.0)
#: The same for requests without valid credentials.
REFUSED_LIMITS: Final = (1.0, 10.0, 10.0)
#: Seconds between two log lines about refused requests.
_LOG_EVERY: Final = 60.0


class RefreshServer:
    """Accepts names of changed secrets from clients that are authenticated.

    Args:
        bind: Where to listen.
        folder: Of the tokens and keys.
        ask: Takes names; returns ``False`` if too many wait already.
        is_active: Return whether this replica leads; a standby fetches nothing.
        count: Counts a request by its result.
    """

    def __init__(
        self,
        bind: BindAddress,
        folder: str,
        *,
        ask: Callable[[list[str]], bool],
        is_active: Callable[[], bool],
        count: Callable[[str], None],
    ) -> None:
        self._bind = bind
        self._authentication = Authentication(folder)
        self._ask = ask
        self._is_active = is_active
        self._count = count
        self._accepted = ClientLimits(*ACCEPTED_LIMITS)
        self._refused = ClientLimits(*REFUSED_LIMITS)
        self._logged_at = float("-inf")
        self._manager = web.Server(self._handle)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Read the tokens and start to listen.

        Raises:
            DefiniteError: There are none, or the address cannot be listened on.
        """
        await self._authentication.start()
        host, port = self._bind.host, self._bind.port
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _RefreshConnection(self._manager), host or None, port
            )
        except OSError as error:
            raise DefiniteError(
                f"cannot listen on {host}:{port} for refresh requests ({error.strerror}); see "
                "--refresh-bind-address"
            ) from None

    async def stop(self) -> None:
        """Stop to listen; requests in flight have a second."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._manager.shutdown(1.0)

    @property
    def port(self) -> int:
        """The port listened on."""
        if self._server is None:
            raise RuntimeError("the server has not been started")
        return int(self._server.sockets[0].getsockname()[1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            result, response = await self._answer(request)
        except BaseException:
            # The client has gone, was too slow, or sent a body that cannot be read.
            self._count("incomplete")
            raise
        self._count(result)
        # One request each: a connection is closed after some seconds whatever it does.
        response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> tuple[str, web.Response]:
        if request.path != PATH:
            return "invalid", _text(404, f"only {PATH} is served")
        if request.method != "POST":
            return "invalid", _text(405, "send POST", Allow="POST")
        client = request.remote or ""
        known, body = await self._authenticate(request)
        if not known:
            return self._refuse(client)
        if isinstance(request.protocol, _RefreshConnection):
            request.protocol.known = True
        if not self._accepted.take(client):
            return "throttled", _later(429, "too many requests")
        if body is None:
            body = await _read(request)
        if len(body) > MAX_BODY:
            return "too_large", _text(413, f"the body has more than {MAX_BODY // 1024} KiB")
        return self._accept(body)

    async def _authenticate(self, request: web.BaseRequest) -> tuple[bool, bytes | None]:
        """Return whether the client is known, and the body if that had to be read.

        Always checked, however many have failed, which costs little: whoever tries others locks
        nobody out, not even behind the same Ingress.
        """
        await self._authentication.reread()
        if self._authentication.has_token(request.headers):
            return True, None
        if not self._authentication.may_be_signed(request.headers):
            return False, None
        body = await _read(request)
        if len(body) > MAX_BODY:
            # What was read of it proves nothing.
            return False, None
        return await self._authentication.is_signed(request.headers, body), body

    def _accept(self, body: bytes) -> tuple[str, web.Response]:
        try:
            names = read_names(body)
        except DefiniteError as error:
            return "invalid", _text(400, error.message)
        if not self._is_active():
            return "standby", _later(503, "this replica does not lead; try again")
        if not self._ask(names):
            return "throttled", _later(429, "too many secrets wait to be refreshed")
        _log.debug("refresh requested", secrets=names)
        return "accepted", _text(202, "accepted")

    def _refuse(self, client: str) -> tuple[str, web.Response]:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at > _LOG_EVERY:
            self._logged_at = now
            _log.warning("refresh request refused: no valid token or signature", client=client)
        if not self._refused.take(client):
            return "throttled", _later(429, "too many requests without a valid token")
        return "unauthorized", _text(401, "no valid token", **{"WWW-Authenticate": "Bearer"})


class _RefreshConnection(web.RequestHandler):
    """One connection, which ends soon, and about which aiohttp logs nothing.

    A log line of aiohttp about a malformed request quotes its headers, and so a token.

    Attributes:
        client: Its address.
        known: Whether it has sent a valid token or signature.
    """

    __slots__ = ("_end", "client", "known")

    def __init__(self, manager: web.Server) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(manager, loop=loop, access_log=None, auto_decompress=False)  # type: ignore[arg-type] # None is none
        self._end: asyncio.TimerHandle | None = None
        self.client = ""
        self.known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection; if there are too many then, one is closed."""
        super().connection_made(transport)
        self.client = (transport.get_extra_info("peername") or ("",))[0]
        self._end = self._loop.call_later(CONNECTION_SECONDS, self.force_close)
        if self._manager is not None:
            _close_surplus(self._manager.connections)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed; aiohttp lists it for a moment longer."""
        return self._end is not None

    def force_close(self) -> None:
        """Close the connection; also called when it is lost."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        super().force_close()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 (as aiohttp calls it)
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (quotes the request)
    ) -> web.StreamResponse:
        """Answer what cannot be parsed, or what failed."""
        if exc is not None and not _is_of_the_client(exc):
            # A defect. Only its kind: its text may hold what was sent.
            _log.error("refresh request failed unexpectedly", error=type(exc).__name__)
        response = _text(status, "bad request" if status < 500 else "failed")  # noqa: PLR2004
        response.force_close()
        return response


def _close_surplus(connections: Iterable[web.RequestHandler]) -> None:
    """Close a connection if there are too many, so that those who send nothing keep nobody out.

    It is the oldest without a valid token, of the address that has the most of those.
    """
    current = [c for c in connections if isinstance(c, _RefreshConnection) and c.is_open]
    if len(current) > MAX_CONNECTIONS:
        # The newest is always among them.
        unknown = [c for c in current if not c.known]
        ((client, _),) = Counter(c.client for c in unknown).most_common(1)
        next(c for c in unknown if c.client == client).force_close()


def _is_of_the_client(error: BaseException) -> bool:
    return isinstance(error, ConnectionError) or type(error).__module__.startswith("aiohttp")


async def _read(request: web.BaseRequest) -> bytes:
    """Return the body; of one that is too large no more than shows that it is."""
    body = bytearray()
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _text(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)


def _later(status: int, text: str) -> web.Response:
    return _text(status, text, **{"Retry-After": str(RETRY_AFTER)})
