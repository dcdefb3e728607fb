"""New objects in a namespace, one after the other, and how long each waits until it is Ready."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from benchmarks.parse import document
from benchmarks.world import API_VERSION, EXTERNAL_SECRETS, STORE, external_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from benchmarks.world import World

#: Seconds between two plain ones; every second of them has a document beside it.
EVERY: Final = 0.5
#: Seconds after which the last of them is waited for no longer.
_PATIENCE: Final = 30.0
_DOCUMENT_BYTES: Final = 8 * 1024
_WARM_UP_WITHIN: Final = 30.0


class Newcomers:
    """Creates them and watches what becomes of them.

    Args:
        world: Where.
        namespace: Its namespace; has a store.
        prefix: Of all names.
    """

    def __init__(self, world: World, namespace: str, prefix: str) -> None:
        self._world = world
        self._namespace = namespace
        self._prefix = prefix
        self._sent: dict[str, float] = {}
        self._ready: dict[str, float] = {}

    @classmethod
    @asynccontextmanager
    async def watch(cls, world: World, namespace: str, prefix: str) -> AsyncIterator[Newcomers]:
        """Watch the namespace's ExternalSecrets meanwhile."""
        newcomers = cls(world, namespace, prefix)
        path = EXTERNAL_SECRETS.format(namespace)
        async with world.api.get(path, params={"limit": "1"}) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
        async with world.api.get(path, params=params) as response:
            response.raise_for_status()
            reading = asyncio.create_task(newcomers.read(response))
            try:
                yield newcomers
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Note when each becomes Ready, until cancelled."""
        async for line in response.content:
            now = time.monotonic()
            found = orjson.loads(line)["object"]
            conditions = found.get("status", {}).get("conditions", ())
            if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                self._ready.setdefault(found["metadata"]["name"], now)

    async def warm_up(self) -> None:
        """Have everything imported, connected and paid for that the first objects need.

        Raises:
            TimeoutError: They are not Ready in time, with nothing hostile there.
        """
        await self._plain("first")
        await self._with_document("first")
        async with asyncio.timeout(_WARM_UP_WITHIN):
            await self._all_ready()
        self._sent.clear()

    async def arrive(self, seconds: float, over: asyncio.Event | None = None) -> None:
        """Create one after the other, for so many seconds or until it is over."""
        began = time.monotonic()
        number = 0
        while (now := time.monotonic() - began) < seconds and not (over and over.is_set()):
            await asyncio.sleep(max(0.0, number * EVERY - now))
            await self._plain(str(number))
            if number % 2 == 0:
                await self._with_document(str(number))
            number += 1

    async def waits(self) -> tuple[float, float]:
        """Return the longest wait of a plain one and of one with a document; seconds.

        One that is not Ready after half a minute more has waited until now.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._all_ready()
        now = time.monotonic()
        kinds: dict[str, float] = {"plain": 0.0, "document": 0.0}
        for name, sent in self._sent.items():
            kind = name.rsplit("-", 2)[1]
            kinds[kind] = max(kinds[kind], self._ready.get(name, now) - sent)
        return kinds["plain"], kinds["document"]

    async def _all_ready(self) -> None:
        while self._sent.keys() - self._ready.keys():  # noqa: ASYNC110 (another process's)
            await asyncio.sleep(EVERY / 10)

    async def _plain(self, number: str) -> None:
        name = f"{self._prefix}-plain-{number}"
        await self._world.admin.put_secrets({name: f"value of {name}"})
        await self._create(external_secret(name, name))

    async def _with_document(self, number: str) -> None:
        """Create one that picks and one that extracts, from a document that no other has."""
        name = f"{self._prefix}-document-{number}"
        text = document("YAML", _DOCUMENT_BYTES).decode() + f"own: {name}\n"
        await self._world.admin.put_secrets({name: text})
        ref = {"name": STORE}
        pick = {"path": "own", "objectAlias": "own"}
        spec = {
            "data": [{"key": name, "jmesPath": [pick], "secretStoreRef": ref}],
            "dataProcess": [{"extract": {"key": name, "secretStoreRef": ref}}],
        }
        metadata = {"name": name}
        body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "ExternalSecret"}
        await self._create({**body, "metadata": metadata, "spec": spec})

    async def _create(self, body: dict[str, Any]) -> None:
        self._sent[body["metadata"]["name"]] = time.monotonic()
        await self._world.post(EXTERNAL_SECRETS.format(self._namespace), body)
