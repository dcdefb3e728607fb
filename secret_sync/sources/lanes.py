"""Which queue and rate a source belongs to: those of the identity that reads it.

Never those of anything that an object says: who writes an object can name any account, region
or instance, and as many AccessKeys as they like. So what gives a queue of its own is proved:

- An identity, by its first success. Until then all identities of a provider share one queue.
- The account of an identity, by its role, once STS has let it be assumed. The identities of one
  account share its queues. That of an AccessKey is not known: a success with an ARN proves
  nothing, since the owner of a secret may let other accounts read it.
- An endpoint, by the first success there, or by a throttling answer, which it then is that is
  slowed down. Until then all endpoints of an identity share one queue, and from the ninth on
  they do for good.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from secret_sync.cloud.endpoints import endpoint_class
from secret_sync.sources.lane import LaneKey
from secret_sync.sources.rate_limiters import RateLimiterPool

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.sources.lane import Lane
    from secret_sync.sources.source import Source

#: Endpoints of one identity and provider that have a queue of their own.
OWN_QUEUES: Final = 8
#: Sources that change their queue together; none keeps the loop to itself.
_TOGETHER: Final = 200


class _Identity:
    """One identity in use.

    Attributes:
        owner: Whose queues it uses: its account, else itself; ``None`` before its first success.
    """

    __slots__ = ("owner", "sources")

    def __init__(self) -> None:
        self.owner: Hashable = None
        self.sources = 0


class _Owner:
    """An account, or an identity whose account is not known."""

    __slots__ = ("endpoints", "identities")

    def __init__(self) -> None:
        # Endpoint classes that have answered, with their providers.
        self.endpoints: set[tuple[str, str]] = set()
        self.identities = 0

    def answered(self, provider: str, endpoint: str) -> None:
        """An endpoint has its queue from now on, unless there are too many."""
        if sum(1 for known, _ in self.endpoints if known == provider) < OWN_QUEUES:
            self.endpoints.add((provider, endpoint))


class Lanes:
    """The lanes of all sources in use; each closes with its last source.

    Args:
        providers: Names of all providers.
        new_limiter: Builds the rate limiter of a lane, by provider.
        new_lane: Builds a lane that is not open yet.
        moved: Told of a source that belongs to another lane from now on.
    """

    def __init__(
        self,
        providers: tuple[str, ...],
        new_limiter: Callable[[str], RateLimiter],
        new_lane: Callable[[LaneKey, RateLimiter], Lane],
        moved: Callable[[Source, Lane], None],
    ) -> None:
        self._providers = providers
        self._limiters = RateLimiterPool(new_limiter)
        self._new_lane = new_lane
        self._moved = moved
        self._lanes: dict[LaneKey, Lane] = {}
        self._identities: dict[Hashable, _Identity] = {}
        self._owners: dict[Hashable, _Owner] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def lanes(self) -> Mapping[LaneKey, Lane]:
        """The lanes that have sources."""
        return self._lanes

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Start the dispatchers of all lanes in a group, and of each that is made later."""
        self._tasks = tasks
        for lane in self._lanes.values():
            lane.open(tasks)

    def attach(self, source: Source) -> Lane:
        """Return the lane of a source that came into use."""
        identity = self._identities.setdefault(source.identity.stable, _Identity())
        identity.sources += 1
        return self._enter(source)

    def detach(self, source: Source, lane: Lane) -> None:
        """Note that a source went out of use."""
        self._leave(source, lane)
        stable = source.identity.stable
        identity = self._identities[stable]
        identity.sources -= 1
        if not identity.sources:
            del self._identities[stable]
            self._part(identity)

    def authenticated(self, source: Source) -> None:
        """Note that the identity of a source has credentials: its role is what it says."""
        account = source.identity.account
        if account and self._identities[source.identity.stable].owner is None:
            for lane in self._own(source, account):
                self._resettle(lane, source.identity.stable)

    def answered(self, source: Source, lane: Lane) -> None:
        """Note that a call succeeded, which proves what the source says of itself."""
        stable = source.identity.stable
        owner = self._identities[stable].owner
        lanes = [lane]
        if owner is None:
            lanes = self._own(source, source.identity.account or stable)
        self._heard_from(source, lanes)

    def refused(self, source: Source, lane: Lane) -> None:
        """Note that a call was refused for its rate: there is a service, if not for whom."""
        if self._identities[source.identity.stable].owner is not None:
            self._heard_from(source, [lane])

    def _heard_from(self, source: Source, lanes: Iterable[Lane]) -> None:
        stable = source.identity.stable
        owner = self._owners[self._identities[stable].owner]
        owner.answered(source.provider, endpoint_class(source.endpoint))
        key = self._key_of(source)
        for lane in lanes:
            if lane.key != key:
                self._resettle(lane, stable)

    def _key_of(self, source: Source) -> LaneKey:
        owner = self._identities[source.identity.stable].owner
        if owner is None:
            return LaneKey(source.provider, None, "")
        endpoint = endpoint_class(source.endpoint)
        proved = (source.provider, endpoint) in self._owners[owner].endpoints
        return LaneKey(source.provider, owner, endpoint if proved else "")

    def _own(self, source: Source, owner: Hashable) -> list[Lane]:
        """Give an identity another owner; return the lanes where its sources are still."""
        identity = self._identities[source.identity.stable]
        endpoints = {(provider, "") for provider in self._providers}
        if identity.owner is not None:
            endpoints |= self._owners[identity.owner].endpoints
        keys = [LaneKey(provider, identity.owner, endpoint) for provider, endpoint in endpoints]
        self._part(identity)
        identity.owner = owner
        self._owners.setdefault(owner, _Owner()).identities += 1
        return [self._lanes[key] for key in keys if key in self._lanes]

    def _part(self, identity: _Identity) -> None:
        """Note that an identity has its owner no more; with the last one that is forgotten."""
        owner = self._owners.get(identity.owner)
        if owner is not None:
            owner.identities -= 1
            if not owner.identities:
                del self._owners[identity.owner]

    def _resettle(self, lane: Lane, stable: Hashable) -> None:
        """Move the sources of an identity to where they belong now."""
        self._move_some(lane, iter(lane.sources_of(stable)))

    def _move_some(self, lane: Lane, sources: Iterator[Source]) -> None:
        some = list(islice(sources, _TOGETHER))
        for source in some:
            if lane.has(source) and self._key_of(source) != lane.key:
                outage = lane.outage_of(source)
                self._leave(source, lane)
                target = self._enter(source)
                outage.hand_over(source, target.outage_of(source))
                self._moved(source, target)
        if some:
            asyncio.get_running_loop().call_soon(self._move_some, lane, sources)

    def _enter(self, source: Source) -> Lane:
        key = self._key_of(source)
        lane = self._lanes.get(key)
        if lane is None:
            limiter = self._limiters.take(key.provider, key)
            lane = self._lanes[key] = self._new_lane(key, limiter)
            if self._tasks is not None:
                lane.open(self._tasks)
        lane.join(source)
        return lane

    def _leave(self, source: Source, lane: Lane) -> None:
        lane.leave(source)
        if not lane.sources:
            lane.close()
            del self._lanes[lane.key]
            self._limiters.leave(lane.key)
