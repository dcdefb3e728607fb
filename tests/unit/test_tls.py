"""Handshakes with servers whose private CA is not made by the book, as those of many companies."""

from __future__ import annotations

import ast
import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.x509 import BasicConstraints

from secret_sync.cloud.dedicated import DedicatedTrust
from secret_sync.cloud.transport import build_ssl_context
from secret_sync.kube import ClusterAccess
from tests.support.documentation import ROOT
from tests.support.source import nodes_of
from tests.support.streams import StreamServer
from tests.unit.cloud.chains import ChainAuthority
from tests.unit.kube.fakes import kubeconfig_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Trusting = Callable[[Path], Awaitable[ssl.SSLContext]]

HOST = "kms.intern.test"


@pytest.fixture(autouse=True)
def _python_is_as_strict_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python 3.13 is in one respect, and 3.12 in the other, whichever runs the test."""
    original = ssl.create_default_context

    def strict(*args: object, **options: object) -> ssl.SSLContext:
        context = original(*args, **options)  # type: ignore[arg-type] # passed on
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


async def of_alibaba_cloud(bundle: Path) -> ssl.SSLContext:
    return await asyncio.to_thread(build_ssl_context, str(bundle))


async def of_dedicated_gateways(bundle: Path) -> ssl.SSLContext:
    return await DedicatedTrust(str(bundle)).context("cn-hangzhou", what="KMS")


async def of_the_api_server(bundle: Path) -> ssl.SSLContext:
    file = bundle.with_name("kubeconfig")
    cluster = {"certificate-authority": str(bundle)}
    file.write_text(kubeconfig_text(f"https://{HOST}", cluster, token="x"))
    found = (await ClusterAccess.find(str(file))).ssl
    assert found is not None
    return found


everywhere = pytest.mark.parametrize(
    "trusting", [of_alibaba_cloud, of_dedicated_gateways, of_the_api_server]
)


@asynccontextmanager
async def serving(tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that ends each connection after its handshake; yields its port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = StreamServer(greet)
    await server.start(tls=tls)
    try:
        yield server.port
    finally:
        await server.stop()


async def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async with asyncio.timeout(20), serving(server) as port:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client, server_hostname=HOST
        )
        writer.close()


@everywhere
async def test_a_private_ca_without_key_identifiers_is_accepted(
    tmp_path: Path, trusting: Trusting
) -> None:
    authority = ChainAuthority.root("A company's CA")
    assert [type(e.value) for e in authority.certificate.extensions] == [BasicConstraints]
    (tmp_path / "ca.pem").write_text(authority.pem)
    client = await trusting(tmp_path / "ca.pem")
    await shake_hands(authority.server_context(HOST, tmp_path), client)


@everywhere
async def test_an_intermediate_in_the_bundle_is_trusted_without_its_root(
    tmp_path: Path, trusting: Trusting
) -> None:
    intermediate = ChainAuthority.root().intermediate("proxy")
    (tmp_path / "ca.pem").write_text(intermediate.pem)
    client = await trusting(tmp_path / "ca.pem")
    await shake_hands(intermediate.server_context(HOST, tmp_path), client)


@everywhere
async def test_another_ca_and_another_host_are_refused(tmp_path: Path, trusting: Trusting) -> None:
    authority = ChainAuthority.root()
    (tmp_path / "ca.pem").write_text(authority.pem)
    client = await trusting(tmp_path / "ca.pem")
    for server in (
        ChainAuthority.root().server_context(HOST, tmp_path),
        authority.server_context("elsewhere.test", tmp_path),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await shake_hands(server, client)


def test_every_context_of_the_process_is_made_in_one_place() -> None:
    """The playground is a program of its own, with CAs of its own."""
    package = ROOT / "secret_sync"
    making = {"create_default_context", "SSLContext", "_create_unverified_context"}
    found = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in nodes_of(file)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in making
    }
    assert {name for name in found if not name.startswith("local/")} == {"tls.py"}
