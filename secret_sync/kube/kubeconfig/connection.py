"""The connection that a kubeconfig, or a pod's service account, describes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secret_sync.kube.kubeconfig.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Server:
    """The server that requests go to.

    Attributes:
        url: Without a slash at its end.
        name: The name that its certificate has to have, if not the host of the URL.
        proxy: The URL of an HTTP proxy, which may hold a password.
        verify: Whether its certificate has to be trusted.
        ca: The trusted CAs, as PEM; empty for those of the system.
    """

    url: str
    name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    verify: bool = True
    ca: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """The identity that requests are sent with.

    Attributes:
        authorization: The value of that header; ``""`` for none.
        certificate: A client certificate with its chain, as PEM; empty for none.
        key: Its private key, as PEM.
        plugin: The plugin that issues credentials; only without any of the above.
        impersonation: Names and values of the impersonation headers.
    """

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""
    plugin: Plugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, and the identity to use there.

    Attributes:
        names: Of the context, its cluster and its user; empty in a pod.
    """

    server: Server
    login: Login = field(repr=False)
    names: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[object, ...]:
        """Return what must not change while the process runs, other than credentials and CAs."""
        server = self.server
        return (
            *self.names,
            server.url,
            server.name,
            server.proxy,
            server.verify,
            self.login.impersonation,
        )


def as_header(text: str) -> str | None:
    """Return the string without surrounding white space, or ``None`` if no header can hold it."""
    text = text.strip()
    return text if text.isprintable() and _is_unicode(text) else None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
