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
    """The sources of one lane, or of one identity in it, that wait out a fault of the service.

    Each backs off for itself, up to minutes: thousands that asked all the time would be a
    burden, and one is enough to learn that the service is back. Its answer is good news for
    all the others, which need not wait any longer then.
    """

    __slots__ = ("_probe", "_probe_at", "_waiting")

    def __init__(self) -> None:
        self._waiting: set[Source] = set()
        self._probe: Source | None = None
        self._probe_at = float("-inf")

    def begins(self, source: Source, backoff: float, now: float) -> float:
        """A source got no answer.

        Args:
            source: Waits from now on.
            backoff: Seconds that it would wait by itself.
            now: Time of the loop.

        Returns:
            Seconds to wait: fewer, if it is this one's turn to find out about the service.
        """
        self._waiting.add(source)
        if self._probe is not source and self._probe_at > now:
            return backoff
        delay = min(backoff, PROBE)
        self._probe, self._probe_at = source, now + delay
        return delay

    def forget(self, source: Source) -> Source | None:
        """A source got its answer, or is out of use.

        Returns:
            Another one, if it was the one to find out: it is to ask soon.
        """
        self._waiting.discard(source)
        if self._probe is not source:
            return None
        self._probe_at = float("-inf")
        self._probe = next(iter(self._waiting), None)
        return self._probe

    def hand_over(self, source: Source, other: Outage) -> None:
        """Let a source wait with others from now on, if it waits."""
        if source in self._waiting:
            self.forget(source)
            other._waiting.add(source)

    def ends(self) -> Iterator[Source]:
        """The service answered somebody: some of those that need not wait any more."""
        for _ in range(min(_TOGETHER, len(self._waiting))):
            yield self._waiting.pop()
