"""What may wait for something outside the process is in one place each, so that it is bounded."""

from __future__ import annotations

import ast
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

import secret_sync
from secret_sync.cloud.transport import Transport
from secret_sync.dns import Resolver
from secret_sync.kube import ClusterAccess, KubeClient
from secret_sync.kube.service_account import read_service_account
from tests.support.source import nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(secret_sync.__file__).parent


def calls() -> Iterator[tuple[str, str]]:
    """Every call in the controller and its commands: the file, and the last part of its name."""
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if place.parts[0] == "local":
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Call):
                yield str(place), ast.unparse(node.func).rpartition(".")[2]


@pytest.mark.parametrize(
    ("names", "places"),
    [
        # Its threads are waited for at the end.
        ({"ThreadPoolExecutor", "ProcessPoolExecutor"}, set()),
        # Each of these takes as long as a name server likes.
        ({"gethostbyname", "gethostbyaddr", "getfqdn", "create_connection"}, set()),
        ({"getaddrinfo"}, {"dns.py", "app/loop.py"}),
        ({"getnameinfo"}, {"dns.py"}),
        # See below.
        ({"ClientSession"}, {"cloud/transport.py", "kube/client.py"}),
    ],
)
def test_a_call_that_may_hang_is_made_where_that_is_thought_of(
    names: set[str], places: set[str]
) -> None:
    assert {place for place, name in calls() if name in names} == places


async def test_every_session_looks_names_up_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    connect = aiohttp.TCPConnector.__init__

    def recording(connector: aiohttp.TCPConnector, **options: Any) -> None:
        made.append(options)
        connect(connector, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "__init__", recording)
    access = ClusterAccess(read_service_account, "a test")
    clients = [KubeClient(access), KubeClient(access)]
    transports = [Transport(ssl_context=ssl.create_default_context()) for _ in range(2)]
    assert [options["use_dns_cache"] for options in made] == [False] * 6
    resolvers = [options["resolver"] for options in made]
    assert all(isinstance(resolver, Resolver) for resolver in resolvers)
    # Watches and requests of one client go to the same host.
    assert [resolvers.index(resolver) for resolver in resolvers] == [0, 0, 2, 2, 4, 5]
    for client in clients:
        await client.close()
    for transport in transports:
        await transport.close()
