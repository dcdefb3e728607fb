"""What became of a Secret over time, and what its ExternalSecret was said to be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from tests.support.operator import SOON, polling, values_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api

    #: What the fixture ``synced`` gives: a synced object, and the watch of its Secret.
    Synced = Callable[..., AbstractAsyncContextManager["Watching"]]

FORCE_SYNC = "secret-sync.alibabacloud.com/force-sync"


class Watching:
    """Every state of one Secret while this context is open, as the API server's watch tells it.

    Attributes:
        history: The whole objects in their order, ``None`` where there was none; the first is
            what there was at the beginning.
        times: When each of them was seen, by the clock of the loop.
        deleted_at: The version of the last deletion.
    """

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/secrets?fieldSelector=metadata.name%3D{name}"
        self._one = (namespace, name)
        self.history: list[dict[str, Any] | None] = []
        self.times: list[float] = []
        self.deleted_at = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        status, found = await self._api.request("GET", self._path)
        assert status == 200, found
        self._saw(next(iter(found["items"]), None))
        begun = asyncio.Event()
        self._task = asyncio.create_task(self._watch(version_of(found), begun))
        async with asyncio.timeout(SOON):
            await begun.wait()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def states(self) -> list[dict[str, str] | None]:
        """What it held, one after the other; ``None`` while it was absent."""
        held = [None if found is None else values_of(found) for found in self.history]
        return [state for state, _ in groupby(held)]

    @property
    def absences(self) -> int:
        """How often it went away; that it was not there at the beginning is none."""
        return self.states[1:].count(None)

    async def seen_all(self) -> None:
        """Waits for the watch to have told of everything there is."""
        async with asyncio.timeout(SOON):
            while True:
                now, last = await self._api.find("Secret", *self._one), self.history[-1]
                if (now is None) == (last is None) and (
                    now is None or last is None or version_of(now) == version_of(last)
                ):
                    return
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await self._changed.wait()

    async def check(self, *complete: dict[str, str], absences: int = 0) -> None:
        """Asserts that it never held anything but these, and went away so often at most."""
        await self.seen_all()
        assert not self._task.done(), self._task
        strange = [held for held in self.states if held is not None and held not in complete]
        assert not strange, self.states
        assert self.absences <= absences, self.states

    async def _watch(self, version: str, begun: asyncio.Event) -> None:
        path = f"{self._path}&watch=true&resourceVersion={version}"
        forever = aiohttp.ClientTimeout(total=None)
        async with self._api.stream(path, forever) as reply:
            assert reply.status == 200, reply.status
            begun.set()
            async for line in reply.content:
                event = orjson.loads(line)
                assert event["type"] in {"ADDED", "MODIFIED", "DELETED"}, event
                if event["type"] == "DELETED":
                    self.deleted_at = int(version_of(event["object"]))
                    self._saw(None)
                else:
                    self._saw(event["object"])

    def _saw(self, found: dict[str, Any] | None) -> None:
        self.history.append(found)
        self.times.append(asyncio.get_running_loop().time())
        self._changed.set()


async def force_sync(api: Api, namespace: str, name: str, text: str) -> None:
    """Asks for a fetch now."""
    patch = {"metadata": {"annotations": {FORCE_SYNC: text}}}
    await api.merge("ExternalSecret", namespace, name, patch)


async def calls_of(admin: CloudAdmin, name: str) -> list[str]:
    """The codes of the answers to all calls about one KMS secret; ``""`` where it hangs."""
    return [call["code"] for call in await admin.calls(10_000) if call["subject"] == name]


async def reported(api: Api, namespace: str, name: str) -> list[tuple[str, str, str]]:
    """The Events about an ExternalSecret, oldest first: type, reason and message of each."""
    selector = f"involvedObject.kind%3DExternalSecret,involvedObject.name%3D{name}"
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector={selector}"
    status, found = await api.request("GET", path)
    assert status == 200, found
    events = sorted(found["items"], key=lambda e: int(version_of(e)))
    return [(e["type"], e["reason"], e["message"]) for e in events]


async def until_reported(
    api: Api, namespace: str, name: str, *reasons: str, within: float = SOON
) -> list[tuple[str, str, str]]:
    """Waits for the Events about an ExternalSecret to have exactly these reasons, in any order.

    Which order they were recorded in shows only among those that are not of the same second.
    """
    events: list[tuple[str, str, str]] = []
    pauses = polling()
    try:
        async with asyncio.timeout(within):
            while sorted(r for _, r, _ in events) != sorted(reasons):
                await asyncio.sleep(next(pauses))
                events = await reported(api, namespace, name)
    except TimeoutError:
        raise AssertionError(f"told after {within} s: {events}") from None
    return events


def editors_of(found: dict[str, Any]) -> set[tuple[str, str]]:
    """Field manager and operation of everybody who owns data of a Secret."""
    entries = found["metadata"]["managedFields"]
    return {(e["manager"], e["operation"]) for e in entries if "f:data" in e["fieldsV1"]}


async def post_as(api: Api, manager: str, document: dict[str, Any], namespace: str) -> Any:
    """Creates a Secret as another program does."""
    path = f"/api/v1/namespaces/{namespace}/secrets?fieldManager={manager}"
    status, body = await api.request("POST", path, document)
    assert status == 201, body
    return body


async def put_as(api: Api, manager: str, document: dict[str, Any], namespace: str) -> Any:
    """Replaces a Secret as another program does; ``None`` where it had changed meanwhile."""
    name = document["metadata"]["name"]
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager={manager}"
    status, body = await api.request("PUT", path, document)
    assert status in {200, 409}, body
    return body if status == 200 else None
