"""Requests to the API server, unary ones and streams, on raw JSON.

One session for each sort: a watch that ends must not take a place from a write, nor share
its time limits.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from functools import lru_cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson
from aiohttp.payload import BytesIOPayload, BytesPayload, Payload
from multidict import CIMultiDict
from yarl import URL

from secret_sync.dns import Resolver
from secret_sync.errors import DefiniteError
from secret_sync.kube.answers import Answer, read_answer
from secret_sync.kube.errors import ApiUnavailableError, ReadOnlyError, error_of
from secret_sync.kube.resource import JSON, verb_and_resource
from secret_sync.kube.tokens import user_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter

    from secret_sync.kube.access import ClusterAccess
    from secret_sync.kube.observe import RequestObserver

#: Seconds for one request.
TIMEOUT: Final = 15.0
_CONNECT: Final = 5.0
#: An unused connection is kept for so many seconds.
_KEPT: Final = 30.0
#: A silent connection is asked by the kernel whether it is alive: after so many seconds, so
#: often, so many times.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_CONNECTIONS: Final = 64
#: Bytes from which a body is sent in pieces: a full Secret has more in base64.
_LARGE: Final = 1024 * 1024
#: How a connection ends that died while it was kept. A new one that cannot be made is no such.
_STALE: Final = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
    aiohttp.ClientConnectionResetError,
)

_HEADERS: Final = {"User-Agent": "secret-sync"}
_TOKENS: Final = re.compile(r"/api/v1/namespaces/[^/]+/serviceaccounts/[^/]+/token")
_NOT_OURS: Final = "since another replica may lead"
_UNAUTHORIZED: Final = 401
_ERRORS: Final = 400
#: Bytes of a refusal's body that are read.
_MAX_REFUSAL: Final = 65536

#: What an answer begins with is its status.
R = TypeVar("R", bound=tuple[int, *tuple[Any, ...]])


class WriteGuard(Protocol):
    """Decides when writes are allowed."""

    @property
    def write_timeout(self) -> float:
        """Seconds that each write has: well within a lease, so that many may start in it."""
        ...

    def may_start(self, seconds: float) -> bool:
        """Whether a write may begin now that takes effect within so many seconds or never."""
        ...


class KubeClient:
    """A client of one API server with one identity; to be created and closed in one loop.

    Args:
        access: Where it is, and who we are.
        read_only: Whether everything is refused that could change anything, here and nowhere else.
        observer: Receives requests, for metrics.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        read_only: bool = False,
        observer: RequestObserver | None = None,
    ) -> None:
        self._access = access
        self._observer = observer
        self.read_only = read_only
        self._guard: WriteGuard | None = None
        # What every request has in common. Redirects are not followed: the token is for one
        # host. No proxy either but one that the kubeconfig names.
        self._always: dict[str, Any] = {
            "allow_redirects": False,
            "proxy": access.proxy,
            "server_hostname": access.server_name,
        }
        self._resolver = Resolver()
        common: dict[str, Any] = {
            "resolver": self._resolver,
            "use_dns_cache": False,
            "socket_factory": keepalive_socket,
        }
        self._unary = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEPT, **common),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._streams = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, **common),
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=2**18,
        )

    async def __aenter__(self) -> Self:
        """Do nothing: sessions connect when needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._unary.close()
        await self._streams.close()
        await self._resolver.close()

    @property
    def token_user(self) -> str:
        """Return the user whose token we have, as it says itself; ``""`` if there is none."""
        headers = dict(self._access.credentials.headers)
        return user_of(headers.get("Authorization", ""))

    def guard_writes(self, guard: WriteGuard) -> None:
        """From now on asks before each request that may change something.

        Such a request has less time than others, and the server gets it, too: what it has not done
        by then it does not do. It counts from when the request reaches it, which can be long after
        it was sent, so the body follows only when the server has begun (``100 Continue``).
        """
        self._guard = guard

    async def request(  # noqa: PLR0913 (each is one fact of a request)
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        expected: Answer = Answer.OBJECT,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 (aiohttp's own, which knows its phases)
    ) -> dict[str, Any]:
        """One request, answered with an object.

        A request is repeated once if its kept-alive connection turns out to be dead, and once
        after a 401 with renewed credentials. That is safe: all our writes name the version
        they are about, or are create-only, so a repeated one cannot take effect twice.

        Args:
            method: ``GET``, ``PATCH``, ``DELETE``, ...
            path: From :meth:`Resource.path`.
            params: The query.
            body: Encoded as JSON.
            content_type: Of the body.
            accept: What to answer with.
            expected: The form of the answer; another one counts as none.
            timeout: Seconds for each try.

        Raises:
            ReadOnlyError: It could change something, and this client only reads.
            ApiUnavailableError: Among others, the guard of writes does not let it start now.
            ApiError: The server refused; see its subclasses.
        """
        if self.read_only and method != "GET" and not _makes_token(method, path):
            raise ReadOnlyError(f"{method} {path}: not sent, since this is a dry run")
        guard = None if method == "GET" else self._guard
        if guard is not None:
            timeout = min(timeout, guard.write_timeout)
            params = {**(params or {}), "timeout": f"{guard.write_timeout:g}s"}
        limits = _limits(timeout)
        url = self._url(path, params)
        data = orjson.dumps(body) if body is not None else None
        headers = {"Accept": accept}
        if data is not None:
            headers["Content-Type"] = content_type
        used = self._access.credentials
        send = partial(self._send, method, url, data, headers, limits, guard)
        status, reply, reply_headers = await self._observed(method, path, send)
        if status == _UNAUTHORIZED:
            await self._access.renew(used)
            status, reply, reply_headers = await self._observed(method, path, send)
        if status >= _ERRORS:
            raise error_of(f"{method} {path}", status, reply, reply_headers)
        return read_answer(reply, expected, f"{method} {path}")

    async def stream(
        self, path: str, *, params: Mapping[str, str], accept: str, idle: float
    ) -> aiohttp.ClientResponse:
        """Open a stream; the caller closes the response.

        Args:
            path: From :meth:`Resource.path`.
            params: The query.
            accept: What to answer with.
            idle: Seconds of silence after which reading it raises
                ``aiohttp.SocketTimeoutError``.

        Raises:
            ApiError: The server refused.
        """
        used = self._access.credentials
        open_ = partial(self._open, path, params, accept, idle)
        status, response = await self._observed("WATCH", path, open_)
        if status == _UNAUTHORIZED:
            response.close()
            await self._access.renew(used)
            status, response = await self._observed("WATCH", path, open_)
        if status < _ERRORS:
            return response
        raise error_of(f"watch of {path}", status, await _refusal(response), response.headers)

    async def _observed(self, method: str, path: str, send: Callable[[], Awaitable[R]]) -> R:
        """Send a request, whose answer begins with its status, and count it."""
        if self._observer is None:
            return await send()
        began, code = time.perf_counter(), 0
        try:
            answer = await send()
            code = answer[0]
        finally:
            seconds = time.perf_counter() - began
            self._observer.requested(*verb_and_resource(method, path), code, seconds)
        return answer

    async def _open(
        self, path: str, params: Mapping[str, str], accept: str, idle: float
    ) -> tuple[int, aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=idle)
        try:
            response = await self._streams.get(
                self._url(path, params),
                headers=self._headers({"Accept": accept}),
                timeout=timeout,
                ssl=self._ssl,
                **self._always,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = _unreachable(f"watch of {path}", error)
        else:
            return response.status, response
        raise failure

    async def _send(
        self,
        method: str,
        url: URL,
        data: bytes | None,
        headers: dict[str, str],
        limits: aiohttp.ClientTimeout,
        guard: WriteGuard | None,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        full = self._headers(headers)
        again = True
        while True:
            if guard is not None and not guard.may_start(guard.write_timeout):
                raise ApiUnavailableError(f"{method} {url.raw_path}: not sent, {_NOT_OURS}")
            try:
                body = _body(data, guard)
                async with self._unary.request(
                    method,
                    url,
                    data=body,
                    headers=full,
                    timeout=limits,
                    ssl=self._ssl,
                    expect100=guard is not None and body is not None,
                    **self._always,
                ) as response:
                    return response.status, await response.read(), response.headers
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                stale = isinstance(error, _STALE) and not isinstance(
                    error, aiohttp.ClientConnectorError
                )
                failure = _unreachable(f"{method} {url.raw_path}", error)
            # Raised out here: the library's exceptions hold the request and its token, and
            # would stay reachable as the context of ours.
            if not (stale and again):
                raise failure
            again = False

    def _headers(self, headers: dict[str, str]) -> CIMultiDict[str]:
        full = CIMultiDict(headers)
        full.extend(self._access.credentials.headers)
        return full

    @property
    def _ssl(self) -> ssl.SSLContext | bool:
        """As it is now; connections are kept apart by it."""
        return self._access.ssl if self._access.ssl is not None else True

    def _url(self, path: str, params: Mapping[str, str] | None) -> URL:
        server = _parsed(self._access.server)
        # Parsing the whole each time would take twice as long.
        return URL.build(
            scheme=server.scheme,
            authority=server.raw_authority,
            path=server.raw_path.rstrip("/") + path,
            query_string=_query(*params.items()) if params else "",
            encoded=True,
        )


def _makes_token(method: str, path: str) -> bool:
    """Return whether a request is a TokenRequest, which stores and changes nothing."""
    return method == "POST" and _TOKENS.fullmatch(path) is not None


class _Guarded(Payload):
    """Asks once more at the last moment: a process can be frozen anywhere."""

    def __init__(self, data: bytes | BytesIO, guard: WriteGuard) -> None:
        super().__init__(data)
        self._guard = guard

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        # What was refused here leaves a request without its end, which has no effect.
        if not self._guard.may_start(self._guard.write_timeout):
            raise RuntimeError(_NOT_OURS)
        await super().write_with_length(writer, content_length)


class _GuardedBytes(_Guarded, BytesPayload):
    """What is sent at once."""


class _GuardedPieces(_Guarded, BytesIOPayload):
    """What is large."""


def _body(data: bytes | None, guard: WriteGuard | None) -> Any:
    if data is None:
        return None
    large = len(data) >= _LARGE
    if guard is None:
        return BytesIO(data) if large else data
    return _GuardedPieces(BytesIO(data), guard) if large else _GuardedBytes(data, guard)


@lru_cache(maxsize=16)
def _limits(total: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT)


@lru_cache(maxsize=256)
def _query(*params: tuple[str, str]) -> str:
    # Cached, since writes all have the same one, and to quote it is a tenth of a request.
    return urlencode(params)


@lru_cache(maxsize=4)
def _parsed(server: str) -> URL:
    return URL(server, encoded=True)


def keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket whose kernel notices that the other side is gone."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    for level, option, value in _KEEPALIVE:
        made.setsockopt(level, option, value)
    return made


async def _refusal(response: aiohttp.ClientResponse) -> bytes:
    """Return the readable part of a body; the status counts even if there is none."""
    body = b""
    async with response:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_REFUSAL:
                    break
    return body


def _unreachable(action: str, error: Exception) -> ApiUnavailableError:
    """In words of ours: the library's may quote a request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        what = "its certificate is not trusted"
    elif isinstance(error, aiohttp.ClientConnectorError):
        what = f"cannot connect ({error.strerror or type(error.os_error).__name__})"
    elif isinstance(error, TimeoutError):
        what = "no answer in time"
    elif isinstance(error, aiohttp.InvalidURL):
        raise DefiniteError("the API server's address is not a URL") from None
    else:
        what = "the connection broke"
    return ApiUnavailableError(f"API server: {action}: {what}")
