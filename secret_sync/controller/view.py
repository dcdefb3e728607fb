"""What the controllers see of the informers' stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection

T_co = TypeVar("T_co", covariant=True)

#: Seconds within which the cache sees what we wrote. A cache that takes longer is taken
#: as it is: a write by an outdated version is refused, so the worst is a request too many. And
#: versions that an API server restored from a backup gives out are lower for good.
CATCH_UP: Final = 5.0


class ReadOnlyStore(Protocol[T_co]):
    """A store without the means to change it."""

    def get(self, key: str) -> T_co | None:
        """Return the object of a key (``namespace/name``)."""
        ...

    def values(self) -> Collection[T_co]:
        """Return all objects."""
        ...

    def by_index(self, index: str, value: str) -> Collection[str]:
        """Return the keys of the objects that an index lists under a value."""
        ...
