"""Writes statuses, and only where there is something new to say (A10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from secret_sync.kube import ApiNotFoundError, OutdatedError

if TYPE_CHECKING:
    from secret_sync.kube import ApplyWriter, Resource


class Status(Protocol):
    """The status of one of our kinds."""

    def to_dict(self) -> dict[str, Any]:
        """The whole intent for ``/status``."""
        ...


S = TypeVar("S", bound=Status)
S_co = TypeVar("S_co", bound=Status, covariant=True)


class HasStatus(Protocol[S_co]):
    """An object of one of our kinds, as the informer has it."""

    @property
    def namespace(self) -> str:
        """Where it lives."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def uid(self) -> str:
        """Which one of that name it is."""
        ...

    @property
    def resource_version(self) -> str:
        """How fresh the informer's copy is."""
        ...

    @property
    def status(self) -> S_co:
        """As the informer has it."""
        ...


class StatusWriter(Generic[S]):
    """Statuses of one kind; remembers those that the informer has not brought back yet (S16).

    Args:
        writer: Applies as our field manager.
        resource: The kind.
    """

    def __init__(self, writer: ApplyWriter, resource: Resource) -> None:
        self._writer = writer
        self._resource = resource
        self._written: dict[str, tuple[str, str, S]] = {}

    def known(self, key: str, obj: HasStatus[S]) -> S:
        """The status a user reads now: the informer's, or ours if that is newer."""
        written = self._written.get(key)
        if written is None:
            return obj.status
        uid, version, status = written
        if uid != obj.uid or _reached(obj.resource_version, version):
            del self._written[key]
            return obj.status
        return status

    async def write(self, key: str, obj: HasStatus[S], status: S) -> bool:
        """Makes it the object's status, unless it is already; tells whether it wrote.

        Raises:
            ApiError: The server refused; the object is unchanged.
        """
        if status == self.known(key, obj):
            return False
        try:
            reply = await self._writer.status(
                self._resource, obj.namespace, obj.name, obj.uid, status.to_dict()
            )
        except (ApiNotFoundError, OutdatedError):
            # Deleted meanwhile; the news of it is on the way.
            return False
        self._written[key] = (obj.uid, reply["metadata"]["resourceVersion"], status)
        return True

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._written.pop(key, None)


def _reached(cached: str, written: str) -> bool:
    if cached.isdecimal() and written.isdecimal():
        return int(cached) >= int(written)
    return cached == written
