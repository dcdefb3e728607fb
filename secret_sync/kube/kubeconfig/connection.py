"""What a kubeconfig, or a pod's service account, comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secret_sync.kube.kubeconfig.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go.

    Attributes:
        url: Without a slash at its end.
        name: What its certificate is for, if that is not the host of the URL.
        proxy: The URL of an HTTP proxy, which may hold a password.
        verify: Whether its certificate has to be trusted.
        ca: Who is trusted, as PEM; empty for whom the system trusts.
    """

    url: str
    name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    verify: bool = True
    ca: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """As whom requests are sent.

    Attributes:
        authorization: The value of that header; ``""`` for none.
        certificate: A client certificate with its chain, as PEM; empty for none.
        key: Its private key, as PEM.
        plugin: What issues credentials; only where there are none of the above.
        impersonation: Names and values of the headers that ask for it.
    """

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""
    plugin: Plugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """Where, and as whom.

    Attributes:
        names: Of the context, its cluster and its user; empty in a pod.
    """

    server: Server
    login: Login = field(repr=False)
    names: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[object, ...]:
        """What must not change while a process runs: only credentials and CAs are renewed."""
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
