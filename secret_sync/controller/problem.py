"""A mistake, told to a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secret_sync.resources import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as the user wants it.

    Attributes:
        message: What, where, and what to do about it.
    """

    reason: Reason
    message: str


def why_missing(namespace: str, home: str) -> str:
    """Why something that was referred to from another namespace may not be found."""
    if namespace == home:
        return "which does not exist"
    return "which does not exist or is in a namespace that this controller does not watch"
