"""What users held of sources that they exchange for others like them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from secret_sync.sources.hand import ValuesInHand
    from secret_sync.sources.source import Reading, Source, What


class Kept(NamedTuple):
    """A former value; its payload is in hand or lost."""

    digest: bytes
    version_id: str


class Keepsakes:
    """Former values by user, until the new source of the same secret has answered.

    Drift is repaired from them meanwhile. Each is of one user alone: another user of the same
    new source may be another tenant.

    Args:
        hand: Where the payloads are, under ``(user, what)``.
    """

    __slots__ = ("_hand", "_kept")

    def __init__(self, hand: ValuesInHand) -> None:
        self._hand = hand
        self._kept: dict[str, dict[What, Kept]] = {}

    def keep(self, user: str, held: Mapping[Source, Reading]) -> None:
        """Keeps what a user held; where two of its identities read one secret, neither."""
        times = Counter(source.what for source in held)
        for source, reading in held.items():
            what = source.what
            if reading.digest is None or times[what] > 1:
                continue
            self._kept.setdefault(user, {})[what] = Kept(reading.digest, reading.version_id)
            if reading.data is not None:
                self._hand.put((user, what), reading.data)
            else:
                self._hand.drop((user, what))

    def get(self, user: str, source: Source) -> tuple[Kept, bytes | None] | None:
        """What the user held of the same secret, with its payload where that is in hand."""
        kept = self._kept.get(user, {}).get(source.what)
        return None if kept is None else (kept, self._hand.get((user, source.what)))

    def drop(self, user: str, what: What) -> None:
        """Forgets what the user held of one secret."""
        kept = self._kept.get(user, {})
        if kept.pop(what, None) is not None:
            self._hand.drop((user, what))
            if not kept:
                del self._kept[user]

    def trim(self, user: str, wanted: Collection[What]) -> None:
        """Forgets all that the user held of other secrets than these."""
        for what in [what for what in self._kept.get(user, ()) if what not in wanted]:
            self.drop(user, what)
