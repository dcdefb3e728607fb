"""Coming back from an outage: soon, and without a rush on a service that is still down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.sources.source import Source

#: In an outage some source asks this often (seconds); where others get answers, one that got
#: none asks again this soon after it.
PROBE: Final = 15.0
#: Sources that one answer brings back at most: the next one brings the next, and none keeps the
#: loop to itself.
_TOGETHER: Final = 200


class Outage:
    """The sources of one lane that wait out a fault of the service.

    Each backs off for itself, up to minutes: thousands that asked all the time would be a
    burden, and one is enough to learn that the service is back. Its answer is good news for
    all the others, which need not wait any longer then.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: set[Source] = set()

    def begins(self, source: Source, backoff: float) -> float:
        """A source got no answer.

        Args:
            source: Waits from now on.
            backoff: Seconds that it would wait by itself.

        Returns:
            Seconds to wait: fewer, if too few others wait for one of them to ask often enough.
        """
        self._waiting.add(source)
        return min(backoff, PROBE * len(self._waiting))

    def forget(self, source: Source) -> None:
        """A source got its answer, or is out of use."""
        self._waiting.discard(source)

    def ends(self) -> Iterator[Source]:
        """The service answered somebody: some of those that need not wait any more."""
        for _ in range(min(_TOGETHER, len(self._waiting))):
            yield self._waiting.pop()
