"""The keys and certificates of one control plane, generated for every run."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

# A playground may stay up for days, but nothing it issues should be of use for years.
_VALIDITY = dt.timedelta(days=30)
# Clocks of containers and their hosts may differ a little.
_BACKDATE = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are. All but ``ca`` are for the owner's eyes only (mode 0600).

    Attributes:
        ca: Certificate authority that signed ``server_certificate``; its key is not kept.
        server_certificate: For 127.0.0.1, ::1 and localhost.
        server_key: Its private key.
        service_account_key: RSA private key that signs ServiceAccount tokens.
    """

    ca: Path
    server_certificate: Path
    server_key: Path
    service_account_key: Path


def create(directory: Path) -> Pki:
    """Make all keys and certificates in ``directory``, which must exist.

    Raises:
        FileExistsError: It has some already; they are left alone.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("secret-sync local control plane")
    ca = _certificate(ca_name, ca_name, ca_key, ca_key, authority=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate(_name("kube-apiserver"), ca_name, server_key, ca_key, authority=False)
    # RSA, as managed clusters have it: what reads the tokens expects RS256.
    account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pki = Pki(
        ca=directory / "ca.crt",
        server_certificate=directory / "server.crt",
        server_key=directory / "server.key",
        service_account_key=directory / "service-account.key",
    )
    write_secret(pki.server_key, _pem(server_key))
    write_secret(pki.service_account_key, _pem(account_key))
    write_secret(pki.server_certificate, server.public_bytes(serialization.Encoding.PEM))
    pki.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return pki


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can ever have read.

    Raises:
        FileExistsError: Something is there already; its mode would not be ours.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _VALIDITY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        # Python 3.13 verifies strictly and refuses a chain without the key identifiers.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
    )
    if not authority:
        names = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.DNSName("localhost"),
        ]
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
