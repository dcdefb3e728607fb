"""When a source is asked for its value, and who waits for the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.queue import Priority
from secret_sync.sources.snapshots import is_change

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.record import Record
    from secret_sync.sources.snapshots import Registration, Snapshots
    from secret_sync.sources.source import Source

#: A new user of a failed source asks again, unless the failure is this fresh (seconds).
_FAILURE_FRESH: Final = 2.0
#: Answers that were no consistent snapshot are asked for again at once so often in a row; then
#: after pauses that double, up to so many seconds.
QUICK_ROUNDS: Final = 6
LONGEST_PAUSE: Final = 60.0
#: Where nothing is polled, a new user takes a value that is not older (seconds).
_VALUE_FRESH: Final = 120.0


class Asking:
    """Decides which sources are asked, how urgently, and notes the users that wait.

    Args:
        records: All sources in use.
        registered: All users.
        snapshots: What users were given last.
        fetcher: Fetches the values.
        tenant_of: For whom a user wants what it wants.
    """

    __slots__ = ("_fetcher", "_records", "_registered", "_snapshots", "_tenant_of")

    def __init__(
        self,
        records: Mapping[Source, Record],
        registered: Mapping[str, Registration],
        snapshots: Snapshots,
        fetcher: Fetcher,
        tenant_of: Callable[[str], Hashable],
    ) -> None:
        self._records = records
        self._registered = registered
        self._snapshots = snapshots
        self._fetcher = fetcher
        self._tenant_of = tenant_of

    def ask_if_due(
        self,
        user: str,
        record: Record,
        interval: float | None,
        *,
        force: bool,
        new: bool,
        urgent: bool,
    ) -> None:
        """Ask for a fetch where a registration is reason for one, else plan the next refresh."""
        now = asyncio.get_running_loop().time()
        if record.error is not None:
            asks = new and now - record.failed_at > _FAILURE_FRESH
        elif record.digest is None:
            asks = True
        else:
            fresh = _VALUE_FRESH if interval is None else interval
            asks = new and now - record.fetched_at > fresh
        if force or asks:
            self.wait_for(record, user, Priority.HIGH if urgent or force else Priority.LOW)
            if force and record.calling:
                record.ask_again(user)
        elif not record.fetching and record.error is None:
            self.plan_refresh(record)
        elif not record.fetching and new:
            # Its failure is too fresh to ask at once.
            soon = record.failed_at + _FAILURE_FRESH
            if soon < record.due:
                self._fetcher.plan(record, soon, Priority.MIDDLE)

    def wait_for(self, record: Record, user: str, priority: Priority) -> None:
        """Ask for a fetch, for whose end a user waits."""
        urgent = priority is Priority.HIGH
        hurry = urgent and not record.urgent
        record.wait(user)
        self._registered[user].wait(record.source)
        record.urgent = record.urgent or urgent
        if not record.fetching or (hurry and not record.calling):
            self._fetcher.start(record, priority)
        else:
            record.lane.queue.share(record.source, self._tenant_of(user))

    def plan_refresh(self, record: Record) -> None:
        """Plan the next refresh of a source, unless it is due earlier already."""
        due = record.next_refresh()
        if due < record.due:
            self._fetcher.plan(record, due, Priority.LOW)

    def confirm(self, user: str, records: Iterable[Record], *, failed: bool = False) -> bool:
        """Ask sources that are not confirmed against a change; tell whether the user waits.

        Args:
            user: Whose snapshot lacks them.
            records: What it lacks.
            failed: Whether those whose latest fetch failed are asked at once, too.
        """
        now = asyncio.get_running_loop().time()
        # Sources that change faster than they can be read together would be asked all the time.
        rounds = self._registered[user].rounds
        delay = min(LONGEST_PAUSE, 2.0 ** (rounds - QUICK_ROUNDS)) if rounds > QUICK_ROUNDS else 0
        waits = False
        for record in records:
            if record.error is not None and not record.fetching:
                fresh = now - record.failed_at <= _FAILURE_FRESH
                if fresh or not failed:
                    continue
            waits = True
            # The answer of a call that is under way comes too late to confirm anything: it is
            # judged when it has arrived, and asked for again then.
            if record.fetching or not delay:
                self.wait_for(record, user, Priority.MIDDLE)
            else:
                record.wait(user)
                self._registered[user].wait(record.source)
                if now + delay < record.due:
                    self._fetcher.plan(record, now + delay, Priority.MIDDLE)
        return waits

    def recheck_others(self, user: str, registration: Registration, record: Record) -> None:
        """After a change the user's other sources are asked again, soon and once more later."""
        given = self._snapshots.given(user, registration).get(record.source)
        known = given is not None or (registration.written or {}).get(record.source)
        if not known or not is_change(registration, record, given):
            return
        now = asyncio.get_running_loop().time()
        for source in registration.sources:
            other = self._records[source]
            if other is not record:
                other.recheck(now)
                if not other.fetching and other.error is None:
                    self.plan_refresh(other)
