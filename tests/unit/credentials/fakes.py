"""Where tokens of service accounts come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass
class Tokens:
    """The API server, which is asked for a token."""

    key: Hashable = "token"
    asked: int = 0
    error: Exception | None = None

    async def token(self) -> str:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return f"hush-jwt-{self.asked}"
