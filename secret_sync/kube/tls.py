"""TLS contexts from what is in memory: nothing is written where another process could read it."""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.tls import client_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.kube.kubeconfig import Server

_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)


def has_certificate(pem: bytes) -> bool:
    """Whether there is one in it."""
    return _CERTIFICATE.search(pem) is not None


def build_context(server: Server, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """Return a context for the API server, with the client certificate, if any; blocks.

    Raises:
        DefiniteError: A certificate or the key is unusable.
    """
    try:
        context = client_context(ca_data=_text(server.ca))
    except ssl.SSLError:
        context = None
    if context is None:
        raise DefiniteError("certificate-authority: what it holds is not a certificate")
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        _load_client_certificate(context, certificate, key)
    return context


def add_ca(context: ssl.SSLContext, ca: bytes) -> None:
    """Have new connections trust this CA, too; what is not a certificate changes nothing."""
    if has_certificate(ca):
        with suppress(ssl.SSLError):
            context.load_verify_locations(cadata=_text(ca))


def _text(ca: bytes) -> str:
    """Return the certificates without the comments between them, in any language."""
    return b"\n".join(_CERTIFICATE.findall(ca)).decode("ascii", errors="replace")


def _load_client_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    with _as_file(certificate + b"\n" + key) as path:
        try:
            # A key with a password would be asked for at the terminal.
            context.load_cert_chain(path, password=b"")
        except (ssl.SSLError, ValueError):
            failed = True
        else:
            failed = False
    if failed:
        raise DefiniteError(
            "client-certificate and client-key: not a certificate and its key in PEM form, "
            "without a password"
        )


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield a path that only this process can read; OpenSSL loads chains from files only."""
    with ExitStack() as stack:
        path, file = _in_memory(stack) or _on_disk(stack)
        file.write(content)
        file.flush()
        yield path


def _in_memory(stack: ExitStack) -> tuple[str, IO[bytes]] | None:
    if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
        return None
    try:
        descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    except OSError:
        # Some sandboxes forbid it.
        return None
    return f"/proc/self/fd/{descriptor}", stack.enter_context(os.fdopen(descriptor, "wb"))


def _on_disk(stack: ExitStack) -> tuple[str, IO[bytes]]:
    """Yield a file of mode 0600, which is removed when it is loaded."""
    try:
        file = stack.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 (it is one)
    except OSError:
        raise DefiniteError(
            "client-certificate and client-key: this system has no anonymous memory "
            "(memfd_create, /proc), and TMPDIR cannot be written"
        ) from None
    return file.name, file
