"""Address and credentials of the API server, and the task that renews them."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.clock import loop_time
from secret_sync.errors import DefiniteError
from secret_sync.kube.issuer import Issuer
from secret_sync.kube.kubeconfig import HOME_CONFIG, quoted, read_connection
from secret_sync.kube.service_account import read_service_account
from secret_sync.kube.tls import add_ca, build_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from secret_sync.kube.kubeconfig import Connection, Issued

_log = structlog.get_logger(__name__)

#: Seconds after which a projected token and all other files are read again.
REREAD_AFTER: Final = 60.0
#: Seconds between two rounds without a request.
_PAUSE: Final = 1.0
#: Seconds that the first reading may take; above those of a plugin.
FIND_WITHIN: Final = 35.0
#: Seconds that a request which was answered with 401 waits for other credentials.
RENEW_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RequestCredentials:
    """How a request is authenticated; replaced by another object on any change.

    Attributes:
        headers: Their names and values; a name may be there several times.
    """

    headers: tuple[tuple[str, str], ...] = ()
    certificate: bytes = b""
    key: bytes = b""

    def is_same_as(self, other: RequestCredentials) -> bool:
        """Return whether the API server cannot tell them apart."""
        return (self.headers, self.certificate, self.key) == (
            other.headers,
            other.certificate,
            other.key,
        )


class ClusterAccess:
    """The server's address, a TLS context, and credentials, which one task keeps valid.

    Only requests that were rejected with the present credentials wait for that task. Files are
    read in a thread, since a volume may hang. To be closed inside the loop that it was found in.

    Args:
        read: Reads all files, in a thread; it gets the name of the context to stay with.
        origin: Where from, for a person.

    Attributes:
        ssl: For new connections; another one once the client certificate is. ``None``: no TLS.
        credentials: The present ones.
    """

    def __init__(self, read: Callable[[str], Connection], origin: str) -> None:
        self._read = read
        self._origin = origin
        self._connection: Connection | None = None
        self._issuer = Issuer()
        self._refused: RequestCredentials | None = None
        self._wanted = asyncio.Event()
        self._next_round: asyncio.Future[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._logged = ""
        self.server = ""
        self.server_name: str | None = None
        self.proxy: str | None = None
        self.ssl: ssl.SSLContext | None = None
        self.credentials = RequestCredentials()

    def __repr__(self) -> str:
        """Where to, not as whom."""
        return f"<{type(self).__name__} {self.server} from {self._origin}>"

    @classmethod
    async def find(cls, kubeconfig: str = "", context: str = "") -> ClusterAccess:
        """Open the given kubeconfig, else the pod's service account, else ``~/.kube/config``.

        Args:
            kubeconfig: One path, or several joined as in the variable ``KUBECONFIG``.
            context: Of the kubeconfig; ``""`` for its current one. A pod has none.

        Raises:
            DefiniteError: It is missing or cannot be used; the message says why.
        """
        in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
        if not kubeconfig and not context and in_pod:
            access = cls(read_service_account, "the pod's service account")
        else:
            path = kubeconfig or HOME_CONFIG
            read = partial(_read_context, path, context)
            access = cls(read, f"kubeconfig {quoted(path)}")
        await access.open()
        return access

    async def open(self) -> None:
        """Read everything for the first time, and begin to renew.

        Raises:
            DefiniteError: It cannot be used.
        """
        try:
            async with asyncio.timeout(FIND_WITHIN):
                await self._refresh()
        except TimeoutError:
            raise DefiniteError(
                f"{self._origin}: not read within {FIND_WITHIN:g} s; does its volume answer?"
            ) from None
        self._renewing = asyncio.create_task(self._keep_fresh(), name="renew credentials")

    async def close(self) -> None:
        """Renew nothing any more; a plugin that runs is killed."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._next_round is not None:
            self._next_round.cancel()

    async def renew(self, refused: RequestCredentials) -> None:
        """Wait until there are others than these, or a try to have them has failed.

        Args:
            refused: Which the API server answered with 401.
        """
        over = self._renewing is None or self._renewing.done()
        if self.credentials is not refused or over:
            return
        self._refused = refused
        self._wanted.set()
        if self._next_round is None:
            self._next_round = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._next_round,), timeout=RENEW_WITHIN)

    async def _keep_fresh(self) -> None:
        while True:
            # What failed for reasons of its own is not tried again at once.
            until = min(loop_time() + REREAD_AFTER, max(self._issuer.due, loop_time() + _PAUSE))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wanted.wait()
            self._wanted.clear()
            # Who asks from now on may know more than what is read now.
            awaited, self._next_round = self._next_round, None
            try:
                await self._refresh()
            except DefiniteError as error:
                self._warn(error.message)
            except Exception as error:  # noqa: BLE001 (whatever it is, the next round may do)
                self._warn(type(error).__name__)
            else:
                self._logged = ""
            finally:
                if awaited is not None and not awaited.done():
                    awaited.set_result(None)

    async def _refresh(self) -> None:
        connection, failure = await self._read_again()
        try:
            issued = await self._issued(connection)
        except DefiniteError as error:
            failure, issued = self._named(error), self._issuer.issued
            if issued is None:
                raise failure from None
        try:
            await self._take(connection, issued)
        except DefiniteError as error:
            failure = self._named(error)
        if failure is not None:
            raise failure

    def _named(self, error: DefiniteError) -> DefiniteError:
        return DefiniteError(f"{error.message} ({self._origin})")

    async def _issued(self, connection: Connection) -> Issued | None:
        plugin = connection.login.plugin
        # It counts once: a plugin may have nothing else to offer.
        refused, self._refused = self._refused is self.credentials, None
        if plugin is None:
            self._issuer = Issuer()
            return None
        return await self._issuer.issue(plugin, refused=refused)

    async def _read_again(self) -> tuple[Connection, DefiniteError | None]:
        """Return the present configuration, or the known one and why it could not be read again."""
        known = self._connection
        try:
            return await asyncio.to_thread(self._found, known), None
        except DefiniteError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 (a configuration can do anything wrong)
            failure = DefiniteError(f"{self._origin}: cannot be read ({type(error).__name__})")
        if known is None:
            raise failure
        return known, failure

    def _found(self, known: Connection | None) -> Connection:
        """Return the present configuration of the same context; called in a thread."""
        found = self._read(known.names[0] if known and known.names else "")
        if known is not None and found.target != known.target:
            raise DefiniteError(
                f"{self._origin} names another cluster or user now; restart to use it"
            )
        return found

    async def _take(self, connection: Connection, issued: Issued | None) -> None:
        login, server = connection.login, connection.server
        authorization = issued.authorization if issued else login.authorization
        headers = (("Authorization", authorization),) if authorization else ()
        new = RequestCredentials(
            (*headers, *login.impersonation),
            issued.certificate if issued else login.certificate,
            issued.key if issued else login.key,
        )
        known, old = self._connection, self.credentials
        if not any(url.startswith("https") for url in (server.url, server.proxy or "")):
            context = None
        elif self.ssl is None or (new.certificate, new.key) != (old.certificate, old.key):
            # Another one, so that no kept connection goes on with the former certificate.
            context = await asyncio.to_thread(build_context, server, new.certificate, new.key)
        else:
            context = self.ssl
            if known is not None and known.server.ca != server.ca:
                await asyncio.to_thread(add_ca, context, server.ca)
        self._connection, self.ssl = connection, context
        self.server, self.server_name, self.proxy = server.url, server.name, server.proxy
        if not new.is_same_as(old):
            self.credentials = new

    def _warn(self, why: str) -> None:
        """Once for each failure, however often it is met."""
        if why != self._logged:
            self._logged = why
            _log.warning("credentials not renewed, the previous ones stay in use", error=why)


def _read_context(path: str, context: str, held: str) -> Connection:
    """Read the connection of a context; without its name, that of the one that is held."""
    return read_connection(path, context or held)
