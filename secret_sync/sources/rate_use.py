"""How much of their rate limits identities use, in labels that are few and name nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from secret_sync.sources.rate_limited_queue import RateLimitedQueue

#: Series at most; the queues beyond them share one.
MAX_SERIES: Final = 50
_DIGITS: Final = 4


def rate_use_of(queues: Iterable[RateLimitedQueue]) -> dict[tuple[str, ...], float]:
    """Return the highest use of a rate, by provider, identity and region.

    An account is known by its last digits: whoever runs the cluster recognizes it, and whoever can
    read the metrics does not learn it.
    """
    found: dict[tuple[str, ...], float] = {}
    for queue in queues:
        provider, owner, endpoint = queue.key
        labels = provider, _identity(owner), _region(endpoint)
        if labels not in found and len(found) >= MAX_SERIES:
            labels = provider, "other", "other"
        found[labels] = max(found.get(labels, 0.0), queue.limiter.use)
    return found


def _identity(owner: Hashable) -> str:
    if isinstance(owner, str):
        return f"account-{owner[-_DIGITS:]}"
    # Of an identity whose account is not known, the method.
    return str(owner[0]) if isinstance(owner, tuple) else "unproved"


def _region(endpoint: str) -> str:
    # A host is that of a dedicated instance, or has its region between two dots.
    if "." not in endpoint:
        return endpoint or "mixed"
    service, region, *_ = endpoint.split(".")
    return region if service in {"oos", "oos-vpc"} else "dedicated"
