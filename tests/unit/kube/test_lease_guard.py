"""Fenced writes: what a client asks its guard, and what it sends to the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from secret_sync.kube import ApiError, ApiUnavailableError
from tests.unit.kube.fakes import closing, refusing, storing

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ScriptedServer

PATH = "/api/v1/namespaces/ns/configmaps/one"


@dataclass
class Guard:
    """Lets so many questions pass."""

    passes: int = 1000
    asked: list[float] = field(default_factory=list)
    write_timeout: float = 8.0

    def may_start(self, seconds: float) -> bool:
        self.asked.append(seconds)
        return len(self.asked) <= self.passes


@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT", "DELETE"])
async def test_a_write_asks_and_says_how_long_it_has(
    server: ScriptedServer, client: KubeClient, method: str
) -> None:
    guard = Guard()
    client.guard_writes(guard)
    await client.request(method, PATH, params={"fieldManager": "x"}, body={"a": 1})
    (request,) = server.requests
    assert request.query == {"fieldManager": "x", "timeout": "8s"}
    assert request.headers["content-type"] == "application/json"
    assert request.body == b'{"a":1}'
    # Before anything, and when it is about to be sent.
    assert guard.asked == [8.0] * 2


async def test_the_body_is_sent_when_the_server_has_begun_to_count(
    server: ScriptedServer, client: KubeClient
) -> None:
    guard = Guard()
    client.guard_writes(guard)
    server.continues = False
    server.others.append(refusing(429, "TooManyRequests"))
    with pytest.raises(ApiError):
        await client.request("PATCH", PATH, body={"a": 1})
    assert server.requests[0].body == b""
    assert len(guard.asked) == 1
    # What has not got its body is no connection for the next one.
    server.continues = True
    await client.request("PATCH", PATH, body={"a": 2})
    assert server.requests[1].body == b'{"a":2}'
    assert server.connections == 2


async def test_reading_asks_nobody(server: ScriptedServer, client: KubeClient) -> None:
    guard = Guard(passes=0)
    client.guard_writes(guard)
    await client.request("GET", PATH)
    assert server.requests[0].query == {}
    assert guard.asked == []


async def test_without_a_guard_nothing_is_said(server: ScriptedServer, client: KubeClient) -> None:
    await client.request("PATCH", PATH, body={})
    assert server.requests[0].query == {}
    assert "expect" not in server.requests[0].headers


async def test_write_that_the_guard_refuses_is_not_sent(
    server: ScriptedServer, client: KubeClient
) -> None:
    client.guard_writes(Guard(passes=0))
    with pytest.raises(ApiUnavailableError, match="not sent"):
        await client.request("PATCH", PATH, body={})
    with pytest.raises(ApiUnavailableError, match="not sent"):
        await client.request("DELETE", PATH)
    assert server.connections == 0


@pytest.mark.parametrize("size", [1, 2 * 1024 * 1024])
async def test_a_process_that_was_frozen_on_the_way_sends_nothing(
    server: ScriptedServer, client: KubeClient, size: int
) -> None:
    client.guard_writes(Guard(passes=1))
    with pytest.raises(ApiUnavailableError):
        await client.request("PATCH", PATH, body={"a": "x" * size})
    assert server.requests == []


async def test_large_body_arrives_whole(server: ScriptedServer, client: KubeClient) -> None:
    client.guard_writes(Guard())
    await client.request("PATCH", PATH, body={"a": "x" * 2_000_000})
    assert len(server.requests[0].body) == 2_000_008


async def test_guard_is_asked_again_before_a_second_try(
    server: ScriptedServer, client: KubeClient
) -> None:
    guard = Guard(passes=2)
    client.guard_writes(guard)
    server.others.append(refusing(401, "Unauthorized"))
    with pytest.raises(ApiUnavailableError, match="not sent"):
        await client.request("PATCH", PATH, body={})
    guard = Guard(passes=4)
    client.guard_writes(guard)
    server.others.extend([storing(), closing()])
    await client.request("PATCH", PATH, body={})
    with pytest.raises(ApiUnavailableError, match="not sent"):
        await client.request("PATCH", PATH, body={})
    assert len(server.requests) == 3
