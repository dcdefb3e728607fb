"""Requests to the API server, unary ones and streams, on raw JSON.

One session for each sort: a watch that ends must not take a place from a write, nor share
its time limits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson
from yarl import URL

from secret_sync.errors import DefiniteError
from secret_sync.kube.errors import ApiUnavailableError, error_of
from secret_sync.kube.resource import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from secret_sync.kube.access import ClusterAccess

#: Seconds for one request.
TIMEOUT: Final = 15.0
_CONNECT: Final = 5.0
#: A silent connection is asked by the kernel whether it is alive (W9).
_KEEPALIVE_SECONDS: Final = 30.0
_CONNECTIONS: Final = 64

_UNAUTHORIZED: Final = 401
_ERRORS: Final = 400
#: Bytes of a refusal's body that are read.
_MAX_REFUSAL: Final = 65536


class KubeClient:
    """One API server, asked as one identity; to be made and closed inside one loop."""

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        headers = {"User-Agent": "secret-sync"}
        tls: Any = access.ssl if access.ssl is not None else True
        self._unary = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=tls, limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE_SECONDS
            ),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=_CONNECT),
            auto_decompress=True,
        )
        self._streams = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0, force_close=True),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
            read_bufsize=2**18,
        )

    async def __aenter__(self) -> Self:
        """Nothing to open: sessions connect when asked to."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes all connections."""
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._unary.close()
        await self._streams.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """One request, answered with an object.

        A request is repeated once if its kept-alive connection turns out to be dead, and once
        after a 401 with credentials read anew. That is safe: all our writes name the version
        they are about, or are create-only, so a repeated one cannot take effect twice.

        Args:
            method: ``GET``, ``PATCH``, ``DELETE``, ...
            path: From :meth:`Resource.path`.
            params: The query.
            body: Encoded as JSON.
            content_type: Of the body.
            accept: What to answer with.

        Raises:
            ApiError: The server refused; see its subclasses.
        """
        url = self._url(path, params)
        data = orjson.dumps(body) if body is not None else None
        headers = {"Accept": accept}
        if data is not None:
            headers["Content-Type"] = content_type
        status, reply, reply_headers = await self._send(method, url, data, headers)
        if status == _UNAUTHORIZED:
            await self._access.renew()
            status, reply, reply_headers = await self._send(method, url, data, headers)
        if status >= _ERRORS:
            raise error_of(f"{method} {path}", status, reply, reply_headers)
        return _object(reply, f"{method} {path}")

    async def stream(
        self, path: str, *, params: Mapping[str, str], accept: str, idle: float
    ) -> aiohttp.ClientResponse:
        """Opens a stream; the caller closes the response.

        Args:
            path: From :meth:`Resource.path`.
            params: The query.
            accept: What to answer with.
            idle: Seconds of silence after which reading it raises
                ``aiohttp.SocketTimeoutError`` (W9).

        Raises:
            ApiError: The server refused.
        """
        response = await self._open(path, params, accept, idle)
        if response.status == _UNAUTHORIZED:
            response.close()
            await self._access.renew()
            response = await self._open(path, params, accept, idle)
        if response.status < _ERRORS:
            return response
        async with response:
            body = await response.content.read(_MAX_REFUSAL)
        raise error_of(f"watch of {path}", response.status, body, response.headers)

    async def _open(
        self, path: str, params: Mapping[str, str], accept: str, idle: float
    ) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=idle)
        headers = await self._headers({"Accept": accept})
        try:
            return await self._streams.get(
                self._url(path, params), headers=headers, timeout=timeout
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(f"watch of {path}", error) from None

    async def _send(
        self, method: str, url: URL, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        full = await self._headers(headers)
        for attempt in (1, 2):
            try:
                async with self._unary.request(method, url, data=data, headers=full) as response:
                    return response.status, await response.read(), response.headers
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                connecting = isinstance(error, aiohttp.ClientConnectorError)
                if connecting or attempt == 2:  # noqa: PLR2004 (the last)
                    raise _unreachable(f"{method} {url.raw_path}", error) from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _unreachable(f"{method} {url.raw_path}", error) from None
        raise AssertionError  # the second attempt returns or raises

    async def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        token = await self._access.authorization()
        return {**headers, "Authorization": token} if token else headers

    def _url(self, path: str, params: Mapping[str, str] | None) -> URL:
        url = URL(self._access.server + path, encoded=True)
        return url.with_query(params) if params else url


def _object(reply: bytes, action: str) -> dict[str, Any]:
    try:
        value = orjson.loads(reply)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ApiUnavailableError(f"{action}: the answer is not a JSON object")
    return value


def _unreachable(action: str, error: Exception) -> ApiUnavailableError:
    """In words of ours: the library's may quote a request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        what = "its certificate is not trusted"
    elif isinstance(error, aiohttp.ClientConnectorError):
        what = f"cannot connect ({error.strerror or type(error.os_error).__name__})"
    elif isinstance(error, TimeoutError | asyncio.TimeoutError):
        what = "no answer in time"
    elif isinstance(error, aiohttp.InvalidURL):
        raise DefiniteError("the API server's address is not a URL") from None
    else:
        what = "the connection broke"
    return ApiUnavailableError(f"API server: {action}: {what}")
