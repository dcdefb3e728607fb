"""What is silent is not unchanged: watches that bring nothing are followed by a list."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
import structlog.testing

from secret_sync.clock import loop_time as now
from secret_sync.kube import Reflector, Resource
from secret_sync.kube.errors import ApiUnavailableError
from secret_sync.kube.watch import IDLE
from tests.unit.kube.fakes import PlayedStream, ReflectorRecorder, bookmark

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import KubeClient

pytestmark = pytest.mark.looptime

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
#: Seconds from one look at what there is to the next, at most.
WITHIN = 360.0


@dataclass
class Proxy:
    """Stands before an API server and lets everything through but watches.

    Attributes:
        how: ``headers``: not even those come; ``body``: nothing after them; ``padded``: an empty
            line now and then, and the end that was asked for; ``cut``: the end after a minute;
            ``""``: bookmarks come.
    """

    how: Literal["headers", "body", "padded", "cut", ""]
    listed: list[float] = field(default_factory=list)
    opened: int = 0
    objects: list[str] = field(default_factory=list)

    async def request(self, _method: str, _path: str, **_: Any) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        self.listed.append(now())
        metadata = {"resourceVersion": "100"}
        items = [{"metadata": {"name": name}} for name in self.objects]
        return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items}

    async def stream(
        self, _path: str, *, params: dict[str, str], idle: float, **_: Any
    ) -> SilentWatch:
        if self.how == "headers":
            await asyncio.sleep(idle)
            raise ApiUnavailableError("no answer in time")
        self.opened += 1
        return SilentWatch(self, idle, now() + float(params["timeoutSeconds"]))


@dataclass
class SilentWatch(PlayedStream):
    """The answer to a watch."""

    proxy: Proxy
    idle: float
    until: float

    async def readany(self) -> bytes:
        if self.proxy.how == "body":
            await asyncio.sleep(self.idle)
            raise TimeoutError
        await asyncio.sleep(60)
        if self.proxy.how == "cut" or now() >= self.until:
            return b""
        return b"\n" if self.proxy.how == "padded" else bookmark("100")


class SilentSink:
    def __init__(self) -> None:
        self.held: set[str] = set()

    def read(self, value: dict[str, Any]) -> str:
        return str(value["metadata"]["name"])

    def replace(self, objects: list[Any], *, restored: bool = False) -> None:
        assert not restored
        self.held = set(objects)

    def newest(self) -> None:
        return None

    def event(self, sort: str, value: dict[str, Any]) -> None:
        raise AssertionError("nothing gets through")


@asynccontextmanager
async def reflecting(
    proxy: Proxy, sink: SilentSink, recorder: ReflectorRecorder
) -> AsyncIterator[Reflector]:
    reflector = Reflector(cast("KubeClient", proxy), CONFIG_MAPS, sink, recorder)
    task = asyncio.create_task(reflector.run())
    yield reflector
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("how", ["headers", "body", "padded", "cut"])
async def test_watches_that_bring_nothing_are_followed_by_lists(how: Any) -> None:
    proxy, sink, recorder = Proxy(how), SilentSink(), ReflectorRecorder()
    with structlog.testing.capture_logs() as logs:
        async with reflecting(proxy, sink, recorder) as reflector:
            await asyncio.sleep(1)
            proxy.objects = ["changed"]
            await asyncio.sleep(WITHIN - 1)
            assert sink.held == {"changed"}
            await asyncio.sleep(3600)
            assert reflector.opened is (how != "headers")
    apart = [
        later - earlier for earlier, later in zip(proxy.listed, proxy.listed[1:], strict=False)
    ]
    lists = [seconds for seconds in apart if seconds > 1]
    assert max(lists) <= WITHIN
    # Paced: no list costs more than one in four minutes.
    assert recorder.lists <= 2 + (WITHIN + 3600) / 240
    assert recorder.failures.count("silent") == recorder.lists - 1
    logged = [entry["event"] for entry in logs if entry["log_level"] == "warning"]
    assert len(logged) == 1, logged


async def test_a_quiet_kind_whose_watch_has_bookmarks_is_listed_once() -> None:
    proxy, sink, recorder = Proxy(""), SilentSink(), ReflectorRecorder()
    async with reflecting(proxy, sink, recorder) as reflector:
        await asyncio.sleep(4000)
        assert reflector.opened
    assert recorder.lists == 1
    assert recorder.failures == []


async def test_kind_whose_watch_works_again_is_listed_no_more() -> None:
    proxy, sink, recorder = Proxy("body"), SilentSink(), ReflectorRecorder()
    async with reflecting(proxy, sink, recorder):
        await asyncio.sleep(700)
        proxy.how = ""
        # The connection of before ends, and with it the list that it may have caused.
        await asyncio.sleep(IDLE + 301)
        lists = recorder.lists
        await asyncio.sleep(4000)
    assert recorder.lists == lists
