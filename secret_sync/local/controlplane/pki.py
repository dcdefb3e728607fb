"""The keys and certificates of one control plane, generated for every run."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

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
    ca = trustme.CA(organization_unit_name="secret-sync local control plane")
    now = dt.datetime.now(dt.UTC)
    server = ca.issue_cert(
        *("127.0.0.1", "::1", "localhost"),
        common_name="kube-apiserver",
        not_before=now - _BACKDATE,
        not_after=now + _VALIDITY,
    )
    # RSA, as managed clusters have it: what reads the tokens expects RS256.
    account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pki = Pki(
        ca=directory / "ca.crt",
        server_certificate=directory / "server.crt",
        server_key=directory / "server.key",
        service_account_key=directory / "service-account.key",
    )
    write_secret(pki.server_key, server.private_key_pem.bytes())
    write_secret(pki.service_account_key, _pem(account_key))
    write_secret(pki.server_certificate, server.cert_chain_pems[0].bytes())
    ca.cert_pem.write_to_path(pki.ca)
    return pki


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can ever have read.

    Raises:
        FileExistsError: Something is there already; its mode would not be ours.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
