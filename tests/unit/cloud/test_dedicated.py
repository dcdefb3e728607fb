"""Whom we trust at a dedicated gateway, tried against chains built like the real ones."""

from __future__ import annotations

import asyncio
import ssl
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography import x509
from hatchling.builders.wheel import WheelBuilder
from yarl import URL

from secret_sync.cloud import dedicated as module
from secret_sync.cloud.dedicated import DedicatedTrust
from secret_sync.cloud.endpoints import is_region
from secret_sync.cloud.sdk_transport import CallContext, SdkTransportAdapter
from secret_sync.cloud.transport import Transport
from secret_sync.dns import Resolver
from secret_sync.errors import DefiniteError
from secret_sync.tls import client_context
from tests.support.documentation import ROOT
from tests.unit.cloud.chains import ChainAuthority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from secret_sync.cloud.transport import Reply
    from tests.unit.cloud.conftest import ScriptedConnections

HOST = "kst-hzz1.cryptoservice.kms.aliyuncs.com"
SHARED = "kms.cn-hangzhou.aliyuncs.com"


async def ok(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Gateways:
    """Servers for any host, and a transport that finds them."""

    def __init__(
        self,
        folder: Path,
        serve: Callable[..., Awaitable[ScriptedConnections]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.root = ChainAuthority.root()
        self.hangzhou = self.root.intermediate("cn-hangzhou")
        self.beijing = ChainAuthority.root().intermediate("cn-beijing")
        # What the whole world trusts, and no dedicated gateway is to be taken for.
        self.public = ChainAuthority.root("A Public CA")
        self.trust = DedicatedTrust()
        self.transport = self.trusting(self.trust)
        self._serve = serve

    def trusting(self, trust: DedicatedTrust) -> Transport:
        return Transport(ssl_context=client_context(ca_data=self.public.pem), dedicated=trust)

    def authorities(self, region: str) -> str:
        chains = {
            "cn-hangzhou": self.root.pem + self.hangzhou.pem,
            "cn-beijing": self.beijing.pem,
        }
        return chains.get(region, "")

    async def start(
        self, issuer: ChainAuthority, *shown: ChainAuthority, name: str = HOST
    ) -> ScriptedConnections:
        """Start a server with a certificate for a name; every host is found there from now on."""
        server = await self._serve(ok, issuer.server_context(name, self.folder, *shown))
        listening = int(server.authority.partition(":")[2])

        async def resolve(_: Resolver, host: str, port: int, family: int) -> list[dict[str, Any]]:
            found = {"hostname": host, "host": "127.0.0.1", "port": listening}
            return [{**found, "family": family, "proto": 0, "flags": 0}]

        self.monkeypatch.setattr(Resolver, "resolve", resolve)
        return server

    async def call(self, host: str = HOST, region: str = "cn-hangzhou") -> Reply:
        url = URL(f"https://{host}/", encoded=True)
        return await self.transport.send("POST", url, {}, what="KMS", region=region)


@pytest.fixture
async def gateways(
    tmp_path: Path,
    serve: Callable[..., Awaitable[ScriptedConnections]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Gateways]:
    gateways = Gateways(tmp_path, serve, monkeypatch)
    monkeypatch.setattr(module, "authorities_of", gateways.authorities)
    yield gateways
    await gateways.transport.close()


async def test_gateway_may_leave_its_intermediate_out(gateways: Gateways) -> None:
    await gateways.start(gateways.hangzhou)
    assert (await gateways.call()).status == 200


async def test_build_output_is_shown(gateways: Gateways) -> None:
    await gateways.start(gateways.hangzhou, gateways.hangzhou)
    assert (await gateways.call()).status == 200


async def test_intermediate_is_trusted_in_its_own_right(gateways: Gateways) -> None:
    await gateways.start(gateways.beijing)
    assert (await gateways.call(region="cn-beijing")).status == 200


@pytest.mark.parametrize("issuer", ["beijing", "public"])
async def test_another_chain_is_refused_before_anything_is_sent(
    gateways: Gateways, issuer: str
) -> None:
    authority: ChainAuthority = getattr(gateways, issuer)
    server = await gateways.start(authority, authority)
    with pytest.raises(DefiniteError, match="certificate is not trusted"):
        await gateways.call()
    assert not server.requests


async def test_root_that_only_has_the_same_name_is_refused(gateways: Gateways) -> None:
    impostor = ChainAuthority.root()
    below = impostor.intermediate("cn-hangzhou")
    server = await gateways.start(below, below, impostor)
    with pytest.raises(DefiniteError, match="certificate is not trusted"):
        await gateways.call()
    assert not server.requests


async def test_gateway_is_not_another_one(gateways: Gateways) -> None:
    other = "kst-hzz2.cryptoservice.kms.aliyuncs.com"
    server = await gateways.start(gateways.hangzhou, name=other)
    with pytest.raises(DefiniteError, match=r"certificate is not trusted .*[Hh]ostname"):
        await gateways.call()
    assert not server.requests


async def test_private_ca_vouches_for_nothing_else(gateways: Gateways) -> None:
    for host in (SHARED, f"{HOST}.evil.example"):
        server = await gateways.start(gateways.hangzhou, gateways.hangzhou, name=host)
        with pytest.raises(DefiniteError, match="certificate is not trusted"):
            await gateways.call(host)
        assert not server.requests
    await gateways.start(gateways.public, name=SHARED)
    assert (await gateways.call(SHARED)).status == 200


async def test_connection_is_used_under_the_trust_that_it_was_made_under(
    gateways: Gateways,
) -> None:
    server = await gateways.start(gateways.hangzhou)
    await gateways.call()
    await gateways.call()
    assert server.connections == 1
    with pytest.raises(DefiniteError, match="certificate is not trusted"):
        await gateways.call(region="cn-beijing")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("region", "words"),
    [("cn-nowhere", "region cn-nowhere.*SSL_CERT_FILE"), ("", "region, which is not known")],
)
async def test_region_without_a_known_ca_is_reported(
    gateways: Gateways, region: str, words: str
) -> None:
    server = await gateways.start(gateways.hangzhou)
    with pytest.raises(DefiniteError, match=f"^KMS: .*{words}") as caught:
        await gateways.call(region=region)
    assert caught.value.code == "UnknownRegionCA"
    assert not server.connections


async def test_bundle_of_the_users_goes_before_every_regions_ca(gateways: Gateways) -> None:
    own = ChainAuthority.root("Our own CA")
    bundle = gateways.folder / "bundle.pem"
    await gateways.transport.close()
    gateways.transport = gateways.trusting(DedicatedTrust(str(bundle)))
    server = await gateways.start(own)
    with pytest.raises(DefiniteError, match=r"^KMS: cannot load the CA bundle .*bundle\.pem"):
        await gateways.call()
    bundle.write_text(own.pem)
    assert (await gateways.call(region="cn-nowhere")).status == 200
    assert (await gateways.call(region="")).status == 200
    assert server.connections == 1
    await gateways.start(gateways.hangzhou, name="kst-2.cryptoservice.kms.aliyuncs.com")
    with pytest.raises(DefiniteError, match="certificate is not trusted"):
        await gateways.call("kst-2.cryptoservice.kms.aliyuncs.com")


async def test_region_of_a_call_finds_its_way(gateways: Gateways) -> None:
    await gateways.start(gateways.beijing)

    class Client(SdkTransportAdapter):
        _transport = gateways.transport

    class Nobody:
        access_key_id = access_key_secret = "x"
        security_token = ""

    params: Any = type(
        "P",
        (),
        {"action": "A", "version": "1", "protocol": "HTTPS", "pathname": "/", "method": "POST"},
    )
    request: Any = type("R", (), {"query": None, "body": None})
    call = CallContext(HOST, Nobody(), "KMS", region="cn-beijing")
    assert (await Client().call_api_async(params, request, call))["statusCode"] == 200


async def test_context_is_built_once_in_a_thread_and_survives_a_cancelled_caller(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    may_end = threading.Event()
    where: list[str] = []

    def slow(region: str) -> str:
        where.append(threading.current_thread().name)
        begun.set()
        may_end.wait(10)
        return gateways.authorities(region)

    monkeypatch.setattr(module, "authorities_of", slow)
    calls = [
        asyncio.create_task(gateways.trust.context("cn-hangzhou", what="KMS")) for _ in range(50)
    ]
    await asyncio.to_thread(begun.wait, 10)
    calls[0].cancel()
    await asyncio.sleep(0)
    may_end.set()
    contexts = await asyncio.gather(*calls[1:])
    contexts.append(await gateways.trust.context("cn-hangzhou", what="KMS"))
    assert len({id(context) for context in contexts}) == 1
    assert len(where) == 1
    assert where[0] != threading.main_thread().name


async def test_checks_of_a_context() -> None:
    context = await DedicatedTrust().context("cn-hangzhou", what="KMS")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    assert not context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
    trusted = [str(ca["subject"]) for ca in context.get_ca_certs()]
    assert len(trusted) == 2
    assert "Private KMS Root CA" in trusted[0]
    assert "Private KMS cn-hangzhou Second CA" in trusted[1]


def test_certificates_that_come_with_the_package() -> None:
    data = orjson.loads(module.PRIVATE_CAS.read_bytes())
    [root] = x509.load_pem_x509_certificates(data["root"].encode())
    root.verify_directly_issued_by(root)
    assert len(data["regions"]) == 26
    for region, pem in data["regions"].items():
        assert is_region(region)
        [intermediate] = x509.load_pem_x509_certificates(pem.encode())
        intermediate.verify_directly_issued_by(root)
        assert f"CN=Private KMS {region} Second CA" in intermediate.subject.rfc4514_string()
        assert intermediate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365)


def test_packaged_certificates_are_in_the_wheel(tmp_path: Path) -> None:
    names = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "secret_sync/cloud/private_cas.json" in names
