"""When a source that failed is asked again."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from secret_sync.credentials import Failure
from secret_sync.errors import ClockError, CredentialsError, TransientError
from secret_sync.queue import Backoff, Priority
from secret_sync.sources.outage import PROBE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.errors import SecretSyncError
    from secret_sync.providers.kms import SecretValue
    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.record import Record
    from secret_sync.sources.source import Source

#: Between rounds: a passing fault is asked about again soon, a definite "no" slowly.
_AFTER_FAULT: Final = Backoff(base=1.0, cap=300.0)
_AFTER_REFUSAL: Final = Backoff(base=30.0, cap=300.0)
#: A session that was replaced a moment ago has ended again; it may be replaced again soon.
_AFTER_SESSION: Final = Backoff(base=5.0, cap=300.0)
#: Sources follow this soon after the next attempt at their credentials (seconds).
_AFTER_CREDENTIALS: Final = 0.1


class Retries:
    """Schedules the next round of sources whose last one failed.

    Args:
        records: All sources in use.
        fetcher: Fetches them.
    """

    __slots__ = ("_fetcher", "_random", "_records")

    def __init__(self, records: Mapping[Source, Record], fetcher: Fetcher) -> None:
        self._records = records
        self._fetcher = fetcher
        self._random = Random()  # noqa: S311 (spreads load, hides nothing)

    def failed(self, record: Record, failure: SecretSyncError | Failure) -> bool:
        """Schedule the next round of a source; tell whether the failure is news."""
        now = asyncio.get_running_loop().time()
        if isinstance(failure, Failure):
            # Nobody can come by the credentials earlier, and asking for them costs no call.
            error, again_at = failure.error, failure.retry_at + _AFTER_CREDENTIALS
        elif now < record.retry_at:
            # Somebody asked ahead of the schedule, which stands: the wait does not grow by that.
            error, again_at = failure, record.retry_at
        else:
            error, again_at = failure, now + self._back_off(record, failure)
            record.retry_at = again_at
        known = record.error
        news = known is None or (type(known), known.code) != (type(error), error.code)
        record.error = error
        record.failed_at = now
        self._fetcher.plan(record, again_at, Priority.MIDDLE)
        return news

    def answered(self, record: Record, outcome: SecretValue | SecretSyncError | Failure) -> None:
        """Bring back the sources that wait for the service, if this outcome shows it is there."""
        if isinstance(outcome, Failure | TransientError | ClockError):
            return
        outage = record.outage
        outage.forget(record.source)
        for source in outage.ends():
            self._ask_soon(self._records[source])

    def forget(self, record: Record) -> None:
        """A source went out of use; if it was the one to probe the service, another one does."""
        if (probe := record.outage.forget(record.source)) is not None:
            self._ask_soon(self._records[probe])

    def _ask_soon(self, record: Record) -> None:
        """Shorten the wait of a source that got no answer."""
        soon = max(asyncio.get_running_loop().time(), record.failed_at + PROBE)
        if not record.fetching and soon < record.due:
            # Behind nobody's polls and before nobody's: the fault may be this source's own.
            self._fetcher.plan(record, soon, Priority.LOW)

    def _back_off(self, record: Record, error: SecretSyncError) -> float:
        if isinstance(error, TransientError | ClockError):
            delay = _AFTER_FAULT.delay(record.failures, self._random)
            now = asyncio.get_running_loop().time()
            delay = record.outage.begins(record.source, delay, now)
        else:
            session = isinstance(error, CredentialsError)
            backoff = _AFTER_SESSION if session else _AFTER_REFUSAL
            delay = backoff.delay(record.failures, self._random)
        record.failures += 1
        return delay
