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
        tenants: Return the tenants of a source.
        refreshed: Counts the sources that were scheduled.
        unpolled: Whether sources that nobody polls are refreshed, too.
    """

    def __init__(
        self,
        states: Mapping[Source, SourceState],
        fetcher: Fetcher,
        tenants: Callable[[Source], Iterable[Hashable]],
        refreshed: Callable[[int], None],
        *,
        unpolled: bool,
    ) -> None:
        self._states = states
        self._unpolled = unpolled
        self._fetcher = fetcher
        self._tenants = tenants
        self._refreshed = refreshed
        self._waiting: dict[str, None] = {}
        self._asked = asyncio.Event()
        # When each source is pushed last; when the next refresh of a tenant fits into its share of
        # a queue; and how many tenants share one.
        self._pushed: dict[Source, float] = {}
        self._next: dict[tuple[SourceQueueKey, Hashable], float] = {}
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
            # The call that is about to begin is late enough.
            return False
        if not self._unpolled and state.interval == float("inf"):
            # Its users want it fetched when they are edited, and only then.
            return False
        now = asyncio.get_running_loop().time()
        due = max(now, self._pushed.get(state.source, float("-inf")) + SOURCE_EVERY)
        if state.calling:
            # The answer may be older than the change.
            due = max(due, now + _AFTER_CALL)
        if state.is_refreshed_by(due):
            return False
        due = max(due, self._reserve(state, now))
        self._pushed[state.source] = due
        state.ask_refresh(due)
        # The others of its group are named, too.
        state.refreshed_with_group = True
        if not state.calling and (due < state.due or state.due <= now):
            self._fetcher.plan(state, due, Priority.MIDDLE)
        return True

    def _reserve(self, state: SourceState, now: float) -> float:
        """Return when a refresh fits into its tenant's share of the queue, and count it there.

        Otherwise one tenant that names a secret in thousands of ways would delay those of others.
        """
        rate = state.queue.limiter.rate
        if rate is None:
            return now
        key = state.queue.key
        place = key, next(iter(self._tenants(state.source)), None)
        fits = max(now - BURST_SECONDS, self._next.get(place, float("-inf")))
        self._next[place] = fits + max(1, self._sharing[key]) / (rate * SHARE)
        return max(now, fits)

    def _forget(self) -> None:
        """Drop what limits nothing any more."""
        now = asyncio.get_running_loop().time()
        for source, at in list(self._pushed.items()):
            if at + SOURCE_EVERY <= now or source not in self._states:
                del self._pushed[source]
        for place, at in list(self._next.items()):
            if at + BURST_SECONDS <= now:
                del self._next[place]
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
