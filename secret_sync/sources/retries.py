"""When a source that failed is fetched again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from secret_sync.credentials import Failure
from secret_sync.errors import ClockError, CredentialsError, TransientError
from secret_sync.queue import Backoff, Priority
from secret_sync.sources.outage import PROBE_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.source import Source
    from secret_sync.sources.source_state import SourceState

#: Between rounds: retry soon after a transient error, slowly after a refusal.
AFTER_FAULT: Final = Backoff(base=1.0, cap=300.0)
AFTER_REFUSAL: Final = Backoff(base=30.0, cap=300.0)
#: A session that was just renewed has ended; it may be renewed again soon.
_AFTER_SESSION: Final = Backoff(base=5.0, cap=300.0)
#: Sources follow this soon after the next attempt at their credentials (seconds).
_AFTER_CREDENTIALS: Final = 0.1


class Retries:
    """Schedules the next round of sources whose last one failed.

    Args:
        states: All sources in use.
        fetcher: Fetches them.
    """

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
        outage = state.outage
        outage.forget(state.source)
        for source in outage.take_recovered():
            self._retry_soon(self._states[source])

    def forget(self, state: SourceState) -> None:
        """Remove a source that is no longer used; if it was the probe, schedule the next one."""
        if (next_probe := state.outage.forget(state.source)) is not None:
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
            delay = state.outage.delay_for(state.source, delay, now)
        else:
            session = isinstance(error, CredentialsError)
            backoff = _AFTER_SESSION if session else AFTER_REFUSAL
            delay = backoff.delay(state.failures, self._random)
        state.failures += 1
        return delay
