"""A provider that returns what a test wants, and credentials that last or expire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from secret_sync.clock import loop_time as now
from secret_sync.credentials import CredentialKey, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

Outcome = Credentials | Exception


class ScriptedProvider:
    """Each fetch takes a while and then ends as the script says; its last outcome repeats."""

    base = None

    def __init__(
        self, *outcomes: Outcome | Callable[[], Outcome], takes: float = 0.1, name: str = "a"
    ) -> None:
        self.key = CredentialKey("Scripted", (name,))
        self.outcomes = list(outcomes)
        self.takes = takes
        self.started: list[float] = []
        self.cancelled = 0

    async def fetch(self, base: Credentials | None) -> Credentials:
        self.started.append(now())
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def permanent(name: str = "LTAI") -> Credentials:
    return Credentials(name, "secret")


def lasting(seconds: float) -> Callable[[], Credentials]:
    """Temporary credentials that live so long from the moment they are obtained."""
    return lambda: Credentials(f"STS.{now()}", "secret", "token", now() + seconds)


def ignore() -> None:
    pass
