"""Honor `Retry-After` of an overloaded server, even if a key is enqueued earlier."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from secret_sync.queue.worker import Postpone, Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from secret_sync.queue.worker import Outcome

K = TypeVar("K", bound="Hashable")


class NotBefore(Generic[K]):
    """Handles keys, but none before the time that its last failure demanded.

    The queue delays the retry by itself, but an event enqueues the key at once, and an event during
    the processing of the key does so as soon as it is done.

    Args:
        handle: Works on a key.
    """

    def __init__(self, handle: Callable[[K], Awaitable[Outcome]]) -> None:
        self._handle = handle
        # Each of these keys is queued for its time or later, and removed when it is taken.
        self._until: dict[K, float] = {}

    def __len__(self) -> int:
        """Return the number of keys that are queued for a demanded time."""
        return len(self._until)

    async def __call__(self, key: K) -> Outcome:
        """Process a key, or requeue it for its time."""
        now = asyncio.get_running_loop().time()
        until = self._until.pop(key, now)
        if until > now:
            self._until[key] = until
            return Postpone(until - now)
        outcome = await self._handle(key)
        if isinstance(outcome, Retry) and outcome.after:
            self._until[key] = asyncio.get_running_loop().time() + outcome.after
        return outcome
