"""TLS of a client: whom to trust. Every context of the process is made here."""

from __future__ import annotations

import ssl


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
