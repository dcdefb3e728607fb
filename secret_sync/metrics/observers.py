"""Observers: each class implements the protocol of one package.

Children of labelled metrics are kept, and those that alerts need start at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync.metrics.accumulators import exemplar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from secret_sync.metrics.accumulators import Count, Distribution
    from secret_sync.metrics.names import Metrics

_SYNC_RESULTS: Final = ("written", "unchanged", "pending", "failed")
_TURN_RESULTS: Final = ("done", "requeue_after", "retry", "timeout", "error")
_CALL_RESULTS: Final = ("ok", "throttled", "unavailable", "credentials", "refused")
_WATCH_EVENTS: Final = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "other")
_EVENT_TYPES: Final = ("Normal", "Warning")
_EVENT_DROPS: Final = (
    *("rate", "queue_full", "refused", "namespace_gone", "unavailable", "shutdown"),
)
_REFLECTOR_ERRORS: Final = (
    *("expired", "unavailable", "refused", "garbled", "unreadable", "silent", "restored"),
)
_REFRESH_RESULTS: Final = (
    *("accepted", "unauthorized", "throttled", "invalid", "too_large", "standby", "incomplete"),
)


class QueueMetrics:
    """Observes the work queues of one name."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._adds = metrics.queue_adds.labels(name)
        self._retries = metrics.queue_retries.labels(name)
        self.waited: Callable[[float], None] = metrics.queue_waits.labels(name).observe
        self.worked: Callable[[float], None] = metrics.queue_works.labels(name).observe

    def added(self) -> None:
        self._adds.value += 1

    def retried(self) -> None:
        self._retries.value += 1


class WorkerMetrics:
    """Observes the workers of one control loop."""

    def __init__(self, metrics: Metrics, controller: str) -> None:
        self._results = {r: metrics.reconciles.labels(controller, r) for r in _TURN_RESULTS}

    def finished(self, result: str) -> None:
        self._results[result].value += 1


class SyncMetrics:
    """Observes the results of ExternalSecrets."""

    def __init__(self, metrics: Metrics) -> None:
        self._results = {r: metrics.syncs.labels(r) for r in _SYNC_RESULTS}
        self._latency = metrics.sync_latency.labels()

    def synced(self, result: str, latency: float | None, line: str) -> None:
        """Count the result of a reconcile.

        Args:
            result: The label.
            latency: Seconds, of a write whose cause is known.
            line: ``reconcile_id`` of its line in the log, which becomes the exemplar; or ``""``.
        """
        count = self._results[result]
        count.value += 1
        labels = {"reconcile_id": line} if line else None
        if latency is not None:
            # One exemplar is enough.
            self._latency.observe(latency, labels)
        elif labels:
            count.exemplar = exemplar(1, labels)


class CallMetrics:
    """Observes the calls to one provider."""

    def __init__(self, metrics: Metrics, provider: str) -> None:
        self._results = {r: metrics.calls.labels(provider, r) for r in _CALL_RESULTS}
        self._seconds = metrics.call_seconds.labels(provider)
        self.waited: Callable[[float], None] = metrics.rate_waits.labels(provider).observe
        self._throttled = metrics.throttled.labels(provider)
        self._staleness = metrics.staleness.labels(provider)
        self._propagation = metrics.propagation.labels(provider)

    def changed(self, staleness: float, propagation: float | None) -> None:
        """Observe how long a change went unseen, and how long ago the rotation was, if known."""
        self._staleness.observe(staleness)
        if propagation is not None:
            self._propagation.observe(propagation)

    def called(self, result: str, seconds: float) -> None:
        self._results[result].value += 1
        self._seconds.observe(seconds)
        if result == "throttled":
            self._throttled.value += 1


class CredentialMetrics:
    """Observes how credentials are obtained.

    Args:
        metrics: Where it is counted.
        methods: All there are.
    """

    def __init__(self, metrics: Metrics, methods: Iterable[str]) -> None:
        self._counter = metrics.credential_fetches
        for method in methods:
            for result in _CALL_RESULTS:
                self._counter.labels(method, result)

    def fetched(self, method: str, result: str) -> None:
        self._counter.labels(method, result).value += 1


class ReflectorMetrics:
    """Observes the reflectors of one kind of object."""

    def __init__(self, metrics: Metrics, resource: str) -> None:
        self._lists = metrics.lists.labels(resource)
        self._watches = metrics.watches.labels(resource)
        self._events = {s: metrics.watch_events.labels(resource, s) for s in _WATCH_EVENTS}
        self._errors = {k: metrics.reflector_errors.labels(resource, k) for k in _REFLECTOR_ERRORS}
        self._handler_errors = metrics.handler_errors.labels(resource)

    def listed(self) -> None:
        self._lists.value += 1

    def watching(self) -> None:
        self._watches.value += 1

    def event(self, kind: str) -> None:
        """Count a watch event; unknown types count as other."""
        self._events.get(kind, self._events["other"]).value += 1

    def failed(self, kind: str) -> None:
        self._errors[kind].value += 1

    def handler_raised(self) -> None:
        self._handler_errors.value += 1


class RequestMetrics:
    """Observes the requests to the API server.

    Args:
        metrics: Where they are counted.
        resources: The plurals that become labels; the others are ``other``.
    """

    def __init__(self, metrics: Metrics, resources: Collection[str]) -> None:
        self._metrics = metrics
        self._resources = resources
        self._bound: dict[tuple[str, str, int], tuple[Count, Distribution]] = {}

    def requested(self, verb: str, resource: str, code: int, seconds: float) -> None:
        key = verb, resource, code
        count, distribution = self._bound.get(key) or self._bind(*key)
        count.value += 1
        distribution.observe(seconds)

    def _bind(self, verb: str, resource: str, code: int) -> tuple[Count, Distribution]:
        label = resource if resource in self._resources else "other"
        bound = self._bound[verb, resource, code] = (
            self._metrics.requests.labels(verb, label, str(code or "none")),
            self._metrics.request_seconds.labels(verb, label),
        )
        return bound


class EventMetrics:
    """Observes the results of recorded Events."""

    def __init__(self, metrics: Metrics) -> None:
        self._sent = {t: metrics.events.labels(t) for t in _EVENT_TYPES}
        self._dropped = {w: metrics.events_dropped.labels(w) for w in _EVENT_DROPS}

    def sent(self, type_: str, occurrences: int) -> None:
        self._sent[type_].value += occurrences

    def dropped(self, why: str, occurrences: int) -> None:
        self._dropped[why].value += occurrences


class LeaseMetrics:
    """Observes leader election."""

    def __init__(self, metrics: Metrics) -> None:
        self._failures = metrics.lease_failures.labels()
        self._transitions = metrics.lease_transitions.labels()

    def failed(self) -> None:
        self._failures.value += 1

    def changed(self) -> None:
        self._transitions.value += 1


class RefreshMetrics:
    """Observes push refresh."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = {r: metrics.refresh_requests.labels(r) for r in _REFRESH_RESULTS}
        self._refreshes = metrics.refreshes.labels()

    def requested(self, result: str) -> None:
        self._requests[result].value += 1

    def refreshed(self, sources: int) -> None:
        self._refreshes.value += sources
