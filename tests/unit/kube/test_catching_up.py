"""Before a new leader writes: what is held is no older than the API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.backoff import Backoff
from secret_sync.kube import ApiUnavailableError, Reflector, Resource
from secret_sync.kube import reflector as module
from tests.unit.kube.fakes import (
    bookmark,
    event,
    eventually,
    item,
    listing,
    refusing,
    stalling,
    streaming,
)

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import Exchange, ReflectorRecorder, ScriptedServer

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


class HeldNames:
    def __init__(self) -> None:
        self.held: set[str] = set()

    def read(self, value: dict[str, Any]) -> str:
        name: str = value["metadata"]["name"]
        return name

    def replace(self, objects: list[Any], *, restored: bool = False) -> None:
        self.held = set(objects)

    def newest(self) -> None:
        return None

    def event(self, _sort: str, value: dict[str, Any]) -> None:
        self.held.add(value["metadata"]["name"])


@pytest.fixture
def sink() -> HeldNames:
    return HeldNames()


@pytest.fixture
async def reflector(
    client: KubeClient,
    sink: HeldNames,
    recorder: ReflectorRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    monkeypatch.setattr(module, "CATCH_UP", 0.2)
    monkeypatch.setattr(module, "CATCH_UP_UNORDERED", 0.4)
    reflector = Reflector(client, CONFIG_MAPS, sink, recorder)
    task = asyncio.create_task(reflector.run())
    yield reflector
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_silent_watch_is_replaced_by_a_list(
    server: ScriptedServer, reflector: Reflector, sink: HeldNames
) -> None:
    server.watches.append(stalling())
    await eventually(lambda: bool(server.watched))
    server.lists.extend([listing(rv="200"), listing(item("missed"), rv="201")])
    await reflector.catch_up()
    assert sink.held == {"missed"}
    # One object is enough to learn the version, and no version is asked for: the newest counts.
    assert server.listed[1].query == {"limit": "1"}
    assert server.listed[2].query == {"limit": "500"}


@pytest.mark.parametrize(
    "last", [event("ADDED", item("late", "200")), event("ADDED", item("late", "201"))]
)
async def test_a_watch_that_gets_there_is_kept(
    server: ScriptedServer, reflector: Reflector, sink: HeldNames, last: bytes
) -> None:
    asked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        exchange.begin()
        await asked.wait()
        await exchange.send(last)
        await exchange.stall()

    async def version(exchange: Exchange) -> None:
        asked.set()
        await listing(rv="200")(exchange)

    server.watches.append(script)
    await eventually(lambda: bool(server.watched))
    server.lists.append(version)
    await reflector.catch_up()
    assert sink.held == {"late"}
    assert len(server.listed) == 2
    assert len(server.watched) == 1


async def test_a_bookmark_counts(server: ScriptedServer, reflector: Reflector) -> None:
    server.watches.append(streaming(bookmark("300"), stall=True))
    await eventually(lambda: reflector.resource_version == "300")
    server.lists.append(listing(rv="300"))
    await reflector.catch_up()
    assert len(server.listed) == 2


async def test_an_api_server_that_was_restored_from_a_backup_is_listed(
    server: ScriptedServer, reflector: Reflector, sink: HeldNames
) -> None:
    server.watches.append(streaming(bookmark("300"), stall=True))
    await eventually(lambda: reflector.resource_version == "300")
    server.lists.extend([listing(rv="250"), listing(item("restored"), rv="251")])
    await reflector.catch_up()
    assert sink.held == {"restored"}


async def test_versions_without_an_order_have_to_be_equal(
    server: ScriptedServer, reflector: Reflector
) -> None:
    server.watches.append(streaming(bookmark("b7"), stall=True))
    await eventually(lambda: reflector.resource_version == "b7")
    server.lists.append(listing(rv="b7"))
    await reflector.catch_up()
    assert len(server.listed) == 2
    server.lists.extend([listing(rv="a6"), listing(rv="c8")])
    await reflector.catch_up()
    assert len(server.listed) == 4


async def test_response_without_a_version_is_no_confirmation(
    server: ScriptedServer, reflector: Reflector
) -> None:
    server.watches.append(stalling())
    await eventually(lambda: bool(server.watched))
    server.lists.append(refusing(503, "ServiceUnavailable"))
    with pytest.raises(ApiUnavailableError):
        await reflector.catch_up()


async def test_the_list_is_tried_until_it_succeeds(
    server: ScriptedServer, reflector: Reflector, sink: HeldNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACKOFF", Backoff(base=0.01))
    server.watches.append(stalling())
    await eventually(lambda: bool(server.watched))
    server.lists.extend(
        [listing(rv="200"), refusing(503, "ServiceUnavailable"), listing(item("a"), rv="201")]
    )
    await reflector.catch_up()
    assert sink.held == {"a"}
