"""Whoever looks at the Secrets all the time, from outside and past all faults."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import orjson

from tests.chaos.holdings import read
from tests.support.operator import ready_of, values_of, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from tests.chaos.holdings import Cloudful, Holding, Wish
    from tests.support.operator import Api

#: What other writers put into a Secret; it says whose it is, and has to go.
FOREIGN: Final = "written-by-others"


class Auditor:
    """Holds every state of every managed Secret against what it may be.

    Attributes:
        complaints: What was wrong, in the order in which it was seen; no values.
        states: How many states were looked at.
    """

    def __init__(
        self, api: Api, namespace: str, wishes: Sequence[Wish], cloudful: Cloudful
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._wishes = {wish.name: wish for wish in wishes}
        self._cloudful = cloudful
        self._seen: dict[str, Holding] = {}
        self._uids: dict[str, str] = {}
        self._spoilt: set[str] = set()
        self._version = ""
        self.complaints: list[str] = []
        self.states = 0
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look())
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
    def keys(self) -> dict[str, frozenset[str]]:
        """The keys of each Secret, by its name."""
        return {name: frozenset(wish.keys) for name, wish in self._wishes.items()}

    async def until_right(self, within: float) -> float:
        """Waits for every Secret and every condition to say what is current.

        Returns:
            Seconds that it took.

        Raises:
            AssertionError: Something is not right by then; says what.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        wrong = ["not looked yet"]
        while wrong:
            if loop.time() - begun > within:
                wrong = [*wrong[:8], *(await self._untold())[:8]]
                raise AssertionError("\n  ".join([f"after {within:.0f} s:", *wrong]))
            await asyncio.sleep(0.2)
            if self._task.done():
                self._task.result()
            wrong = self.stale() or await self._untold()
        return loop.time() - begun

    def stale(self) -> list[str]:
        return [f"{name} holds what others wrote" for name in sorted(self._spoilt)] + [
            f"{name} holds {dict(held.turns) if held else 'nothing'}"
            for name, wish in self._wishes.items()
            for held in [self._seen.get(name)]
            if held is None
            or any(held.turns[source] != self._cloudful.turns[source] for source in wish.sources)
        ]

    async def _untold(self) -> list[str]:
        """Objects whose condition does not say that all is well."""
        path = f"/apis/alibabacloud.com/v1alpha1/namespaces/{self._namespace}"
        wrong = []
        for plural in ("externalsecrets", "secretstores"):
            status, found = await self._api.request("GET", f"{path}/{plural}")
            if status != 200:
                return [f"{plural} cannot be listed: {status}"]
            for item in found["items"]:
                ready = ready_of(item)
                current = ready.get("observedGeneration") == item["metadata"]["generation"]
                if ready.get("status") != "True" or not current:
                    about = f"{ready.get('reason')}: {ready.get('message')}"
                    wrong.append(f"{plural}/{item['metadata']['name']} is {about}")
        return wrong

    async def _look(self) -> None:
        while True:
            # The API server is killed now and then; nothing else is in between.
            with suppress(aiohttp.ClientError, TimeoutError):
                self._version = self._version or await self._list()
                if self._version:
                    await self._watch()
            await asyncio.sleep(0.1)

    async def _list(self) -> str:
        status, found = await self._api.request("GET", self._path)
        if status != 200:
            return ""
        items = {item["metadata"]["name"]: item for item in found["items"]}
        for name in self._wishes:
            if name in items:
                self._check(name, items[name])
            elif name in self._seen:
                self.complaints.append(f"{name}: it is gone")
        return version_of(found)

    async def _watch(self) -> None:
        """Goes on from where it was, so that no state is passed over; else lists next time."""
        query = f"watch=true&allowWatchBookmarks=true&resourceVersion={self._version}"
        forever = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=20)
        async with self._api.stream(f"{self._path}?{query}", forever) as reply:
            if reply.status != 200:
                # One that starts is not ready, and knows all the same what was.
                self._version = "" if reply.status == 410 else self._version
                return
            async for line in reply.content:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    self._version = ""
                    return
                self.happened(event["type"], event["object"])
                self._version = version_of(event["object"])

    def happened(self, sort: str, secret: dict[str, Any]) -> None:
        name = secret["metadata"].get("name", "")
        if sort == "BOOKMARK" or name not in self._wishes:
            return
        if sort == "DELETED":
            self.complaints.append(f"{name}: it was deleted")
        else:
            self._check(name, secret)

    def _check(self, name: str, secret: dict[str, Any]) -> None:
        self.states += 1
        uid = secret["metadata"]["uid"]
        if uid != self._uids.setdefault(name, uid):
            self.complaints.append(f"{name}: it is another one")
        values = values_of(secret)
        if FOREIGN in values.values():
            self._spoilt.add(name)
            return
        self._spoilt.discard(name)
        held = read(self._wishes[name], values)
        if isinstance(held, str):
            self.complaints.append(f"{name}: {held}")
            return
        before = self._seen.get(name)
        for source, turn in held.turns.items():
            if turn > self._cloudful.turns[source]:
                self.complaints.append(f"{name}: version {turn} of {source} never was")
            if before is not None and turn < before.turns[source]:
                self.complaints.append(
                    f"{name}: from version {before.turns[source]} back to {turn} of {source}"
                )
        self._seen[name] = held
