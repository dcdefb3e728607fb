"""A pod that reads a Secret all the time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Self

from tests.support.operator import path_of, values_of
from tests.support.watching import Watching

if TYPE_CHECKING:
    from types import TracebackType

    from tests.support.operator import Api

_EVERY = 0.01


class WorkloadReader:
    """Reads it every ten milliseconds; a watch sees what comes and goes between two reads."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._path = path_of("Secret", namespace, name)
        self._watching = Watching(api, namespace, name)
        self.reads = 0
        self._seen: list[dict[str, str] | None] = []
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._watching.__aenter__()
        self._task = asyncio.create_task(self._read())
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
        await self._watching.__aexit__(exc_type, exc, traceback)

    @property
    def seen(self) -> list[dict[str, str] | None]:
        """What it held, one after the other, as far as reads tell."""
        return [state for state, _ in groupby(self._seen)]

    async def check(self, *complete: dict[str, str]) -> None:
        """Asserts that it was always there, and held nothing but these."""
        reads = self.reads
        async with asyncio.timeout(3):
            while self.reads < reads + 3:
                assert not self._task.done(), self._task
                await asyncio.sleep(_EVERY)
        assert self.reads > 10
        strange = [held for held in self._seen if held not in complete]
        assert not strange, self.seen
        await self._watching.check(*complete)

    async def _read(self) -> None:
        while True:
            status, found = await self._api.request("GET", self._path)
            assert status in {200, 404}, found
            self._seen.append(values_of(found) if status == 200 else None)
            self.reads += 1
            await asyncio.sleep(_EVERY)
