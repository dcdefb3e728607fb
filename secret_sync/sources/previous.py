"""Values of users' last snapshots whose sources have a newer value."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from secret_sync.sources.source import Source
    from secret_sync.sources.value_cache import ValueCache


class KeptValue(NamedTuple):
    """A value that a user was given; its payload may no longer be cached."""

    digest: bytes
    version_id: str


class PreviousValues:
    """Per user and source, the value of the user's last snapshot, if the source has a newer one.

    Drift is repaired from them until the next snapshot is complete. A user reaches only what it
    was given itself: another user of the same source may be another tenant.

    Args:
        values: Holds the payloads, under ``(source, digest)``: once, however many users need one.
    """

    __slots__ = ("_held", "_uses", "_values")

    def __init__(self, values: ValueCache) -> None:
        self._values = values
        self._held: dict[str, dict[Source, KeptValue]] = {}
        # How many users need a payload.
        self._uses: Counter[tuple[Source, bytes]] = Counter()

    def __len__(self) -> int:
        """Return the number of users with a previous value."""
        return len(self._held)

    def keep(self, user: str, source: Source, held: KeptValue, data: bytes | None) -> None:
        """Keep what the user was given of a source, unless something older is kept already."""
        mine = self._held.setdefault(user, {})
        if source in mine:
            return
        mine[source] = held
        use = (source, held.digest)
        if not self._uses[use] and data is not None:
            self._values.put(use, data)
        self._uses[use] += 1

    def get(self, user: str, source: Source) -> KeptValue | None:
        """Return what is kept of a source for the user, or ``None``."""
        return self._held.get(user, {}).get(source)

    def payload(self, source: Source, held: KeptValue) -> bytes | None:
        """Return the payload of a value that :meth:`get` returned, or ``None`` where it is lost."""
        return self._values.get((source, held.digest))

    def sources(self, user: str) -> tuple[Source, ...]:
        """Return the sources of which something is kept for the user."""
        return tuple(self._held.get(user, ()))

    def drop(self, user: str, source: Source) -> None:
        """Forget what is kept of a source for the user."""
        mine = self._held.get(user, {})
        held = mine.pop(source, None)
        if held is None:
            return
        if not mine:
            del self._held[user]
        use = (source, held.digest)
        self._uses[use] -= 1
        if not self._uses[use]:
            del self._uses[use]
            self._values.drop(use)

    def forget(self, user: str) -> None:
        """Forget all that is kept for the user."""
        for source in self.sources(user):
            self.drop(user, source)
