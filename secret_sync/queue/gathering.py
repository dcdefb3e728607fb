"""Keys that come in crowds, and again and again: collected for a moment, handled once."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Gathering(Generic[K, V]):
    """Collects keys for a moment, then handles each one once, in slices.

    *Something gathered implies a run to come*, also after a key whose handling raised.

    Args:
        handle: Called with a key and its value. What it raises concerns that key alone, and is
            reported to the event loop.
        merge: Return the value that counts of two of one key.
        seconds: From the first key until the keys are handled.
        at_once: Keys that are handled before the event loop has its turn.
    """

    def __init__(
        self,
        handle: Callable[[K, V], None],
        *,
        merge: Callable[[V, V], V],
        seconds: float,
        at_once: int,
    ) -> None:
        self._handle = handle
        self._merge = merge
        self._seconds = seconds
        self._at_once = at_once
        self._gathered: dict[K, V] = {}
        # How many of the first of them belong to the run that is under way.
        self._left = 0
        # Whether a run is scheduled; so while anything is gathered, but for the run itself.
        self._scheduled = False

    def get(self, key: K) -> V | None:
        """Return the value of a key that is still to be handled."""
        return self._gathered.get(key)

    def add(self, key: K, value: V) -> None:
        """Have a key handled soon."""
        if key in self._gathered:
            value = self._merge(self._gathered[key], value)
        self._gathered[key] = value
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(self._seconds, self._run)

    def _run(self) -> None:
        left = self._left or len(self._gathered)
        keys = list(islice(self._gathered, min(left, self._at_once)))
        self._left = left - len(keys)
        loop = asyncio.get_running_loop()
        try:
            for key in keys:
                self._handle(key, self._gathered.pop(key))
        finally:
            self._scheduled = bool(self._gathered)
            # What came meanwhile is gathered, too.
            if self._left:
                loop.call_soon(self._run)
            elif self._scheduled:
                loop.call_later(self._seconds, self._run)
