"""What has to be there before anything is watched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from secret_sync.errors import DefiniteError
from secret_sync.kube import SECRETS, ApiUnavailableError, Need, Resource, check
from secret_sync.kube import preflight as module
from tests.unit.kube.scripted import answering, refusing

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.scripted import Exchange, Script, ScriptedServer

KIND = Resource("example.com", "v1", "things", "Thing")
NEEDS = (Need(KIND, ("list", "watch")), Need(KIND, ("patch",), "status"))
KNOWN = answering({"resources": [{"name": "things"}, {"name": "things/status"}]})


def reviewing(*denied: str) -> Script:
    """Grants everything but what is written here as ``verb plural/subresource``."""

    async def script(exchange: Exchange) -> None:
        asked = orjson.loads(exchange.request.body)["spec"]["resourceAttributes"]
        name = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        exchange.answer({"status": {"allowed": f"{asked['verb']} {name}" not in denied}})

    return script


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    bodies = [orjson.loads(r.body) for r in server.requests if r.method == "POST"]
    return [body["spec"]["resourceAttributes"] for body in bodies]


async def test_all_is_well(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 3)
    await check(client, NEEDS, namespaces=(), hint="")
    assert server.requests[0].path == "/apis/example.com/v1"
    rights = {(a["verb"], a["resource"], a.get("subresource")) for a in asked(server)}
    assert rights == {
        ("list", "things", None),
        ("watch", "things", None),
        ("patch", "things", "status"),
    }
    assert all(a["group"] == "example.com" and "namespace" not in a for a in asked(server))


async def test_rights_are_asked_for_in_each_namespace(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 6)
    await check(client, NEEDS, namespaces=("one", "two"), hint="")
    assert sorted(a["namespace"] for a in asked(server)) == ["one"] * 3 + ["two"] * 3


async def test_a_missing_right_is_one_line(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(KNOWN)
    server.others.extend([reviewing("watch things", "patch things/status")] * 3)
    with pytest.raises(DefiniteError) as caught:
        await check(client, NEEDS, namespaces=("one",), hint="")
    assert "watch things.example.com in namespace one" in caught.value.message
    assert "patch things/status.example.com in namespace one" in caught.value.message
    assert "list things" not in caught.value.message


async def test_who_may_not_even_ask_is_let_through(
    server: ScriptedServer, client: KubeClient
) -> None:
    server.lists.append(KNOWN)
    server.others.extend([refusing(403, "Forbidden")] * 3)
    await check(client, NEEDS, namespaces=(), hint="")


@pytest.mark.parametrize("script", [answering({"resources": []}), refusing(404, "NotFound")])
async def test_a_missing_kind_comes_with_a_hint(
    server: ScriptedServer, client: KubeClient, script: Script
) -> None:
    server.lists.append(script)
    with pytest.raises(DefiniteError, match="install the CRDs"):
        await check(client, NEEDS, namespaces=(), hint="install the CRDs")


async def test_the_core_group_is_elsewhere(server: ScriptedServer, client: KubeClient) -> None:
    server.lists.append(answering({"resources": [{"name": "secrets"}]}))
    server.others.append(reviewing())
    await check(client, (Need(SECRETS, ("get",)),), namespaces=(), hint="")
    assert server.requests[0].path == "/api/v1"


async def test_a_server_that_comes_up_late_is_waited_for(
    server: ScriptedServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BETWEEN", 0.01)
    server.lists.extend([refusing(503, "ServiceUnavailable")] * 3)
    server.lists.append(KNOWN)
    server.others.extend([reviewing()] * 3)
    async with asyncio.timeout(5):
        await check(client, NEEDS, namespaces=(), hint="")


async def test_a_server_that_does_not_come_up_is_an_error(
    server: ScriptedServer, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BETWEEN", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    server.lists.extend([refusing(503, "ServiceUnavailable")] * 1000)
    async with asyncio.timeout(5):
        with pytest.raises(ApiUnavailableError):
            await check(client, NEEDS, namespaces=(), hint="")
