"""Recovery from an outage: quick, and without overloading a service that is still down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.sources.source import Source

#: Seconds between the probes of a service that does not answer; and the longest wait of a failed
#: source after the service answered another one.
PROBE_INTERVAL: Final = 15.0
#: Sources that one answer reschedules at most, so that none blocks the loop; the next answer
#: reschedules more.
_BATCH: Final = 200


class Outage:
    """The sources of one queue, or of one identity in it, that failed because of the service.

    Each backs off by itself, up to minutes; one of them, the probe, is fetched more often. When the
    service answers it, the others are rescheduled.
    """

    __slots__ = ("_probe", "_probe_at", "_waiting")

    def __init__(self) -> None:
        self._waiting: set[Source] = set()
        self._probe: Source | None = None
        self._probe_at = float("-inf")

    def delay_for(self, source: Source, backoff: float, now: float) -> float:
        """Add a source that got no answer, and return its delay.

        Args:
            source: The source that failed.
            backoff: Its own backoff in seconds.
            now: Time of the loop.

        Returns:
            Seconds to wait: fewer if this source is the next probe.
        """
        self._waiting.add(source)
        if self._probe is not source and self._probe_at > now:
            return backoff
        delay = min(backoff, PROBE_INTERVAL)
        self._probe, self._probe_at = source, now + delay
        return delay

    def forget(self, source: Source) -> Source | None:
        """Remove a source that got its answer or is no longer used.

        Returns:
            The next probe, if this source was the probe; it should be fetched soon.
        """
        self._waiting.discard(source)
        if self._probe is not source:
            return None
        self._probe_at = float("-inf")
        self._probe = next(iter(self._waiting), None)
        return self._probe

    def move_to(self, source: Source, other: Outage) -> None:
        """Move a waiting source to another outage; do nothing if it does not wait."""
        if source in self._waiting:
            self.forget(source)
            other._waiting.add(source)

    def take_recovered(self) -> Iterator[Source]:
        """Remove and yield some waiting sources, after the service answered one."""
        for _ in range(min(_BATCH, len(self._waiting))):
            yield self._waiting.pop()
