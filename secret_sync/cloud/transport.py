"""The one HTTP session that every call to Alibaba Cloud shares.

The SDK would open a session, a connector and an SSL context per request; one of each for the
whole process is what makes a call cost a tenth of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from secret_sync.cloud.connections import Connector
from secret_sync.cloud.dedicated import DedicatedTrust
from secret_sync.cloud.endpoints import is_dedicated
from secret_sync.cloud.errors import StaleConnectionError, UnreachableError
from secret_sync.cloud.proxy import proxy_for
from secret_sync.dns import Resolver
from secret_sync.errors import DefiniteError, SecretSyncError, TransientError
from secret_sync.tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

# A company's proxy may take seconds for a tunnel: 3.5 s were reported.
CONNECT_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
# A secret's value has at most 30 KB, a Kubernetes Secret holds at most 1 MiB.
MAX_BODY = 1024 * 1024

_KEEP_ALIVE = 30.0
# Hosts whose route is cached: regions of one cloud and an operator's few endpoints.
_MAX_ROUTES = 256
_UNWANTED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

# Our own messages, since aiohttp's may quote the request or a proxy's password. The first match
# counts.
_FAULTS: tuple[tuple[type[Exception], type[SecretSyncError], str], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        DefiniteError,
        "its certificate is not trusted ({}); set SSL_CERT_FILE to a CA of your own",
    ),
    (aiohttp.ClientHttpProxyError, UnreachableError, "the proxy refused to connect ({})"),
    (aiohttp.ClientProxyConnectionError, UnreachableError, "the proxy cannot be reached ({})"),
    (aiohttp.ClientConnectorDNSError, UnreachableError, "the host name cannot be resolved"),
    (aiohttp.ClientConnectorError, UnreachableError, "cannot connect ({})"),
    (aiohttp.ConnectionTimeoutError, UnreachableError, "no connection in time{}"),
    (TimeoutError, TransientError, "no answer in time{}"),
    (aiohttp.ServerDisconnectedError, StaleConnectionError, "closed before any answer"),
    (OSError, StaleConnectionError, "the connection broke before any answer"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """A response as it was received.

    Attributes:
        status: The HTTP status.
        headers: The headers, by case-insensitive name.
        body: The body, truncated at ``MAX_BODY`` bytes.
        complete: Whether the body is complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    def __repr__(self) -> str:
        return f"<Reply {self.status}, {len(self.body)} bytes>"


@dataclass(frozen=True, slots=True, repr=False)
class _Route:
    proxy: URL | None = None
    # For the CONNECT of a tunnel; aiohttp omits them without a tunnel ...
    proxy_headers: Mapping[str, str] | None = None
    # ... so for plain http they are sent with the request itself.
    headers: Mapping[str, str] | None = None
    # Whether a private CA is trusted for the host.
    dedicated: bool = False


def call_timeout(
    *, connect: float = CONNECT_SECONDS, total: float = CALL_SECONDS
) -> aiohttp.ClientTimeout:
    """Return the limits of one try, in seconds: for connecting, and in total.

    The limit without receiving a byte is half of the total. A response that arrives byte by byte
    ends with the total.
    """
    return aiohttp.ClientTimeout(
        total=total, connect=connect, sock_read=total / 2.0, ceil_threshold=60.0
    )


def build_ssl_context(cert_file: str) -> ssl.SSLContext:
    """Build the context for all connections; takes tens of milliseconds, so once at start.

    Args:
        cert_file: A PEM bundle to trust instead of the system's, or ``""``.

    Raises:
        DefiniteError: The bundle cannot be read or holds no certificate.
    """
    try:
        return client_context(ca_file=cert_file)
    except OSError as error:  # ssl.SSLError is one too
        raise DefiniteError(f"cannot load the CA bundle {cert_file}: {error}") from error


class Transport:
    """Sends requests over one session, through a proxy if one is set.

    Built inside the running loop, and closed after everything that calls Alibaba Cloud.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        https_proxy: str = "",
        http_proxy: str = "",
        no_proxy: str = "",
        dedicated: DedicatedTrust | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> None:
        """Open the session; connections are made as they are needed.

        Args:
            ssl_context: As from ``build_ssl_context``, for all but dedicated KMS gateways.
            https_proxy: The proxy for https targets, ``""`` for none.
            http_proxy: The proxy for http targets, ``""`` for none.
            no_proxy: The hosts reached without a proxy, as in the environment variable.
            dedicated: The trust for dedicated KMS gateways; by default their regions' CAs.
            timeout: The default limits of a try; by default those of ``call_timeout``.

        Raises:
            DefiniteError: A proxy is not an http or https address.
        """
        _check_proxy("HTTPS_PROXY", https_proxy)
        _check_proxy("HTTP_PROXY", http_proxy)
        self._https_proxy = https_proxy
        self._http_proxy = http_proxy
        self._no_proxy = no_proxy
        self._dedicated = dedicated or DedicatedTrust()
        self._timeout = timeout or call_timeout()
        self._routes: dict[URL, _Route] = {}
        self._resolver = Resolver()
        self._session = aiohttp.ClientSession(
            # The number of concurrent calls is limited elsewhere.
            connector=Connector(
                limit=0,
                ssl=ssl_context,
                keepalive_timeout=_KEEP_ALIVE,
                resolver=self._resolver,
                use_dns_cache=False,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_UNWANTED,
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        await self._session.close()
        await self._resolver.close()

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        *,
        what: str,
        body: bytes = b"",
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - three limits, aiohttp's
        region: str = "",
    ) -> Reply:
        """Send one request, once, and read the response.

        Redirects are not followed: a signed request is for one host only.

        Args:
            method: The HTTP method.
            url: The whole URL, encoded as it is to be sent.
            headers: All headers; aiohttp adds only those of the connection.
            what: What is requested and where; error messages begin with it.
            body: The body, if any.
            timeout: The limits of this try; ``None`` for those of the flags.
            region: The region whose private CA is trusted, if the host is a dedicated KMS gateway.

        Raises:
            TransientError: There was no response in time, or the connection broke.
            UnreachableError: No connection was made, to the host or to the proxy.
            StaleConnectionError: The connection was closed before any response.
            DefiniteError: The server's certificate is not trusted, or no CA is known for it.
        """
        route = self._route(url)
        # The context is part of the key of aiohttp's pool, so a connection is never used with
        # another trust than the one that it was made with.
        trust = await self._dedicated.context(region, what=what) if route.dedicated else None
        # Raised outside of the except block: aiohttp's exceptions reference the request with its
        # Authorization header, and would be the context of ours.
        outcome = await _outcome(
            self._session.request(
                method,
                url,
                headers=headers if route.headers is None else {**headers, **route.headers},
                data=body or None,
                allow_redirects=False,
                proxy=route.proxy,
                proxy_headers=route.proxy_headers,
                timeout=timeout or self._timeout,
                ssl=True if trust is None else trust,
            ),
            what,
            self._timeout if timeout is None else None,
        )
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome

    def _route(self, url: URL) -> _Route:
        origin = url.origin()
        route = self._routes.get(origin)
        if route is None:
            route = replace(self._new_route(url), dedicated=is_dedicated(url.host or ""))
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[origin] = route
        return route

    def _new_route(self, url: URL) -> _Route:
        text = proxy_for(
            url.authority,
            url.scheme,
            https_proxy=self._https_proxy,
            http_proxy=self._http_proxy,
            no_proxy=self._no_proxy,
        )
        if not text:
            return _Route()
        proxy = URL(text)
        if proxy.user is None:
            return _Route(proxy)
        basic = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
        named = {"Proxy-Authorization": basic}
        proxy = proxy.with_user(None)
        return _Route(proxy, named) if url.scheme == "https" else _Route(proxy, headers=named)


def _check_proxy(name: str, value: str) -> None:
    address = proxy_for("", "http", https_proxy="", http_proxy=value, no_proxy="")
    if not address:
        return
    try:
        proxy = URL(address)
        usable = proxy.scheme in {"http", "https"} and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        # The value is not shown: it may contain a password.
        raise DefiniteError(f"{name} is not the address of an http proxy")


async def _outcome(
    request: AbstractAsyncContextManager[aiohttp.ClientResponse],
    what: str,
    flags: aiohttp.ClientTimeout | None,
) -> Reply | SecretSyncError:
    try:
        async with request as response:
            content, complete = await _read(response)
            return Reply(response.status, response.headers, content, complete)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        return _converted(error, what, flags)


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    chunks = []
    size = 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            # The rest is not read, so the connection cannot be reused.
            response.close()
            return b"".join(chunks)[:MAX_BODY], False
    return b"".join(chunks), True


def _converted(error: Exception, what: str, flags: aiohttp.ClientTimeout | None) -> SecretSyncError:
    for fault, kind, words in _FAULTS:
        if isinstance(error, fault):
            return kind(f"{what}: {words.format(_detail(error, flags))}")
    return TransientError(f"{what}: the answer broke off ({type(error).__name__})")


def _detail(error: Exception, flags: aiohttp.ClientTimeout | None) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return _limit("connect", flags.connect if flags else None)
        case TimeoutError():
            return _limit("call", flags.total if flags else None)
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "")
        case aiohttp.ClientHttpProxyError():
            reason = f"HTTP {error.status}"
        case aiohttp.ClientConnectorError():
            reason = error.strerror or type(error.os_error).__name__
        case _:
            reason = ""
    return reason or type(error).__name__


def _limit(flag: str, seconds: float | None) -> str:
    """Return the flag that sets a limit; the metadata service has its own limits."""
    return f" ({seconds:g} s; --cloud-{flag}-timeout sets the limit)" if seconds else ""
