"""TLS of a client: whom to trust. Every context of the process is made here."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _trusting_nobody() -> Iterator[None]:
    """Have contexts that are made inside load none of the system's certificates."""
    context: Any = ssl.SSLContext
    original = context.set_default_verify_paths
    context.set_default_verify_paths = lambda _self: None
    try:
        yield
    finally:
        context.set_default_verify_paths = original


# It makes two contexts as it is imported, and loads the certificates into both, which takes 40 ms.
# Each of our sessions is given a context, so no request uses these.
with _trusting_nobody():
    import aiohttp.connector  # noqa: F401


def client_context(*, ca_file: str = "", ca_data: str = "") -> ssl.SSLContext:
    """Build a context that verifies servers as curl does; tens of milliseconds.

    The result is the same on every version of Python. Certificates and host names are verified.

    Args:
        ca_file: A PEM bundle to trust, or ``""``.
        ca_data: Certificates to trust, in PEM, or ``""``. With neither, the system's are trusted.

    Raises:
        OSError: The certificates cannot be read, or are not certificates.
    """
    context = ssl.create_default_context(cafile=ca_file or None, cadata=ca_data or None)
    # From 3.13 on Python demands what RFC 5280 asks of authorities, key identifiers and critical
    # extensions among it. Many private CAs lack them: those of clusters, of companies' proxies, of
    # dedicated KMS gateways. curl, kubectl and OpenSSL itself accept them.
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    # Up to 3.12 Python trusts an intermediate certificate of a bundle only along with its root.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context
