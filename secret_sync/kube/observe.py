"""What this room tells its metrics."""

from __future__ import annotations

from typing import Protocol


class ReflectorObserver(Protocol):
    """Hears of one kind of object."""

    def listed(self) -> None:
        """A list was complete."""
        ...

    def watching(self) -> None:
        """A watch was opened."""
        ...

    def event(self, kind: str) -> None:
        """A watch event came in: ``ADDED``, ``BOOKMARK``, ..."""
        ...

    def failed(self, kind: str) -> None:
        """A list or watch failed: ``expired``, ``unavailable``, ``refused``, ``garbled``.

        Or watches brought nothing for too long, ``silent``, or what they would have brought is of
        another history, ``restored``.
        Or one object was left out because it could not be read: ``unreadable``.
        """
        ...

    def handler_raised(self) -> None:
        """A handler raised."""
        ...
