"""The rate gates of all limiter keys, which outlive the lanes that pass them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from secret_sync.cloud.limiter import RateGate

#: A gate that no lane passes is kept for so many seconds: a new one would start with a burst,
#: and would not know that the service complained a moment ago.
KEPT: Final = 600.0


class Gates:
    """One gate for each limiter key.

    Args:
        new: Builds the gate of a provider.
    """

    __slots__ = ("_gates", "_idle", "_new")

    def __init__(self, new: Callable[[str], RateGate]) -> None:
        self._new = new
        self._gates: dict[Hashable, RateGate] = {}
        # Since when nobody passes them, the longest idle first.
        self._idle: dict[Hashable, float] = {}

    def __len__(self) -> int:
        """Gates kept."""
        return len(self._gates)

    def take(self, provider: str, key: Hashable) -> RateGate:
        """The gate of a limiter key that comes into use."""
        self._forget()
        self._idle.pop(key, None)
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = self._new(provider)
        return gate

    def leave(self, key: Hashable) -> None:
        """The limiter key goes out of use."""
        self._forget()
        self._idle[key] = asyncio.get_running_loop().time()

    def _forget(self) -> None:
        horizon = asyncio.get_running_loop().time() - KEPT
        for key in [key for key, since in self._idle.items() if since < horizon]:
            del self._idle[key], self._gates[key]
