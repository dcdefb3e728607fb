"""All metrics of the controller (M): base unit seconds, and no object's name in a label.

Each room defines what it wants to tell as a small protocol; the classes here answer it.
Children of labelled metrics are kept, and those that alerts need start at zero.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

_PREFIX: Final = "secret_sync_"
#: From a value read from memory to a rate-limited backlog.
_LATENCY: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_WORK: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SYNC_RESULTS: Final = ("written", "unchanged", "pending", "failed")
_CALL_RESULTS: Final = ("ok", "throttled", "unavailable", "credentials", "refused")
_WATCH_EVENTS: Final = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "other")
_EVENT_TYPES: Final = ("Normal", "Warning")
_EVENT_DROPS: Final = ("rate", "queue_full", "refused", "unavailable", "shutdown")
_REFLECTOR_ERRORS: Final = ("expired", "unavailable", "refused", "garbled", "unreadable")


class QueueState(Protocol):
    """What is read of a work queue at scrape time (Q15)."""

    @property
    def name(self) -> str:
        """The label."""
        ...

    def __len__(self) -> int:
        """Items ready to be taken; delayed ones are not among them."""
        ...

    @property
    def unfinished_work_seconds(self) -> float:
        """Seconds of work in flight, summed."""
        ...

    @property
    def longest_running_processor_seconds(self) -> float:
        """Seconds the longest work in flight has taken so far."""
        ...


class QueueMetrics:
    """Hears of the work queues of one name."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._adds = metrics.queue_adds.labels(name)
        self._waits = metrics.queue_waits.labels(name)
        self._works = metrics.queue_works.labels(name)
        self._retries = metrics.queue_retries.labels(name)

    def depth(self, items: int) -> None:
        """Depth is read at scrape time instead: several queues share a name."""

    def added(self) -> None:
        """An add was accepted."""
        self._adds.inc()

    def waited(self, seconds: float) -> None:
        """An item was taken, this long after its first add."""
        self._waits.observe(seconds)

    def worked(self, seconds: float) -> None:
        """An item is done, this long after it was taken."""
        self._works.observe(seconds)

    def retried(self) -> None:
        """A rate-limited add."""
        self._retries.inc()


class WorkerMetrics:
    """Hears of the workers of one control loop."""

    def __init__(self, metrics: Metrics, controller: str) -> None:
        self._counter = metrics.reconciles
        self._controller = controller

    def finished(self, result: str) -> None:
        """A reconcile ended."""
        self._counter.labels(self._controller, result).inc()


class SyncMetrics:
    """Hears how ExternalSecrets fare."""

    def __init__(self, metrics: Metrics) -> None:
        self._results = {r: metrics.syncs.labels(r) for r in _SYNC_RESULTS}
        self._latency = metrics.sync_latency

    def synced(self, result: str, latency: float | None, line: str) -> None:
        """A reconcile came to a result.

        Args:
            result: The label.
            latency: Seconds, of a write whose cause is known.
            line: ``reconcile_id`` of its line in the log, which becomes the exemplar; or ``""``.
        """
        exemplar = {"reconcile_id": line} if line else None
        self._results[result].inc(exemplar=exemplar)
        if latency is not None:
            self._latency.observe(latency, exemplar)


class CallMetrics:
    """Hears of the calls to one provider."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._results = {r: metrics.calls.labels(provider, r) for r in _CALL_RESULTS}
        self._seconds = metrics.call_seconds.labels(provider)
        self._waits = metrics.rate_waits.labels(provider)
        self._throttled = metrics.throttled.labels(provider)

    def called(self, result: str, seconds: float) -> None:
        """A call ended."""
        self._results[result].inc()
        self._seconds.observe(seconds)
        if result == "throttled":
            self._throttled.inc()

    def waited(self, seconds: float) -> None:
        """A rate token was waited for."""
        self._waits.observe(seconds)


class ReflectorMetrics:
    """Hears of the reflectors of one kind of object."""

    def __init__(self, metrics: Metrics, resource: str) -> None:
        self._lists = metrics.lists.labels(resource)
        self._watches = metrics.watches.labels(resource)
        self._events = {s: metrics.watch_events.labels(resource, s) for s in _WATCH_EVENTS}
        self._errors = {k: metrics.reflector_errors.labels(resource, k) for k in _REFLECTOR_ERRORS}
        self._handler_errors = metrics.handler_errors.labels(resource)

    def listed(self) -> None:
        """A list was complete."""
        self._lists.inc()

    def watching(self) -> None:
        """A watch was opened."""
        self._watches.inc()

    def event(self, kind: str) -> None:
        """A watch event came in; a server's word that is not known counts as other."""
        self._events.get(kind, self._events["other"]).inc()

    def failed(self, kind: str) -> None:
        """A list or watch failed."""
        self._errors[kind].inc()

    def handler_raised(self) -> None:
        """A handler raised."""
        self._handler_errors.inc()


class EventMetrics:
    """Hears what became of the Events that were recorded."""

    def __init__(self, metrics: Metrics) -> None:
        self._sent = {t: metrics.events.labels(t) for t in _EVENT_TYPES}
        self._dropped = {w: metrics.events_dropped.labels(w) for w in _EVENT_DROPS}

    def sent(self, type_: str, occurrences: int) -> None:
        """The API server has taken these."""
        self._sent[type_].inc(occurrences)

    def dropped(self, why: str, occurrences: int) -> None:
        """Nobody will see these."""
        self._dropped[why].inc(occurrences)


class LeaseMetrics:
    """Hears of the election of a leader."""

    def __init__(self, metrics: Metrics) -> None:
        self._failures = metrics.lease_failures
        self._transitions = metrics.lease_transitions

    def failed(self) -> None:
        """An attempt to take, renew or look at the lease failed."""
        self._failures.inc()

    def changed(self) -> None:
        """Another replica leads than before."""
        self._transitions.inc()


class Metrics:
    """The registry of one process and everything in it."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._queue_metrics()
        self._sync_metrics()
        self._call_metrics()
        self._reflector_metrics()
        self._event_metrics()
        self._lease_metrics()
        build = self._gauge(
            "build_info", "Always 1; the labels tell what is running.", "version", "python"
        )
        build.labels(version, platform.python_version()).set(1)

    def _queue_metrics(self) -> None:
        self.queue_adds = Counter(
            "workqueue_adds_total", "Accepted adds.", ["name"], registry=self.registry
        )
        self.queue_retries = Counter(
            "workqueue_retries_total", "Rate-limited adds.", ["name"], registry=self.registry
        )
        self.queue_waits = Histogram(
            "workqueue_queue_duration_seconds",
            "From the first add of an item to its being taken.",
            ["name"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        self.queue_works = Histogram(
            "workqueue_work_duration_seconds",
            "From an item's being taken to its being done.",
            ["name"],
            buckets=_WORK,
            registry=self.registry,
        )

    def _sync_metrics(self) -> None:
        self.syncs = self._counter("syncs_total", "Reconciles of ExternalSecrets.", "result")
        self.sync_latency = self._histogram(
            "sync_latency_seconds",
            "From the event that caused it to the applied write of the Secret.",
            _LATENCY,
        )
        self.reconciles = self._counter(
            "reconciles_total", "Turns of the workers.", "controller", "result"
        )

    def _call_metrics(self) -> None:
        self.calls = self._counter(
            "provider_calls_total", "Calls to Alibaba Cloud.", "provider", "result"
        )
        self.call_seconds = self._histogram(
            "provider_call_duration_seconds", "Duration of one call.", _WORK, "provider"
        )
        self.throttled = self._counter(
            "provider_throttled_total", "Answers that limit our rate.", "provider"
        )
        self.rate_waits = self._histogram(
            "rate_limiter_wait_seconds", "Waiting for a rate token.", _LATENCY, "provider"
        )

    def _reflector_metrics(self) -> None:
        self.lists = self._counter("reflector_lists_total", "Complete lists.", "resource")
        self.watches = self._counter("reflector_watches_total", "Watches begun.", "resource")
        self.watch_events = self._counter(
            "reflector_events_total", "Events received.", "resource", "type"
        )
        self.reflector_errors = self._counter(
            "reflector_errors_total", "Failed lists and watches.", "resource", "kind"
        )
        self.handler_errors = self._counter(
            "informer_handler_errors_total", "Handlers that raised.", "resource"
        )

    def _event_metrics(self) -> None:
        self.events = self._counter(
            "events_total", "Occurrences told of in Events of Kubernetes.", "type"
        )
        self.events_dropped = self._counter(
            "events_dropped_total", "Occurrences that no Event tells of.", "why"
        )

    def _lease_metrics(self) -> None:
        self.lease_failures = self._counter(
            "lease_failures_total", "Failed attempts to take, renew or look at the lease."
        )
        self.lease_transitions = self._counter(
            "lease_transitions_total", "Changes of the leader that this replica has seen."
        )

    def watch_queues(self, queues: Callable[[], Iterable[QueueState]]) -> None:
        """Reads these queues at every scrape."""
        self.registry.register(_QueueCollector(queues))

    def read(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """A gauge whose value is asked for at every scrape."""
        self._gauge(name, documentation).set_function(value)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            _PREFIX + name, documentation, labels, buckets=buckets, registry=self.registry
        )


class _QueueCollector(Collector):
    """Depth and work in flight, summed over the queues of one name."""

    def __init__(self, queues: Callable[[], Iterable[QueueState]]) -> None:
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        depth: dict[str, float] = {}
        unfinished: dict[str, float] = {}
        longest: dict[str, float] = {}
        for queue in self._queues():
            name = queue.name
            depth[name] = depth.get(name, 0) + len(queue)
            unfinished[name] = unfinished.get(name, 0) + queue.unfinished_work_seconds
            longest[name] = max(longest.get(name, 0), queue.longest_running_processor_seconds)
        yield _family("workqueue_depth", "Items ready to be taken.", depth)
        yield _family(
            "workqueue_unfinished_work_seconds", "Seconds of work in flight, summed.", unfinished
        )
        yield _family(
            "workqueue_longest_running_processor_seconds",
            "Seconds the longest work in flight has taken.",
            longest,
        )


def _family(name: str, documentation: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=["name"])
    for label, value in values.items():
        family.add_metric([label], value)
    return family
