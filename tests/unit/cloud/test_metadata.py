"""The metadata service in both modes, and its faults; under a virtual clock where it is played."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from multidict import CIMultiDict

from secret_sync.cloud.errors import UnreachableError
from secret_sync.cloud.metadata import MetadataService
from secret_sync.cloud.transport import Reply
from secret_sync.errors import DefiniteError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from yarl import URL

    from secret_sync.cloud.transport import Transport

TOKEN_PATH = "/latest/api/token"
ROLES = "/latest/meta-data/ram/security-credentials/"
REGION = "/latest/meta-data/region-id"
TTL, TOKEN = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"


def document(**change: Any) -> bytes:
    until = datetime.now(UTC) + timedelta(hours=6)
    fields = {
        "AccessKeyId": "STS.id",
        "AccessKeySecret": "hush-key",
        "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SecurityToken": "hush-token",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "Code": "Success",
    }
    fields.update(change)
    return json.dumps(fields).encode()


@dataclass
class Node:
    """Plays the service. ``put`` and ``get`` may be a status, ``"hang"`` or ``"refuse"``."""

    put: int | str = 200
    get: int | str = 200
    role: bytes = b"worker"
    keys: bytes = field(default_factory=document)
    region: bytes = b"cn-test"
    insists: bool = False
    heals_after: int = 10**9
    requests: list[tuple[str, str]] = field(default_factory=list)

    async def send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        *,
        what: str,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the interface of Transport
    ) -> Reply:
        assert str(url).startswith("http://100.100.100.200/")
        assert (timeout.connect, timeout.total) == (1.0, 2.0)
        self.requests.append((method, url.path))
        fault = self.put if method == "PUT" else self.get
        if len(self.requests) > self.heals_after:
            fault = 200
        if fault == "hang":
            await asyncio.sleep(timeout.total or 0.0)
            raise TransientError(f"{what}: no answer in time")
        if fault == "refuse":
            await asyncio.sleep(timeout.connect or 0.0)
            raise UnreachableError(f"{what}: no connection in time")
        assert isinstance(fault, int)
        return self.answer(method, url.path, headers, fault)

    def answer(self, method: str, path: str, headers: Mapping[str, str], status: int) -> Reply:
        body = b"hush fault"
        if status == 200 and method == "PUT":
            assert headers[TTL] == "21600"
            body = b"metadata-token\n"
        elif status == 200:
            if TOKEN in headers:
                assert headers[TOKEN] == "metadata-token"
            elif self.insists:
                return Reply(403, CIMultiDict(), b"", complete=True)
            if path == ROLES and not self.role:
                status = 404
            known = {ROLES: self.role, f"{ROLES}worker": self.keys, REGION: self.region}
            body = known.get(path, b"")
        return Reply(status, CIMultiDict(), body, complete=True)


def service(node: Node) -> MetadataService:
    return MetadataService(node)  # type: ignore[arg-type] # played


@pytest.mark.looptime
@pytest.mark.parametrize("put", [200, 404, 405, 403, 400])
async def test_hardened_mode_goes_first_and_the_plain_one_serves_without(put: int) -> None:
    node = Node(put=put)
    keys = await service(node).role_credentials()
    assert node.requests == [("PUT", TOKEN_PATH), ("GET", ROLES), ("GET", f"{ROLES}worker")]
    assert (keys.access_key_id, keys.access_key_secret) == ("STS.id", "hush-key")
    assert keys.security_token == "hush-token"
    assert keys.expires_at == pytest.approx(6 * 3600.0, abs=2.0)
    assert "hush" not in f"{keys!r}{keys}"


@pytest.mark.looptime
async def test_region() -> None:
    node = Node(region=b"cn-hangzhou\n")
    assert await service(node).region_id() == "cn-hangzhou"
    assert node.requests == [("PUT", TOKEN_PATH), ("GET", REGION)]


@pytest.mark.looptime
async def test_answer_to_the_put_that_is_lost_costs_one_try() -> None:
    node = Node(put="hang")
    assert (await service(node).role_credentials()).access_key_id == "STS.id"
    assert [method for method, _ in node.requests] == ["PUT", "GET", "GET"]
    assert 2.0 <= asyncio.get_running_loop().time() < 3.0


@pytest.mark.looptime
async def test_service_that_insists_on_the_token_gets_it_after_all() -> None:
    node = Node(put="hang", insists=True, heals_after=2)
    assert (await service(node).role_credentials()).access_key_id == "STS.id"
    assert [method for method, _ in node.requests] == ["PUT", "GET", "PUT", "GET", "GET"]


@pytest.mark.looptime
@pytest.mark.parametrize("role", [b"", b"\n"])
async def test_node_without_a_role_gets_advice(role: bytes) -> None:
    node = Node(role=role)
    with pytest.raises(DefiniteError, match="--enable-worker-role=false") as caught:
        await service(node).role_credentials()
    assert caught.value.code == "WorkerRole.NotAttached"
    assert len(node.requests) == 2


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("fault", "requests", "seconds"),
    # Three tries; the first asks for a token, and after a silence the others do not.
    [("hang", 3, 6.0), ("refuse", 3, 3.0), (503, 3, 0.0), (429, 3, 0.0)],
)
async def test_service_that_is_away_is_given_up_after_three_tries(
    fault: int | str, requests: int, seconds: float
) -> None:
    for code, call in (
        ("WorkerRole.Unavailable", MetadataService.role_credentials),
        ("Metadata.Unavailable", MetadataService.region_id),
    ):
        node = Node(put=fault, get=fault)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TransientError, match="is this an ECS node") as caught:
            await call(service(node))
        took = asyncio.get_running_loop().time() - began
        assert caught.value.code == code
        assert "100.100.100.200" in caught.value.message
        assert "hush" not in caught.value.message
        assert len(node.requests) == requests
        assert seconds <= took <= seconds + 1.3
        assert caught.value.__context__ is None


@pytest.mark.looptime
async def test_fault_that_passes_is_not_noticed() -> None:
    for fault in ("hang", "refuse", 503):
        node = Node(put=fault, get=fault, heals_after=2)
        assert (await service(node).role_credentials()).access_key_id == "STS.id"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": document(Code="Failed")}, "it says Failed instead of Success"),
        ({"keys": document(Code=None)}, "it says nothing instead"),
        ({"keys": document(Code="hush hush")}, "it says nothing instead"),
        ({"keys": document(SecurityToken="")}, "holds no credentials"),
        ({"keys": document(AccessKeySecret=7)}, "holds no credentials"),
        ({"keys": document(Expiration="hush")}, "holds no credentials"),
        ({"keys": b"<html>hush"}, "it says nothing instead"),
        ({"keys": b""}, "it says nothing instead"),
        ({"role": b"<html>hush</html>"}, "unreadable"),
        ({"role": b"../hush"}, "unreadable"),
        ({"get": 500}, "HTTP 500"),
        ({"get": 401}, "HTTP 401"),
        ({"get": 302}, "HTTP 302"),
    ],
)
async def test_unusable_response_is_transient_and_not_shown(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(TransientError, match=words) as caught:
        await service(Node(**change)).role_credentials()
    assert caught.value.code == "WorkerRole.Unavailable"
    assert "hush" not in f"{caught.value!r}"
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


@pytest.mark.looptime
@pytest.mark.parametrize("region", [b"", b"<html>", b"evil.example/", b"cn test"])
async def test_invalid_region_is_rejected(region: bytes) -> None:
    with pytest.raises(TransientError, match="not the name of a region"):
        await service(Node(region=region)).region_id()


async def test_metadata_service_on_the_wire(transport: Transport, serve: Any) -> None:
    node = Node()

    async def script(n: int, writer: asyncio.StreamWriter) -> None:
        head = server.requests[n - 1].decode()
        method, path, _ = head.split("\r\n")[0].split(" ")
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        answer = node.answer(method, path, headers, 200)
        length = f"Content-Length: {len(answer.body)}"
        start = f"HTTP/1.1 {answer.status} X\r\n{length}\r\n\r\n"
        writer.write(start.encode() + answer.body)

    server = await serve(script)
    metadata = MetadataService(transport, server.authority)
    assert (await metadata.role_credentials()).access_key_id == "STS.id"
    assert await metadata.region_id() == "cn-test"
    assert metadata.endpoint == server.authority
    assert all(b"hush" not in request for request in server.requests)


async def test_unreachable_metadata_service_on_the_wire(transport: Transport, serve: Any) -> None:
    server = await serve(None)
    authority = server.authority
    await server.stop()
    with pytest.raises(TransientError, match="cannot connect") as caught:
        await MetadataService(transport, authority).role_credentials()
    assert caught.value.code == "WorkerRole.Unavailable"
