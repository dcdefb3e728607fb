"""The rate gates of all lanes, which outlive these."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secret_sync.cloud.limiter import RateGate

#: A gate that no lane passes is kept for so many seconds: a new one would start with a burst,
#: and would not know that the service complained a moment ago.
KEPT: Final = 600.0
#: So many of these at most; beyond it the one that was idle for longest goes.
KEPT_AT_MOST: Final = 1000


class Gates:
    """One gate for each key of a lane.

    Args:
        new: Builds the gate of a provider.
    """

    __slots__ = ("_gates", "_idle", "_new")

    def __init__(self, new: Callable[[str], RateGate]) -> None:
        self._new = new
        self._gates: dict[Hashable, RateGate] = {}
        # Since when nobody passes them, the longest idle first.
        self._idle: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        """Gates kept."""
        return len(self._gates)

    def take(self, provider: str, key: Hashable) -> RateGate:
        """The gate of a key that comes into use."""
        self._forget()
        self._idle.pop(key, None)
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = self._new(provider)
        return gate

    def leave(self, key: Hashable) -> None:
        """The key goes out of use."""
        self._idle[key] = asyncio.get_running_loop().time()
        self._forget()

    def _forget(self) -> None:
        horizon = asyncio.get_running_loop().time() - KEPT
        while self._idle:
            key = next(iter(self._idle))
            if self._idle[key] >= horizon and len(self._idle) <= KEPT_AT_MOST:
                return
            del self._idle[key], self._gates[key]
