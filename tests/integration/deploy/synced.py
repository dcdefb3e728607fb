"""What a controller has synced, which nothing that is done to the controller may touch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.operator import Api


class Synced:
    """An ExternalSecret and its Secret, as they once were."""

    def __init__(self, api: Api, home: str) -> None:
        self._api, self._home = api, home
        self._before: list[dict[str, Any]] = []

    async def objects(self) -> list[dict[str, Any]]:
        kinds = ("ExternalSecret", "Secret")
        return [await self._api.get(kind, self._home, "some") for kind in kinds]

    async def remember(self) -> None:
        self._before = await self.objects()

    async def check(self) -> None:
        # The garbage collector needs no longer than this where somebody is to go with its owner.
        await asyncio.sleep(0.3)
        assert await self.objects() == self._before
