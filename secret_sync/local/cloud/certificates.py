"""A certificate authority of its own, and a TLS context for every host name asked for."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_MAX_CONTEXTS: Final = 256
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1", "*.aliyuncs.com")


class Authority:
    """Issues certificates; nothing of it outlives the process.

    A wildcard covers one label and `kms.cn-hangzhou.aliyuncs.com` has two before the domain, so
    every host gets a certificate of its own when it is first asked for. Safe to use from
    several threads.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        # One key for all leaves: clients check names, and a signature is all that a new host costs.
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, "secret-sync local cloud CA")]
        )
        self._certificate = self._issue_root()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    @property
    def pem(self) -> bytes:
        """Return the authority's certificate, for clients to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

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
        # The ssl module reads a chain from a file only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(
                self._leaf_key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            file.write(self._issue_leaf(names).public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def _issue_root(self) -> x509.Certificate:
        public = self._key.public_key()
        return (
            _builder(self._name, self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _issue_leaf(self, names: tuple[str, ...]) -> x509.Certificate:
        public = self._leaf_key.public_key()
        # Common names have at most 64 characters and are not used: the names are in the extension.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(subject, self._name, public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
