"""Which queue and rate a source belongs to: those of the identity that reads it.

*Proved rates*: the contents of an object decide nothing, since its author can name any account,
region or instance, and any number of AccessKeys. Only what a call has proved gives a queue:

- An identity, by its first success. Until then all identities of a provider share one queue.
- The account of an identity, by its role, once STS has let it be assumed. The identities of one
  account share its queues. That of an AccessKey is not known: a success with an ARN proves
  nothing, since the owner of a secret may let other accounts read it.
- An endpoint, by the first success there, or by a throttling answer, which then slows down
  only this endpoint. Until then all endpoints of an identity share one queue, and from the ninth on
  they do for good.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from secret_sync.cloud.endpoints import endpoint_class
from secret_sync.sources.rate_limited_queue import SourceQueueKey
from secret_sync.sources.rate_limiters import RateLimiterPool

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

    from secret_sync.cloud.rate_limiter import RateLimiter
    from secret_sync.sources.rate_limited_queue import RateLimitedQueue
    from secret_sync.sources.source import Source

#: Endpoints of one identity and provider that have a queue of their own.
OWN_QUEUES: Final = 8
#: Sources that change their queue in one turn of the event loop.
_BATCH: Final = 200


@dataclass(slots=True)
class _Identity:
    """One identity in use.

    Attributes:
        owner: Whose queues it uses: its account, else itself; ``None`` before its first success.
    """

    owner: Hashable = None
    sources: int = 0


class _Owner:
    """An account, or an identity whose account is not known."""

    __slots__ = ("endpoints", "identities")

    def __init__(self) -> None:
        # Endpoint classes that have answered, with their providers.
        self.endpoints: set[tuple[str, str]] = set()
        self.identities = 0

    def answered(self, provider: str, endpoint: str) -> None:
        """Give an endpoint its own queue, unless there are too many."""
        if sum(1 for known, _ in self.endpoints if known == provider) < OWN_QUEUES:
            self.endpoints.add((provider, endpoint))


class SourceQueues:
    """The rate limited queues of all sources in use; each closes with its last source.

    Args:
        providers: Names of all providers.
        new_limiter: Builds the rate limiter of a queue, by provider.
        new_queue: Builds a queue that is not open yet.
        moved: Called with a source that belongs to another queue now.
    """

    def __init__(
        self,
        providers: tuple[str, ...],
        new_limiter: Callable[[str], RateLimiter],
        new_queue: Callable[[SourceQueueKey, RateLimiter], RateLimitedQueue],
        moved: Callable[[Source, RateLimitedQueue], None],
    ) -> None:
        self._providers = providers
        self._limiters = RateLimiterPool(new_limiter)
        self._new_queue = new_queue
        self._moved = moved
        self._queues: dict[SourceQueueKey, RateLimitedQueue] = {}
        self._identities: dict[Hashable, _Identity] = {}
        self._owners: dict[Hashable, _Owner] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def queues(self) -> Mapping[SourceQueueKey, RateLimitedQueue]:
        """The queues that have sources."""
        return self._queues

    def open(self, tasks: asyncio.TaskGroup) -> None:
        """Start the dispatchers of all queues in a group, and of each that is made later."""
        self._tasks = tasks
        for queue in self._queues.values():
            queue.open(tasks)

    def attach(self, source: Source) -> RateLimitedQueue:
        """Return the queue of a source that came into use."""
        identity = self._identities.setdefault(source.identity.stable, _Identity())
        identity.sources += 1
        return self._enter(source)

    def detach(self, source: Source, queue: RateLimitedQueue) -> None:
        """Remove a source that is no longer used."""
        self._leave(source, queue)
        stable = source.identity.stable
        identity = self._identities[stable]
        identity.sources -= 1
        if not identity.sources:
            del self._identities[stable]
            self._release_owner(identity)

    def authenticated(self, source: Source) -> None:
        """Record that the identity of a source has credentials, which proves its account."""
        account = source.identity.account
        if account and self._identities[source.identity.stable].owner is None:
            for queue in self._set_owner(source, account):
                self._reassign(queue, source.identity.stable)

    def answered(self, source: Source, queue: RateLimitedQueue) -> None:
        """Record that a call succeeded, which proves identity and endpoint."""
        if not queue.mixed:
            # Both are proved: it is the queue of this endpoint.
            return
        stable = source.identity.stable
        owner = self._identities[stable].owner
        queues = [queue]
        if owner is None:
            queues = self._set_owner(source, source.identity.account or stable)
        self._prove_endpoint(source, queues)

    def refused(self, source: Source, queue: RateLimitedQueue) -> None:
        """Record that a call was throttled, which proves that the endpoint exists."""
        if self._identities[source.identity.stable].owner is not None:
            self._prove_endpoint(source, [queue])

    def _prove_endpoint(self, source: Source, queues: Iterable[RateLimitedQueue]) -> None:
        stable = source.identity.stable
        owner = self._owners[self._identities[stable].owner]
        owner.answered(source.provider, endpoint_class(source.endpoint))
        key = self._key_of(source)
        for queue in queues:
            if queue.key != key:
                self._reassign(queue, stable)

    def _key_of(self, source: Source) -> SourceQueueKey:
        owner = self._identities[source.identity.stable].owner
        if owner is None:
            return SourceQueueKey(source.provider, None, "")
        endpoint = endpoint_class(source.endpoint)
        proved = (source.provider, endpoint) in self._owners[owner].endpoints
        return SourceQueueKey(source.provider, owner, endpoint if proved else "")

    def _set_owner(self, source: Source, owner: Hashable) -> list[RateLimitedQueue]:
        """Give an identity another owner; return the queues in which its sources still are."""
        identity = self._identities[source.identity.stable]
        endpoints = {(provider, "") for provider in self._providers}
        if identity.owner is not None:
            endpoints |= self._owners[identity.owner].endpoints
        keys = [
            SourceQueueKey(provider, identity.owner, endpoint) for provider, endpoint in endpoints
        ]
        self._release_owner(identity)
        identity.owner = owner
        self._owners.setdefault(owner, _Owner()).identities += 1
        return [self._queues[key] for key in keys if key in self._queues]

    def _release_owner(self, identity: _Identity) -> None:
        """Detach an identity from its owner, which is removed with its last identity."""
        owner = self._owners.get(identity.owner)
        if owner is not None:
            owner.identities -= 1
            if not owner.identities:
                del self._owners[identity.owner]

    def _reassign(self, queue: RateLimitedQueue, stable: Hashable) -> None:
        """Move the sources of an identity to the queue to which they belong now."""
        self._move_some(queue, iter(queue.sources_of(stable)))

    def _move_some(self, queue: RateLimitedQueue, sources: Iterator[Source]) -> None:
        some = list(islice(sources, _BATCH))
        for source in some:
            if queue.has(source) and self._key_of(source) != queue.key:
                outage = queue.outage_of(source)
                self._leave(source, queue)
                target = self._enter(source)
                outage.move_to(source, target.outage_of(source))
                self._moved(source, target)
        if some:
            asyncio.get_running_loop().call_soon(self._move_some, queue, sources)

    def _enter(self, source: Source) -> RateLimitedQueue:
        key = self._key_of(source)
        queue = self._queues.get(key)
        if queue is None:
            limiter = self._limiters.take(key.provider, key)
            queue = self._queues[key] = self._new_queue(key, limiter)
            if self._tasks is not None:
                queue.open(self._tasks)
        queue.join(source)
        return queue

    def _leave(self, source: Source, queue: RateLimitedQueue) -> None:
        queue.leave(source)
        if not queue.sources:
            queue.close()
            del self._queues[queue.key]
            self._limiters.leave(queue.key)
