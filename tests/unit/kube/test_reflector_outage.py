"""A reflector after an outage of the API server, under a virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog.testing

from secret_sync.clock import loop_time as now
from secret_sync.kube import ApiRefusedError, Reflector, Resource
from secret_sync.kube.errors import ApiUnavailableError, error_of_status
from secret_sync.kube.reflector import LONGEST_WAIT
from tests.unit.kube.fakes import PlayedStream, ReflectorRecorder, bookmark, event, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import ApiError, KubeClient

pytestmark = pytest.mark.looptime

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
EXPIRED = status_of(410, "Expired")


@dataclass
class OutageWatch(PlayedStream):
    """The answer to a watch: some lines, and then silence until the server goes away."""

    server: OutageServer
    lines: list[bytes]

    async def readany(self) -> bytes:
        if self.lines:
            return self.lines.pop(0)
        await self.server.gone.wait()
        return b""


@dataclass
class OutageServer:
    """An API server that goes away, and whose history is gone when it comes back.

    Attributes:
        expires: In which shape a version of before is refused: ``status``, ``event`` or ``bare``.
        refusals: What the next lists are refused with.
        expiring: How many watches are refused, whatever their version.
    """

    expires: str = "status"
    refusals: list[ApiError] = field(default_factory=list)
    expiring: int = 0
    up: bool = True
    version: int = 100
    listed: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def outage(self, seconds: float) -> float:
        """Be away for so long; the time when it is back."""
        self.up = False
        self.gone.set()
        await asyncio.sleep(seconds)
        self.gone = asyncio.Event()
        self.version += 100
        self.up = True
        return now()

    async def request(self, _method: str, _path: str, **_: Any) -> dict[str, Any]:
        await self._answer()
        self.listed.append(now())
        if self.refusals:
            raise self.refusals.pop(0)
        metadata = {"resourceVersion": str(self.version)}
        return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": []}

    async def stream(self, _path: str, *, params: dict[str, str], **_: Any) -> OutageWatch:
        await self._answer()
        self.watched.append(now())
        expired = int(params["resourceVersion"]) < self.version or self.expiring > 0
        self.expiring -= 1
        if not expired:
            self.opened.append(now())
            return OutageWatch(self, [bookmark(str(self.version))])
        if self.expires == "status":
            raise error_of_status("watch", EXPIRED)
        bare = event("ERROR", EXPIRED) if self.expires == "event" else b"%s" % _bare()
        return OutageWatch(self, [bare])

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if not self.up:
            raise ApiUnavailableError("connection refused")


def _bare() -> bytes:
    return event("", EXPIRED).partition(b'"object":')[2].rstrip(b"}\n") + b"}\n"


class IgnoringSink:
    def read(self, value: dict[str, Any]) -> Any:
        return value

    def replace(self, objects: list[Any], *, restored: bool = False) -> None:
        pass

    def newest(self) -> None:
        return None

    def event(self, sort: str, value: dict[str, Any]) -> None:
        pass


@pytest.fixture(autouse=True)
def _longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)


@asynccontextmanager
async def reflecting(server: OutageServer, recorder: ReflectorRecorder) -> AsyncIterator[None]:
    client = cast("KubeClient", server)
    task = asyncio.create_task(Reflector(client, CONFIG_MAPS, IgnoringSink(), recorder).run())
    await asyncio.sleep(60)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("expires", ["status", "event", "bare"])
@pytest.mark.parametrize("seconds", [1.0, 5.0, 30.0, 300.0])
async def test_after_an_outage_there_is_one_wait_at_most(expires: str, seconds: float) -> None:
    server, recorder = OutageServer(expires), ReflectorRecorder()
    async with reflecting(server, recorder):
        # A second one, within the time that the waits of the first one are remembered for.
        for _ in range(2):
            back = await server.outage(seconds)
            await asyncio.sleep(40)
            first = next(at for at in server.watched if at >= back)
            assert first - back <= LONGEST_WAIT + 0.1
            listed = next(at for at in server.listed if at >= back)
            opened = next(at for at in server.opened if at >= back)
            assert listed - first <= 0.1, "listed at once"
            assert opened - listed <= 0.1
    assert recorder.lists == 3


async def test_a_short_outage_is_a_short_wait() -> None:
    server, recorder = OutageServer(), ReflectorRecorder()
    async with reflecting(server, recorder):
        back = await server.outage(5.0)
        await asyncio.sleep(20)
    assert server.opened[-1] - back <= 3


async def test_a_server_that_is_not_ready_yet_is_asked_as_if_it_had_not_been_away() -> None:
    server, recorder = OutageServer(), ReflectorRecorder()
    async with reflecting(server, recorder):
        server.refusals = [
            ApiRefusedError("no RBAC yet", status=403),
            ApiUnavailableError("", status=503),
        ]
        await server.outage(300.0)
        await asyncio.sleep(60)
    refused, again, ready = server.listed[-3:]
    assert again - refused < 1.0
    assert ready - again < 2.0


async def test_a_server_to_which_every_version_is_too_old_is_not_listed_in_a_loop() -> None:
    server, recorder = OutageServer(expiring=10**6), ReflectorRecorder()
    async with reflecting(server, recorder):
        await asyncio.sleep(540)
    assert server.listed[1] - server.listed[0] <= 0.1
    assert len(server.listed) <= 2 + 5 + 600 / LONGEST_WAIT


async def test_watch_that_falls_silent_in_between_is_not_listed_in_a_loop() -> None:
    """As behind a balancer with one server that is away and one that knows no version."""
    server, recorder = OutageServer(expiring=10**6), ReflectorRecorder()
    async with reflecting(server, recorder):
        for _ in range(600):
            server.up = not server.up
            await asyncio.sleep(1)
        lately = [at for at in server.listed if at > now() - 300]
    assert len(lately) <= 2 * 300 / LONGEST_WAIT


async def test_each_outage_is_logged_once() -> None:
    server, recorder = OutageServer(), ReflectorRecorder()
    with structlog.testing.capture_logs() as logs:
        async with reflecting(server, recorder):
            for _ in range(2):
                await server.outage(60.0)
                await asyncio.sleep(60)
    logged = [(entry["log_level"], entry["event"]) for entry in logs]
    assert [what for what in logged if what[0] == "warning"] == [
        ("warning", "watch failed, will retry")
    ] * 2
    assert logged.count(("info", "connected again")) == 2


async def test_expiry_that_is_waited_for_is_logged() -> None:
    server, recorder = OutageServer(expiring=5), ReflectorRecorder()
    with structlog.testing.capture_logs() as logs:
        async with reflecting(server, recorder):
            pass
    assert [entry["event"] for entry in logs] == [
        "watch expired, listing again",
        "watch failed, will retry",
        "connected again",
    ]
    assert recorder.failures == ["expired"] * 5
