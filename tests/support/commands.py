"""What runs ``secret-sync`` in a test, and what that came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Cli(Protocol):
    """Runs ``secret-sync`` with these arguments and variables."""

    async def __call__(self, *arguments: str, **more: str) -> Done: ...
