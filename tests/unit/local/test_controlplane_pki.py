"""Keys and certificates: who trusts what, and who may read it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from secret_sync.local.controlplane import pki

if TYPE_CHECKING:
    from pathlib import Path


def test_everything_but_the_ca_is_for_the_owner_alone(tmp_path: Path) -> None:
    made = pki.create(tmp_path)
    open_to_all = [path for path in tmp_path.iterdir() if path.stat().st_mode & 0o077]
    assert open_to_all == [made.ca]


def test_key_of_the_ca_is_not_kept(tmp_path: Path) -> None:
    made = pki.create(tmp_path)
    keys = {path for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()}
    assert keys == {made.server_key, made.service_account_key}


def test_server_is_known_by_its_loopback_names(tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(
        pki.create(tmp_path).server_certificate.read_bytes()
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def test_strict_client_trusts_the_server_through_the_ca(tmp_path: Path) -> None:
    made = pki.create(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server_certificate, made.server_key)
    client = ssl.create_default_context(cafile=made.ca)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as executor:
        accepted = executor.submit(server.wrap_socket, theirs, server_side=True)
        with client.wrap_socket(ours, server_hostname="127.0.0.1") as connection:
            assert connection.version() == "TLSv1.3"
        accepted.result(10).close()


def test_existing_objects_are_not_overwritten(tmp_path: Path) -> None:
    made = pki.create(tmp_path)
    before = made.ca.read_bytes()
    with pytest.raises(FileExistsError):
        pki.create(tmp_path)
    assert made.ca.read_bytes() == before
