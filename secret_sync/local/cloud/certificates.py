"""A certificate authority of its own, and a TLS context for every host name asked for."""

from __future__ import annotations

import ssl
import threading
from typing import Final

import trustme

_MAX_CONTEXTS: Final = 256
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1", "*.aliyuncs.com")


class Authority:
    """Issues certificates; nothing of it outlives the process.

    A wildcard covers one label and `kms.cn-hangzhou.aliyuncs.com` has two before the domain, so
    every host gets a certificate of its own when it is first asked for. Safe to use from
    several threads.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_unit_name="secret-sync local cloud CA")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    @property
    def pem(self) -> bytes:
        """Return the authority's certificate, for clients to trust."""
        return self._ca.cert_pem.bytes()

    def default_context(self) -> ssl.SSLContext:
        """Return a server's context for localhost that turns to another by the client's SNI."""
        context = self._make_context(_LOCAL_NAMES)

        def choose(
            connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext
        ) -> int | None:
            if name is not None and name.endswith(".aliyuncs.com"):
                connection.context = self.context(name)
            return None

        context.sni_callback = choose
        return context

    def context(self, host: str) -> ssl.SSLContext:
        """Return the context for one host; the first time costs a millisecond and touches files."""
        with self._lock:
            context = self._contexts.get(host)
            if context is None:
                context = self._make_context((host,))
                if len(self._contexts) >= _MAX_CONTEXTS:
                    del self._contexts[next(iter(self._contexts))]
                self._contexts[host] = context
            return context

    def known_context(self, host: str) -> ssl.SSLContext | None:
        """Return the context for a host that was asked for before."""
        return self._contexts.get(host)

    def _make_context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._ca.issue_cert(*names).configure_cert(context)
        return context
