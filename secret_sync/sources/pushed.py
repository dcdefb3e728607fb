"""Refreshes that are asked for from outside: of some secrets, by their names.

They leave the rate of KMS to others: a source is refreshed once in some seconds however often it
is named, the refreshes of one queue take half of its rate, which tenants share, and new objects go
first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.queue import Priority
from secret_sync.sources.fetch_scheduler import bare_name

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from secret_sync.sources.fetcher import Fetcher
    from secret_sync.sources.rate_limited_queue import SourceQueueKey
    from secret_sync.sources.source import Source, SourceState

    #: What a tenant may take of a queue.
    _Share = tuple[SourceQueueKey, Hashable]

#: Seconds between two pushed refreshes of one source; a push in between is done at their end.
SOURCE_EVERY: Final = 5.0
#: The share of a queue's rate that pushed refreshes may take, and the burst they may (seconds of
#: the rate).
SHARE: Final = 0.5
BURST_SECONDS: Final = 1.0
#: Names that wait to be looked up.
MAX_WAITING: Final = 4096
#: Sources that are looked at in one turn of the event loop; the least pause between two rounds,
#: and as a multiple of the time that a round took.
_BATCH: Final = 2000
_PAUSE: Final = 0.05
_PAUSE_FACTOR: Final = 20.0
#: Places of one name in a round that are told apart.
_MAX_WAYS: Final = 16
#: Users of a source that are looked at for one whose tenant has little debt.
_USERS: Final = 128
#: Later than the call in flight began, by more than timers may fire early.
_AFTER_CALL: Final = 0.05


class PushedName(NamedTuple):
    """A secret as a request names it; ``""`` is what the request does not say."""

    name: str
    region: str = ""
    account: str = ""

    @classmethod
    def parse(cls, text: str) -> PushedName:
        """Read a name, or an ARN ``acs:kms:{region}:{account}:secret/{name}``."""
        if not text.startswith("acs:"):
            return cls(text)
        place, _, name = text.partition(":secret/")
        _, service, region, account, *_ = [*place.split(":"), "", "", ""]
        return cls(name, region, account) if service == "kms" else cls("")

    def may_be(self, other: PushedName) -> bool:
        """Return whether both may name one secret."""
        return all(not a or not b or a == b for a, b in zip(self, other, strict=True))


class PushedRefreshes:
    """Looks up the sources of names and schedules their refresh.

    Args:
        states: All sources in use.
        fetcher: Schedules.
        tenant_of: Return the tenant of a user.
        refreshed: Counts the sources that were scheduled.
        unpolled: Whether sources that nobody polls are refreshed, too.
    """

    def __init__(
        self,
        states: Mapping[Source, SourceState],
        fetcher: Fetcher,
        tenant_of: Callable[[str], Hashable],
        refreshed: Callable[[int], None],
        *,
        unpolled: bool,
    ) -> None:
        self._states = states
        self._unpolled = unpolled
        self._fetcher = fetcher
        self._tenant_of = tenant_of
        self._refreshed = refreshed
        self._waiting: dict[str, None] = {}
        self._asked = asyncio.Event()
        # When each source is pushed last, and could have been at the earliest; when the next
        # refresh of a tenant fits into its share of a queue; and how many tenants share one.
        self._pushed: dict[Source, tuple[float, float]] = {}
        self._next: dict[_Share, float] = {}
        self._sharing: Counter[SourceQueueKey] = Counter()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {len(self._waiting)} names wait, {len(self._pushed)} sources, "
            f"{len(self._next)} shares>"
        )

    def ask(self, names: Iterable[str]) -> bool:
        """Have the sources of some names refreshed; ``False`` if too many names wait already."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting |= dict.fromkeys(names)
        if self._waiting:
            self._asked.set()
        return True

    async def run(self) -> None:
        """Look up names until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            self._asked.clear()
            began = loop.time()
            names, self._waiting = self._waiting, {}
            await self._look_up(_by_name(names))
            # However many names come, looking them up takes a small share of the time.
            await asyncio.sleep(max(_PAUSE, _PAUSE_FACTOR * (loop.time() - began)))

    async def _look_up(self, wanted: Mapping[str, list[PushedName]]) -> None:
        """Refresh the sources that are wanted; an index of them all would cost memory."""
        self._forget()
        states = list(self._states.values())
        for start in range(0, len(states), _BATCH):
            count = 0
            for state in states[start : start + _BATCH]:
                found = wanted.get(bare_name(state.source.name))
                if not found or self._states.get(state.source) is not state:
                    continue
                if any(map(_spelling(state.source).may_be, found)):
                    count += self._refresh(state)
            self._refreshed(count)
            await asyncio.sleep(0)

    def _refresh(self, state: SourceState) -> bool:
        """Schedule the refresh of a source; return whether it was not scheduled already."""
        if state.source.version_id and state.digest is not None and state.error is None:
            # A pinned version does not change.
            return False
        if state.fetching and not state.calling:
            # The call that is about to begin is late enough; not only in the turn of who waits.
            for tenant in dict.fromkeys(map(self._tenant_of, state.some_users(_USERS))):
                state.queue.work_queue.share(state.source, tenant)
            return False
        if not self._unpolled and state.interval == float("inf"):
            # Its users want it fetched when they are edited, and only then.
            return False
        now = asyncio.get_running_loop().time()
        last, earliest = self._pushed.get(state.source, (float("-inf"), float("-inf")))
        if last <= now + _AFTER_CALL:
            earliest = last + SOURCE_EVERY
        # Else it waits for the debt of a tenant, and one with less may use the source by now.
        due = max(now, earliest)
        if state.calling:
            # The answer may be older than the change.
            due = max(due, now + _AFTER_CALL)
        if state.is_refreshed_by(due):
            return False
        share, fits = self._cheapest(state, now)
        due = max(due, fits)
        if state.is_refreshed_by(due):
            return False
        self._charge(share, max(now - BURST_SECONDS, fits), state.queue.limiter.rate)
        self._pushed[state.source] = due, earliest
        state.ask_refresh(due)
        # The others of its group are named, too.
        state.refreshed_with_group = True
        if not state.calling and (due < state.due or state.due <= now):
            self._fetcher.plan(state, due, Priority.MIDDLE)
        return True

    def _cheapest(self, state: SourceState, now: float) -> tuple[_Share, float]:
        """Return the share with the least debt of a user of a source, and when a refresh fits.

        Otherwise one tenant that names a secret in thousands of ways would delay those of others,
        and with its debt what it shares with them.
        """
        share: _Share = state.queue.key, None
        fits = float("inf")
        for user in state.some_users(_USERS):
            other = state.queue.key, self._tenant_of(user)
            at = self._next.get(other, float("-inf"))
            if at < fits:
                share, fits = other, at
            if fits <= now:
                break
        return share, fits

    def _charge(self, share: _Share, fits: float, rate: float | None) -> None:
        """Count a refresh in a share of a queue."""
        if rate is not None:
            self._next[share] = fits + max(1, self._sharing[share[0]]) / (rate * SHARE)

    def _forget(self) -> None:
        """Drop what limits nothing any more."""
        now = asyncio.get_running_loop().time()
        for source, (at, _) in list(self._pushed.items()):
            if at + SOURCE_EVERY <= now or source not in self._states:
                del self._pushed[source]
        for share, at in list(self._next.items()):
            if at + BURST_SECONDS <= now:
                del self._next[share]
        self._sharing = Counter(key for key, _ in self._next)


def _by_name(texts: Iterable[str]) -> dict[str, list[PushedName]]:
    found: dict[str, list[PushedName]] = {}
    for pushed in map(PushedName.parse, texts):
        ways = found.setdefault(pushed.name, [])
        ways.append(pushed)
        if len(ways) > _MAX_WAYS:
            # Each source would be compared with all of them: wherever it is, instead.
            found[pushed.name] = [PushedName(pushed.name)]
    found.pop("", None)
    return found


def _spelling(source: Source) -> PushedName:
    own = PushedName.parse(source.name)
    return own._replace(region=own.region or source.region)
