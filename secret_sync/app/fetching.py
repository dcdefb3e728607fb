"""The sources with everything that fetches them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from secret_sync.cloud.rate_limiter import RateLimiter
from secret_sync.metrics import CallMetrics, QueueMetrics
from secret_sync.providers.kms import KmsClient, fetch_secret
from secret_sync.providers.oos import OosClient, fetch_parameter
from secret_sync.resources.external_secret import DEFAULT_PROVIDER, OOS
from secret_sync.resources.meta import namespace_of
from secret_sync.sources import FetchObservers, SourceRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from secret_sync.cloud.transport import Transport
    from secret_sync.credentials import CredentialCache
    from secret_sync.metrics import Metrics
    from secret_sync.queue import Priority
    from secret_sync.settings import Settings
    from secret_sync.sources import Fetch


def make_sources(
    settings: Settings,
    metrics: Metrics,
    transport: Transport,
    cache: CredentialCache,
    notify: Callable[[Iterable[str], Priority], None],
) -> SourceRegistry:
    """Build the registry of sources for both services; each has its own rates.

    Args:
        settings: For the calls per second.
        metrics: Hear of calls, waits and queues.
        transport: The shared session.
        cache: The credentials of the calls.
        notify: Called with the objects that a finished fetch concerns.
    """
    fetchers: dict[str, Fetch] = {
        DEFAULT_PROVIDER: partial(fetch_secret, KmsClient(transport)),
        OOS: partial(fetch_parameter, OosClient(transport)),
    }
    rates = {
        DEFAULT_PROVIDER: float(settings.max_concurrent_kms_secret_pulls),
        OOS: float(settings.max_concurrent_oos_secret_pulls),
    }
    calls = {provider: CallMetrics(metrics, provider) for provider in rates}
    return SourceRegistry(
        fetchers=fetchers,
        credentials=cache,
        new_limiter=lambda provider: RateLimiter(rates[provider], on_wait=calls[provider].waited),
        observers={
            provider: FetchObservers(QueueMetrics(metrics, f"source-{provider}"), calls[provider])
            for provider in rates
        },
        notify=notify,
        tenant_of=namespace_of,
    )
