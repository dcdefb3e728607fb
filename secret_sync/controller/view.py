"""What the controllers see of the informers' stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

T_co = TypeVar("T_co", covariant=True)


class ReadOnlyStore(Protocol[T_co]):
    """A store without the means to change it."""

    def get(self, key: str) -> T_co | None:
        """The object of a key (``namespace/name``)."""
        ...

    def values(self) -> Collection[T_co]:
        """All objects."""
        ...

    def by_index(self, index: str, value: str) -> Collection[str]:
        """Keys of the objects that an index lists under a value."""
        ...
