"""A problem, as a user reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from secret_sync.resources import Reason
    from secret_sync.resources.meta import FieldPath


#: Characters of a message. What a user wrote may be part of it, and may be as long as an object.
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as the user wants it.

    Attributes:
        message: What, where, and what to do about it.
        field: What it is about: a path from the object whose problem it is or, for a problem of
            one entry, from that entry; empty for the whole.
        request_id: Of the answer of Alibaba Cloud that reported it, or ``""``.
    """

    reason: Reason
    message: str
    field: FieldPath = ()
    request_id: str = ""

    def __post_init__(self) -> None:
        """Shorten the message."""
        object.__setattr__(self, "message", shortened(self.message))

    def log_fields(self) -> dict[str, str]:
        """Return what a log line about it has."""
        fields = {"reason": self.reason.value, "message": self.message}
        return fields | {"request_id": self.request_id} if self.request_id else fields


def shortened(message: str) -> str:
    """Return a message that a condition, an Event and a log line can bear."""
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 Secret``, ``2 Secrets``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def why_missing(namespace: str, home: str) -> str:
    """Return why something that was referred to from another namespace may not be found."""
    if namespace == home:
        return "which does not exist"
    return "which does not exist or is in a namespace that this controller does not watch"
