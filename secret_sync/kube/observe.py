"""The observers of this package, for metrics."""

from __future__ import annotations

from typing import Protocol


class RequestObserver(Protocol):
    """Receives each request to the API server."""

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Count a request.

        Args:
            verb: As in rules of RBAC.
            resource: The plural; ``""`` of a path that has none.
            code: The HTTP status, of a watch that of its opening; 0 without an answer.
            seconds: Until the answer.
        """
        ...


class ReflectorObserver(Protocol):
    """Receives the events of one kind of object."""

    def listed(self) -> None:
        """Count a complete list."""
        ...

    def watching(self) -> None:
        """Count an opened watch."""
        ...

    def event(self, kind: str) -> None:
        """Count a watch event: ``ADDED``, ``BOOKMARK``, ..."""
        ...

    def failed(self, kind: str) -> None:
        """Count a failed list or watch: ``expired``, ``unavailable``, ``refused``, ``garbled``.

        Or watches brought nothing for too long, ``silent``, or what they would have brought is of
        another history, ``restored``.
        Or one object was omitted because it could not be read: ``unreadable``.
        """
        ...

    def handler_raised(self) -> None:
        """Count an exception of a handler."""
        ...
