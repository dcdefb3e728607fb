"""When a source is fetched, with which others, and which users wait for the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.backoff import Backoff
from secret_sync.queue import Priority
from secret_sync.sources.snapshots import is_change

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.snapshots import Registration, Snapshots
    from secret_sync.sources.source import Source, SourceState

#: A new user of a failed source causes a fetch, unless the failure is this recent (seconds).
FAILURE_FRESH: Final = 2.0
#: Fetches that are repeated at once, in a row, because the answers were not consistent; after
#: these the pauses double, up to so many seconds.
QUICK_ROUNDS: Final = 6
_PAUSES: Final = Backoff(base=2.0, cap=60.0)
#: Without polling, a new user gets a value that is not older (seconds) without a fetch.
_VALUE_FRESH: Final = 120.0


class FetchScheduler:
    """Decides which sources are fetched and how urgently, and records the users that wait."""

    __slots__ = ("_fetcher", "_registered", "_snapshots", "_states", "_tenant_of")

    def __init__(
        self,
        states: Mapping[Source, SourceState],
        registered: Mapping[str, Registration],
        snapshots: Snapshots,
        fetcher: Fetcher,
        tenant_of: Callable[[str], Hashable],
    ) -> None:
        self._states = states
        self._registered = registered
        self._snapshots = snapshots
        self._fetcher = fetcher
        self._tenant_of = tenant_of

    def fetch_if_due(
        self,
        user: str,
        state: SourceState,
        interval: float | None,
        *,
        force: bool,
        new: bool,
        urgent: bool,
    ) -> None:
        """Start a fetch if a registration requires one, else schedule the next refresh."""
        now = asyncio.get_running_loop().time()
        if state.error is not None:
            asks = new and now - state.failed_at > FAILURE_FRESH
        elif state.digest is None:
            asks = True
        else:
            fresh = _VALUE_FRESH if interval is None else interval
            asks = new and now - state.fetched_at > fresh
        if force or asks:
            self.fetch_for(state, user, Priority.HIGH if urgent or force else Priority.LOW)
            if force and state.calling:
                state.fetch_again_for(user)
        elif not state.fetching and state.error is None:
            self.plan_refresh(state)
        elif not state.fetching and new:
            # Its failure is too recent for a fetch at once.
            soon = state.failed_at + FAILURE_FRESH
            if soon < state.due:
                self._fetcher.plan(state, soon, Priority.MIDDLE)

    def fetch_for(self, state: SourceState, user: str, priority: Priority) -> None:
        """Start a fetch for which a user waits."""
        urgent = priority is Priority.HIGH
        hurry = urgent and not state.urgent
        state.wait(user)
        self._registered[user].wait(state.source)
        state.urgent = state.urgent or urgent
        if not state.fetching or (hurry and not state.calling):
            self._fetcher.start(state, priority)
        else:
            state.queue.work_queue.share(state.source, self._tenant_of(user))

    def plan_refresh(self, state: SourceState) -> None:
        """Schedule the next refresh of a source, unless it is due earlier already."""
        due = state.next_refresh()
        if due < state.due:
            self._fetcher.plan(state, due, Priority.LOW)

    def confirm(self, user: str, states: Iterable[SourceState], *, failed: bool = False) -> bool:
        """Fetch sources that are not confirmed against a change; return whether the user waits.

        Args:
            user: The user whose snapshot is incomplete.
            states: The sources that it lacks.
            failed: Whether sources whose latest fetch failed are fetched at once, too.
        """
        now = asyncio.get_running_loop().time()
        # Sources that change faster than they can be read together would be fetched all the time.
        rounds = self._registered[user].rounds
        slow_rounds = rounds - QUICK_ROUNDS
        delay = _PAUSES.bound(slow_rounds - 1) if slow_rounds > 0 else 0.0
        waits = False
        for state in states:
            if state.error is not None and not state.fetching:
                fresh = now - state.failed_at <= FAILURE_FRESH
                if fresh or not failed:
                    continue
            waits = True
            # A call in flight began too early to confirm anything: when its answer has arrived, the
            # source is fetched again.
            if state.fetching or not delay:
                self.fetch_for(state, user, Priority.MIDDLE)
            else:
                state.wait(user)
                self._registered[user].wait(state.source)
                if now + delay < state.due:
                    self._fetcher.plan(state, now + delay, Priority.MIDDLE)
        return waits

    def recheck_others(self, user: str, registration: Registration, state: SourceState) -> None:
        """After a change, fetch the user's other sources again, soon and once more later."""
        given = self._snapshots.given(user, registration).get(state.source)
        known = given is not None or (registration.written or {}).get(state.source)
        if not known or not is_change(registration, state, given):
            return
        now = asyncio.get_running_loop().time()
        for source in registration.sources:
            other = self._states[source]
            if other is not state:
                other.recheck(now)
                if not other.fetching and other.error is None:
                    self.plan_refresh(other)


class Groups:
    """Joins the sources that one identity reads of one secret.

    However the secret is spelt (name or ARN) and whichever stage or version is read: periodic
    refreshes of such sources happen together, at the shortest interval of any.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        # One source of each group. Its key is a number, since there is one for each secret.
        self._first: dict[int, SourceState] = {}

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._first)

    def join(self, state: SourceState) -> None:
        """Add a source that came into use."""
        first = self._first.setdefault(_key(state.source), state)
        if first is state:
            return
        if first.group is None:
            first.group = [first]
        first.group.append(state)
        state.group = first.group

    def leave(self, state: SourceState) -> None:
        """Remove a source that went out of use."""
        key = _key(state.source)
        if state.group is not None:
            state.group.remove(state)
        if self._first.get(key) is state:
            if state.group:
                self._first[key] = state.group[0]
            else:
                del self._first[key]


def take_followers(state: SourceState) -> list[SourceState]:
    """Return the other sources of the group, to be refreshed with one that is being called.

    Only a periodic refresh has followers: not a call for which a user waits, a retry, or a call
    that is itself a follower.
    """
    follows, state.refreshed_with_group = state.refreshed_with_group, False
    if follows or state.waiters is not None or state.digest is None or state.error is not None:
        return []
    if state.tries or state.group is None:
        return []
    peers = [
        peer
        for peer in state.group
        if peer is not state
        and not peer.fetching
        and peer.digest is not None
        and peer.error is None
    ]
    for peer in peers:
        peer.refreshed_with_group = True
    return peers


def bare_name(name: str) -> str:
    """Return the name in an ARN ``acs:kms:{region}:{account}:secret/{name}``, or a mere name."""
    return name.partition(":secret/")[2] if name.startswith("acs:") else name


def _key(source: Source) -> int:
    name = bare_name(source.name)
    return hash((source.identity, source.provider, source.region, name))
