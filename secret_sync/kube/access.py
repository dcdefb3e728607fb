"""How to reach the API server, and as whom."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from secret_sync.errors import DefiniteError
from secret_sync.kube._client_config import Configuration, config
from secret_sync.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = structlog.get_logger(__name__)

#: Seconds after which a projected token and the CA file are read again (W18).
REREAD_AFTER: Final = 60.0
#: Seconds within which a credential plugin has to answer.
_PLUGIN_TIMEOUT: Final = 30.0
#: Seconds that anybody waits for all of it; above those of a plugin.
_READ_WITHIN: Final = 35.0
_TOKEN: Final = "BearerToken"  # noqa: S105 (the library's name of the field)


class ClusterAccess:
    """The server's address, one TLS context, and an ``Authorization`` header that stays valid.

    Reading files and running a kubeconfig's credential plugin happens in a thread.
    """

    def __init__(self, load: Callable[[Any], Awaitable[Any]], origin: str) -> None:
        self._load = load
        self._origin = origin
        self._configuration = Configuration()
        self._certificates: tuple[bytes, ...] = ()
        self._loaded_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self.server = ""
        self.server_name: str | None = None
        self.proxy: str | None = None
        self.ssl: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        """Where to, not as whom."""
        return f"<{type(self).__name__} {self.server} from {self._origin}>"

    @classmethod
    async def find(cls, kubeconfig: str = "") -> ClusterAccess:
        """The given kubeconfig, else the pod's own service account, else ``~/.kube/config``.

        Args:
            kubeconfig: One path, or several joined as in the variable ``KUBECONFIG``.

        Raises:
            DefiniteError: There is none, or it cannot be read.
        """
        in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
        if not kubeconfig and in_pod:
            access = cls(_load_in_cluster, "the pod's service account")
        else:
            path = kubeconfig or str(Path.home() / ".kube" / "config")
            access = cls(lambda configuration: _load_file(path, configuration), path)
        await access.renew()
        return access

    async def authorization(self) -> str | None:
        """The value of the ``Authorization`` header, or ``None`` with a client certificate."""
        if asyncio.get_running_loop().time() - self._loaded_at > REREAD_AFTER:
            # Nobody waits for it: a volume may hang, and what was read last is still good.
            self._begin_reading()
        token: str | None = self._configuration.api_key.get(_TOKEN)
        # A file may end in a newline, which no header can hold.
        return token.strip() if token else None

    async def renew(self) -> None:
        """Reads token and certificates again (W18).

        What cannot be read later, while a file is being replaced, say, leaves what was read
        before in force.

        Raises:
            DefiniteError: The first reading failed.
        """
        reading = self._begin_reading()
        done, _ = await asyncio.wait((reading,), timeout=_READ_WITHIN)
        if done:
            reading.result()
        else:
            self._failed("TimeoutError")

    def _begin_reading(self) -> asyncio.Task[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_in_thread())
        return self._reading

    async def _read_in_thread(self) -> None:
        try:
            await asyncio.to_thread(self._read)
        except Exception as error:  # noqa: BLE001 (see below)
            # Whatever a configuration can do wrong ends here: the library raises
            # anything from KeyError to yaml's own.
            failure = type(error).__name__ if self.server else _in_words(error)
        else:
            failure = ""
        self._loaded_at = asyncio.get_running_loop().time()
        if failure:
            self._failed(failure)

    def _failed(self, why: str) -> None:
        if not self.server:
            raise DefiniteError(
                f"cannot read the cluster's address from {self._origin} "
                f"({why}); set KUBECONFIG or --kubeconfig"
            )
        _log.warning("credentials not re-read", error=why)

    def _read(self) -> None:
        configuration = Configuration()
        asyncio.run(_run(self._load(configuration)))
        certificates = tuple(
            Path(path).read_bytes()
            for path in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
            if path
        )
        if self.ssl is None and configuration.host.startswith("https"):
            self.ssl = _context(configuration)
        elif self.ssl is not None and certificates != self._certificates:
            # New connections trust the new CA as well, and present the new certificate.
            _add_certificates(self.ssl, configuration)
        self._certificates = certificates
        self._configuration = configuration
        self.server = configuration.host.rstrip("/")
        self.server_name = configuration.tls_server_name
        self.proxy = configuration.proxy


async def _run(loading: Awaitable[Any]) -> None:
    async with asyncio.timeout(_PLUGIN_TIMEOUT):
        await loading


async def _load_in_cluster(configuration: Any) -> None:
    config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)


async def _load_file(path: str, configuration: Any) -> None:
    # Several files may be joined; the library merges them as kubectl does.
    if not any(map(_is_file, path.split(os.pathsep))):
        raise FileNotFoundError(path)
    await config.load_kube_config(
        config_file=path, client_configuration=configuration, persist_config=False
    )


def _is_file(path: str) -> bool:
    return bool(path) and Path(path).expanduser().is_file()


def _context(configuration: Any) -> ssl.SSLContext:
    context = client_context(ca_file=configuration.ssl_ca_cert or "")
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file or None)
    return context


def _add_certificates(context: ssl.SSLContext, configuration: Any) -> None:
    if configuration.ssl_ca_cert:
        context.load_verify_locations(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file or None)


def _in_words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, config.ConfigException):
        # Behind a brace the library may quote the user's whole entry, token and all.
        return str(error).partition("{")[0].rstrip()
    return type(error).__name__
