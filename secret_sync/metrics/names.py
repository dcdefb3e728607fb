"""The names of all metrics (M): base unit seconds, and no object's name in a label."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client.metrics import Gauge
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from secret_sync.metrics.accumulators import Counter, Histogram
from secret_sync.metrics.scraped import (
    FreshnessCollector,
    LogCollector,
    QueueCollector,
    SeriesCollector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secret_sync.metrics.scraped import HasFreshness, QueueState

C = TypeVar("C", bound=Collector)

_PREFIX: Final = "secret_sync_"
#: From a value read from memory to a rate-limited backlog.
_LATENCY: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: Fewer, since there is one for each verb and resource.
_REQUEST: Final = (0.005, 0.01, 0.025, 0.1, 0.25, 1, 5, 15)
#: From an object with the shortest interval to an outage of days.
_STALENESS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_WORK: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The registry of one process and everything in it."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._queue_metrics()
        self._sync_metrics()
        self._call_metrics()
        self._credential_metrics()
        self._reflector_metrics()
        self._request_metrics()
        self._event_metrics()
        self._lease_metrics()
        self._push_metrics()
        build = self._gauge(
            "build_info", "Always 1; the labels are the versions.", "version", "python"
        )
        build.labels(version, platform.python_version()).set(1)

    def _queue_metrics(self) -> None:
        # Under the names that client-go gave them.
        self.queue_adds = self._add(Counter("workqueue_adds_total", "Accepted adds.", ["name"]))
        self.queue_retries = self._add(
            Counter("workqueue_retries_total", "Rate-limited adds.", ["name"])
        )
        self.queue_waits = self._add(
            Histogram(
                "workqueue_queue_duration_seconds",
                "Seconds from the first add of an item until it is taken.",
                _LATENCY,
                ["name"],
            )
        )
        self.queue_works = self._add(
            Histogram(
                "workqueue_work_duration_seconds",
                "Seconds from taking an item until it is done.",
                _WORK,
                ["name"],
            )
        )

    def _sync_metrics(self) -> None:
        self.syncs = self._counter("syncs_total", "Reconciles of ExternalSecrets.", "result")
        self.sync_latency = self._histogram(
            "sync_latency_seconds",
            "From the event that caused it to the applied write of the Secret.",
            _LATENCY,
        )
        self.reconciles = self._counter(
            "reconciles_total", "Reconciles of all controllers.", "controller", "result"
        )

    def _call_metrics(self) -> None:
        self.calls = self._counter(
            "provider_calls_total", "Calls to Alibaba Cloud.", "provider", "result"
        )
        self.call_seconds = self._histogram(
            "provider_call_duration_seconds", "Duration of one call.", _WORK, "provider"
        )
        self.throttled = self._counter("provider_throttled_total", "Throttled calls.", "provider")
        self.staleness = self._histogram(
            "staleness_seconds",
            "At a change: since the last call that still gave the previous value.",
            _STALENESS,
            "provider",
        )
        self.propagation = self._histogram(
            "propagation_seconds", "At a change: since the rotation in KMS.", _STALENESS, "provider"
        )
        self.rate_waits = self._histogram(
            "rate_limiter_wait_seconds",
            "Seconds spent waiting for a rate token.",
            _LATENCY,
            "provider",
        )

    def _credential_metrics(self) -> None:
        self.credential_fetches = self._counter(
            "credential_fetches_total", "Attempts to obtain credentials.", "method", "result"
        )

    def _reflector_metrics(self) -> None:
        self.lists = self._counter("reflector_lists_total", "Complete lists.", "resource")
        self.watches = self._counter("reflector_watches_total", "Watches opened.", "resource")
        self.watch_events = self._counter(
            "reflector_events_total", "Events received.", "resource", "type"
        )
        self.reflector_errors = self._counter(
            "reflector_errors_total", "Failed lists and watches.", "resource", "kind"
        )
        self.handler_errors = self._counter(
            "informer_handler_errors_total", "Handlers that raised.", "resource"
        )

    def _request_metrics(self) -> None:
        self.requests = self._counter(
            "api_requests_total", "Requests to the API server.", "verb", "resource", "code"
        )
        self.request_seconds = self._histogram(
            "api_request_duration_seconds",
            "Duration of one request; of a watch until it is open.",
            _REQUEST,
            "verb",
            "resource",
        )

    def _event_metrics(self) -> None:
        self.events = self._counter(
            "events_total", "Occurrences reported in Kubernetes Events.", "type"
        )
        self.events_dropped = self._counter(
            "events_dropped_total", "Occurrences that no Kubernetes Event reports.", "why"
        )

    def _lease_metrics(self) -> None:
        self.lease_failures = self._counter(
            "lease_failures_total", "Failed attempts to acquire, renew or read the Lease."
        )
        self.lease_transitions = self._counter(
            "lease_transitions_total", "Changes of the leader that this replica has seen."
        )

    def _push_metrics(self) -> None:
        self.refresh_requests = self._counter(
            "refresh_requests_total", "Requests for a push refresh.", "result"
        )
        self.refreshes = self._counter(
            "refreshes_total", "Sources whose refresh was scheduled by a request."
        )

    def watch_queues(self, queues: Callable[[], Iterable[QueueState]]) -> None:
        """Read these queues at every scrape."""
        self.registry.register(QueueCollector(queues))

    def watch_sources(self, look: Callable[[], HasFreshness]) -> None:
        """Read the freshness of all sources at every scrape."""
        self.registry.register(FreshnessCollector(look))

    def watch_objects(
        self, count: Callable[[], Mapping[str, Mapping[tuple[str, str], int]]]
    ) -> None:
        """Count objects at every scrape.

        Args:
            count: Return their numbers by kind, and by status and reason of their condition.
        """
        self._read_series(
            "objects",
            "Objects by their condition Ready.",
            ("kind", "ready", "reason"),
            lambda: {
                (kind, *by): n for kind, counts in count().items() for by, n in counts.items()
            },
        )

    def watch_dry_run(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Count objects at every scrape by what a dry run has found of them."""
        self._read_series(
            "dry_run_objects",
            "In a dry run: ExternalSecrets by what would become of the Secret.",
            ("outcome",),
            lambda: {(outcome,): number for outcome, number in count().items()},
        )

    def watch_rates(self, read: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Read at every scrape how much of its rate each identity uses, by the labels."""
        self._read_series(
            "rate_limit_use_ratio",
            "Share of the rate limit that was used in the last minute.",
            ("provider", "identity", "region"),
            read,
        )

    def watch_log(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        """Read at every scrape how many log lines were lost, by reason."""
        self.registry.register(LogCollector(dropped))

    def read(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read at every scrape."""
        self._gauge(name, documentation).set_function(value)

    def _read_series(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self.registry.register(SeriesCollector(_PREFIX + name, documentation, labels, read))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return self._add(Counter(_PREFIX + name, documentation, labels))

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return self._add(Histogram(_PREFIX + name, documentation, buckets, labels))

    def _add(self, family: C) -> C:
        self.registry.register(family)
        return family
