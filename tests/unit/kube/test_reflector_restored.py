"""An API server whose etcd was restored from a backup is listed, and its informer says so."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog.testing

from secret_sync.kube import Informer, Resource, WatchedNamespaces
from secret_sync.kube.errors import ApiUnavailableError, error_of_status
from secret_sync.resources.meta import ObjectMeta
from tests.unit.kube.fakes import PlayedStream, ReflectorRecorder, bookmark, event, item, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import KubeClient

pytestmark = pytest.mark.looptime

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
BACKUP = ((90, "a"), (95, "b"))


@dataclass(frozen=True)
class ConfigMap(ObjectMeta):
    @classmethod
    def of(cls, value: dict[str, Any]) -> ConfigMap:
        found = value["metadata"]
        return cls(found["namespace"], found["name"], found["uid"], found["resourceVersion"])


@dataclass
class RestoredServer:
    """An API server that loses time.

    As the real one does, it leaves out of a watch what is no newer than the version that this
    began at, bookmarks included.
    """

    version: int = 100
    history: list[tuple[int, str]] = field(default_factory=lambda: [*BACKUP])
    forgotten: int = 0
    up: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    lists: int = 0
    looks: int = 0

    @property
    def objects(self) -> dict[str, int]:
        return self.at(self.version)

    def at(self, version: int) -> dict[str, int]:
        return {name: v for v, name in self.history if v <= version}

    def write(self, name: str) -> None:
        self.version += 1
        self.history.append((self.version, name))
        self._move()

    async def outage(self, seconds: float = 20.0, **state: Any) -> None:
        self.up = False
        self._move()
        await asyncio.sleep(seconds)
        for name, value in state.items():
            setattr(self, name, value)
        self.up = True

    def _move(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def request(self, _method: str, _path: str, *, params: dict[str, str], **_: Any) -> Any:
        await asyncio.sleep(0.01)
        if not self.up:
            raise ApiUnavailableError("connection refused")
        wanted = params.get("fieldSelector", "").removeprefix("metadata.name=")
        whole = not wanted and params["limit"] != "1"
        self.lists += whole
        self.looks += not whole
        at = int(params.get("resourceVersion") or self.version)
        if not self.forgotten <= at <= self.version:
            raise error_of_status("list", status_of(410, "Expired"))
        items = [item(n, str(v)) for n, v in self.at(at).items() if wanted in ("", n)]
        metadata = {"resourceVersion": str(self.version)}
        return {
            "kind": "ConfigMapList",
            "apiVersion": "v1",
            "metadata": metadata,
            "items": items if whole or wanted else items[:1],
        }

    async def stream(self, _path: str, *, params: dict[str, str], **_: Any) -> RestoredWatch:
        await asyncio.sleep(0.01)
        if not self.up:
            raise ApiUnavailableError("connection refused")
        return RestoredWatch(self, int(params["resourceVersion"]))


@dataclass
class RestoredWatch(PlayedStream):
    server: RestoredServer
    seen: int

    async def readany(self) -> bytes:
        server = self.server
        while True:
            if not server.up:
                raise ConnectionResetError
            new = [(v, n) for n, v in server.objects.items() if v > self.seen]
            if new:
                self.seen, name = min(new)
                return event("MODIFIED", item(name, str(self.seen)))
            with suppress(TimeoutError):
                async with asyncio.timeout(60):
                    await server.changed.wait()
                    continue
            if server.version > self.seen:
                self.seen = server.version
                return bookmark(str(server.version))


@dataclass
class RestoredHarness:
    server: RestoredServer
    informer: Informer[ConfigMap]
    recorder: ReflectorRecorder
    restored: list[str]

    @property
    def held(self) -> dict[str, int]:
        return {o.name: int(o.resource_version) for o in self.informer.store.values()}


@asynccontextmanager
async def watching(namespace: str = "") -> AsyncIterator[RestoredHarness]:
    server, recorder = RestoredServer(), ReflectorRecorder()
    restored: list[str] = []
    namespaces = (namespace,) if namespace else ()
    informer = Informer(
        cast("KubeClient", server),
        CONFIG_MAPS,
        ConfigMap.of,
        recorder,
        namespaces=WatchedNamespaces(namespaces),
    )
    informer.add_restore_handler(restored.append)
    task = asyncio.create_task(informer.run())
    await asyncio.sleep(70)
    yield RestoredHarness(server, informer, recorder, restored)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("namespace", ["", "ns"])
async def test_lower_versions_cause_a_list_at_once_and_are_reported(namespace: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with watching(namespace) as harness:
            harness.server.write("a")
            await asyncio.sleep(0.1)
            await harness.server.outage(version=95, history=[*BACKUP])
            await asyncio.sleep(16)
            assert harness.held == {"a": 90, "b": 95}
            assert harness.restored == [namespace]
            # Edits are seen, also while versions are lower than those of before.
            harness.server.write("b")
            await asyncio.sleep(0.1)
            assert harness.held == {"a": 90, "b": 96}
    assert harness.recorder.failures.count("restored") == 1
    assert len([e for e in logs if "back in time" in e["event"]]) == 1


async def test_versions_that_have_been_overtaken_meanwhile_are_found_by_the_newest_object() -> None:
    """Whoever comes back first writes much; the number of the collection means nothing then."""
    async with watching() as harness:
        harness.server.write("a")
        await asyncio.sleep(0.1)
        await harness.server.outage(version=400, history=[*BACKUP])
        await asyncio.sleep(16)
        assert harness.held == {"a": 90, "b": 95}
        assert harness.restored == [""]


async def test_a_newest_object_that_is_gone_is_found_by_the_others() -> None:
    async with watching() as harness:
        harness.server.write("a")
        harness.server.write("new")
        await asyncio.sleep(0.1)
        await harness.server.outage(version=400, history=[*BACKUP])
        await asyncio.sleep(16)
        assert harness.held == {"a": 90, "b": 95}
        assert harness.restored == [""]


async def test_a_restore_that_no_connection_noticed_is_found_when_the_watch_was_silent() -> None:
    async with watching() as harness:
        harness.server.write("a")
        await asyncio.sleep(0.1)
        harness.server.version, harness.server.history = 95, [*BACKUP]
        await asyncio.sleep(360)
        assert harness.held == {"a": 90, "b": 95}
        assert harness.restored == [""]


async def test_a_list_that_an_outage_of_minutes_leads_to_finds_it_too() -> None:
    async with watching() as harness:
        harness.server.write("a")
        await asyncio.sleep(0.1)
        await harness.server.outage(900, version=400, history=[*BACKUP])
        await asyncio.sleep(16)
        assert harness.held == {"a": 90, "b": 95}
        assert harness.restored == [""]


async def test_outage_alone_costs_one_read_and_no_list() -> None:
    async with watching() as harness:
        harness.server.write("a")
        await asyncio.sleep(1)
        await harness.server.outage()
        await asyncio.sleep(16)
        harness.server.write("b")
        await asyncio.sleep(0.1)
        assert harness.held == {"a": 101, "b": 102}
        assert (harness.server.lists, harness.server.looks) == (1, 1)
        assert harness.restored == []


async def test_an_edit_while_the_connection_was_broken_is_no_restore() -> None:
    async with watching() as harness:
        outage = asyncio.create_task(harness.server.outage())
        await asyncio.sleep(1)
        harness.server.write("b")
        await outage
        await asyncio.sleep(16)
        assert harness.held == {"a": 90, "b": 101}
        assert harness.restored == []
        # It was looked at as it was before, too, and nothing was listed.
        assert (harness.server.lists, harness.server.looks) == (1, 2)


async def test_kind_with_an_expired_version_is_listed() -> None:
    async with watching() as harness:
        outage = asyncio.create_task(harness.server.outage())
        await asyncio.sleep(1)
        harness.server.write("b")
        harness.server.forgotten = harness.server.version
        await outage
        await asyncio.sleep(16)
        assert harness.held == {"a": 90, "b": 101}
        assert harness.restored == []
        assert harness.recorder.failures.count("expired") == 1
