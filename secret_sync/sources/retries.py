"""When a source that failed is fetched again: quickly after an outage, and not all at once."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from secret_sync.credentials import Failure
from secret_sync.errors import ClockError, CredentialsError, TransientError
from secret_sync.queue import Backoff, Priority

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.source import Source, SourceState

#: Between rounds: retry soon after a transient error, slowly after a refusal.
AFTER_FAULT: Final = Backoff(base=1.0, cap=300.0)
AFTER_REFUSAL: Final = Backoff(base=30.0, cap=300.0)
#: A session that was just renewed has ended; it may be renewed again soon.
_AFTER_SESSION: Final = Backoff(base=5.0, cap=300.0)
#: Sources follow this soon after the next attempt at their credentials (seconds).
_AFTER_CREDENTIALS: Final = 0.1
#: Seconds between the probes of a service that does not answer; and the longest wait of a failed
#: source after the service answered another one.
PROBE_INTERVAL: Final = 15.0
#: Sources that one answer reschedules at most, so that none blocks the loop; the next answer
#: reschedules more.
_BATCH: Final = 200


class Retries:
    """Schedules the next round of sources whose last one failed."""

    __slots__ = ("_fetcher", "_random", "_states")

    def __init__(self, states: Mapping[Source, SourceState], fetcher: Fetcher) -> None:
        self._states = states
        self._fetcher = fetcher
        self._random = Random()  # noqa: S311 (spreads load, hides nothing)

    def failed(self, state: SourceState, failure: SecretSyncError | Failure) -> bool:
        """Schedule the next round of a source; return whether the failure is a new one."""
        now = asyncio.get_running_loop().time()
        if isinstance(failure, Failure):
            # The credentials cannot be obtained earlier, and requesting them costs no call.
            error, again_at = failure.error, failure.retry_at + _AFTER_CREDENTIALS
        elif now < state.retry_at:
            # A user requested it before it was due: the schedule stays, the backoff does not grow.
            error, again_at = failure, state.retry_at
        else:
            error, again_at = failure, now + self._back_off(state, failure)
            state.retry_at = again_at
        known = state.error
        is_new = known is None or (type(known), known.code) != (type(error), error.code)
        state.error = error
        state.failed_at = now
        self._fetcher.plan(state, again_at, Priority.MIDDLE)
        return is_new

    def answered(
        self, state: SourceState, outcome: SecretValue | SecretSyncError | Failure
    ) -> None:
        """Reschedule the sources of the outage if this outcome shows that the service answers."""
        if isinstance(outcome, Failure | TransientError | ClockError):
            return
        outage = state.queue.outage_of(state.source)
        outage.forget(state.source)
        for source in outage.take_recovered():
            self._retry_soon(self._states[source])

    def forget(self, state: SourceState) -> None:
        """Remove a source that is no longer used; if it was the probe, schedule the next one."""
        if (next_probe := state.queue.outage_of(state.source).forget(state.source)) is not None:
            self._retry_soon(self._states[next_probe])

    def _retry_soon(self, state: SourceState) -> None:
        """Shorten the wait of a source that got no answer."""
        soon = max(asyncio.get_running_loop().time(), state.failed_at + PROBE_INTERVAL)
        if not state.fetching and soon < state.due:
            # With the priority of polling: the fault may be this source's own.
            self._fetcher.plan(state, soon, Priority.LOW)

    def _back_off(self, state: SourceState, error: SecretSyncError) -> float:
        if isinstance(error, TransientError | ClockError):
            delay = AFTER_FAULT.delay(state.failures, self._random)
            now = asyncio.get_running_loop().time()
            delay = state.queue.outage_of(state.source).delay_for(state.source, delay, now)
        else:
            session = isinstance(error, CredentialsError)
            backoff = _AFTER_SESSION if session else AFTER_REFUSAL
            delay = backoff.delay(state.failures, self._random)
        state.failures += 1
        return delay


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
