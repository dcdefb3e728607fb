"""Names and labels are an interface (M): dashboards and alerts are written for them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client import generate_latest

from secret_sync.credentials import METHODS
from secret_sync.metrics import (
    CallMetrics,
    CredentialMetrics,
    EventMetrics,
    LeaseMetrics,
    Metrics,
    QueueMetrics,
    ReflectorMetrics,
    RequestMetrics,
    SyncMetrics,
    WorkerMetrics,
)
from secret_sync.queue import Result
from secret_sync.sources.freshness import Freshness
from tests.support.scraping import openmetrics, samples


@dataclass
class Queue:
    name: str
    items: int
    unfinished_work_seconds: float
    longest_running_processor_seconds: float

    def __len__(self) -> int:
        return self.items


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


def shown(metrics: Metrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_build_info_and_the_process_are_there(metrics: Metrics) -> None:
    text = "\n".join(shown(metrics))
    assert 'version="1.2.3"' in text
    assert "process_resident_memory_bytes" in text


def test_metrics_of_alerts_are_zero_from_the_start(metrics: Metrics) -> None:
    SyncMetrics(metrics)
    CallMetrics(metrics, "kms")
    ReflectorMetrics(metrics, "secrets")
    QueueMetrics(metrics, "externalsecret")
    EventMetrics(metrics)
    CredentialMetrics(metrics, ["RRSA"])
    WorkerMetrics(metrics, "externalsecret")
    lines = shown(metrics)
    for sample in (
        'secret_sync_syncs_total{result="failed"} 0.0',
        'secret_sync_provider_calls_total{provider="kms",result="throttled"} 0.0',
        'secret_sync_provider_throttled_total{provider="kms"} 0.0',
        'secret_sync_credential_fetches_total{method="RRSA",result="ok"} 0.0',
        'secret_sync_credential_fetches_total{method="RRSA",result="refused"} 0.0',
        *(
            f'secret_sync_reconciles_total{{controller="externalsecret",result="{result}"}} 0.0'
            for result in Result
        ),
        'secret_sync_rate_limiter_wait_seconds_count{provider="kms"} 0.0',
        'secret_sync_reflector_lists_total{resource="secrets"} 0.0',
        'secret_sync_reflector_errors_total{kind="expired",resource="secrets"} 0.0',
        'secret_sync_informer_handler_errors_total{resource="secrets"} 0.0',
        'secret_sync_events_total{type="Warning"} 0.0',
        'secret_sync_events_dropped_total{why="rate"} 0.0',
        'secret_sync_events_dropped_total{why="queue_full"} 0.0',
        'secret_sync_events_dropped_total{why="refused"} 0.0',
        'secret_sync_events_dropped_total{why="namespace_gone"} 0.0',
        'secret_sync_events_dropped_total{why="unavailable"} 0.0',
        'secret_sync_events_dropped_total{why="shutdown"} 0.0',
        'workqueue_adds_total{name="externalsecret"} 0.0',
        'workqueue_retries_total{name="externalsecret"} 0.0',
    ):
        assert sample in lines


def test_syncs_count_and_only_writes_have_a_latency(metrics: Metrics) -> None:
    syncs = SyncMetrics(metrics)
    syncs.synced("written", 0.02, "c0ffee")
    syncs.synced("unchanged", None, "")
    lines = shown(metrics)
    assert 'secret_sync_syncs_total{result="written"} 1.0' in lines
    assert 'secret_sync_syncs_total{result="unchanged"} 1.0' in lines
    assert "secret_sync_sync_latency_seconds_count 1.0" in lines


def test_only_what_is_in_the_log_has_an_exemplar(metrics: Metrics) -> None:
    syncs = SyncMetrics(metrics)
    syncs.synced("written", 0.02, "c0ffee")
    syncs.synced("written", 7, "")
    syncs.synced("failed", None, "c0ffee")
    syncs.synced("failed", None, "")
    found = [line for line in openmetrics(metrics.registry).splitlines() if "reconcile_id" in line]
    assert [line.split(" # ")[0] for line in found] == [
        'secret_sync_syncs_total{result="failed"} 2.0',
        'secret_sync_sync_latency_seconds_bucket{le="0.025"} 1.0',
    ]


def test_calls_count_by_result(metrics: Metrics) -> None:
    calls = CallMetrics(metrics, "kms")
    calls.called("ok", 0.01)
    calls.called("throttled", 0.01)
    calls.waited(0.1)
    lines = shown(metrics)
    assert 'secret_sync_provider_calls_total{provider="kms",result="ok"} 1.0' in lines
    assert 'secret_sync_provider_throttled_total{provider="kms"} 1.0' in lines
    assert 'secret_sync_provider_call_duration_seconds_count{provider="kms"} 2.0' in lines
    assert 'secret_sync_rate_limiter_wait_seconds_count{provider="kms"} 1.0' in lines


def test_the_words_of_a_server_do_not_become_labels(metrics: Metrics) -> None:
    reflector = ReflectorMetrics(metrics, "secrets")
    reflector.event("MODIFIED")
    reflector.event("surprise")
    lines = shown(metrics)
    assert 'secret_sync_reflector_events_total{resource="secrets",type="MODIFIED"} 1.0' in lines
    assert 'secret_sync_reflector_events_total{resource="secrets",type="other"} 1.0' in lines
    assert not [line for line in lines if "surprise" in line]


def test_reflectors_and_workers_report(metrics: Metrics) -> None:
    reflector = ReflectorMetrics(metrics, "secrets")
    reflector.listed()
    reflector.watching()
    reflector.failed("expired")
    reflector.handler_raised()
    WorkerMetrics(metrics, "externalsecret").finished("done")
    lines = shown(metrics)
    assert 'secret_sync_reflector_lists_total{resource="secrets"} 1.0' in lines
    assert 'secret_sync_reflector_watches_total{resource="secrets"} 1.0' in lines
    assert 'secret_sync_reflector_errors_total{kind="expired",resource="secrets"} 1.0' in lines
    assert 'secret_sync_informer_handler_errors_total{resource="secrets"} 1.0' in lines
    assert 'secret_sync_reconciles_total{controller="externalsecret",result="done"} 1.0' in lines


def test_events_count_by_occurrence(metrics: Metrics) -> None:
    events = EventMetrics(metrics)
    events.sent("Warning", 3)
    events.dropped("rate", 2)
    lines = shown(metrics)
    assert 'secret_sync_events_total{type="Warning"} 3.0' in lines
    assert 'secret_sync_events_dropped_total{why="rate"} 2.0' in lines


def test_election_reports(metrics: Metrics) -> None:
    lines = shown(metrics)
    assert "secret_sync_lease_failures_total 0.0" in lines
    assert "secret_sync_lease_transitions_total 0.0" in lines
    lease = LeaseMetrics(metrics)
    lease.failed()
    lease.changed()
    lines = shown(metrics)
    assert "secret_sync_lease_failures_total 1.0" in lines
    assert "secret_sync_lease_transitions_total 1.0" in lines


def test_queues_are_read_when_asked_for_and_summed_by_name(metrics: Metrics) -> None:
    queues = [Queue("source-kms", 2, 1.5, 1.0), Queue("source-kms", 3, 0.5, 4.0)]
    metrics.watch_queues(lambda: queues)
    queues.append(Queue("externalsecret", 0, 0.0, 0.0))
    lines = shown(metrics)
    assert 'workqueue_depth{name="source-kms"} 5.0' in lines
    assert 'workqueue_unfinished_work_seconds{name="source-kms"} 2.0' in lines
    assert 'workqueue_longest_running_processor_seconds{name="source-kms"} 4.0' in lines
    assert 'workqueue_depth{name="externalsecret"} 0.0' in lines


def test_queue_reports_its_events(metrics: Metrics) -> None:
    queue = QueueMetrics(metrics, "externalsecret")
    queue.added()
    queue.waited(0.1)
    queue.worked(0.1)
    queue.retried()
    lines = shown(metrics)
    for name in ("adds_total", "retries_total", "queue_duration_seconds_count"):
        assert f'workqueue_{name}{{name="externalsecret"}} 1.0' in lines
    assert 'workqueue_work_duration_seconds_count{name="externalsecret"} 1.0' in lines


def test_attempts_at_credentials_count_by_method(metrics: Metrics) -> None:
    credentials = CredentialMetrics(metrics, METHODS)
    credentials.fetched("RRSA", "ok")
    credentials.fetched("WorkerRole", "unavailable")
    # One that somebody forgot to list is counted nevertheless.
    credentials.fetched("Carrier pigeon", "ok")
    name = "secret_sync_credential_fetches_total"
    lines = shown(metrics)
    for method, result in (
        ("RRSA", "ok"),
        ("WorkerRole", "unavailable"),
        ("Carrier pigeon", "ok"),
    ):
        assert f'{name}{{method="{method}",result="{result}"}} 1.0' in lines
    assert sum(line.startswith(name) for line in lines) == len(METHODS) * 5 + 1


def test_freshness_is_looked_at_once_for_each_scrape(metrics: Metrics) -> None:
    looks = []

    def look() -> Freshness:
        looks.append(1)
        return Freshness(2, 61.5, 1)

    metrics.watch_sources(look)
    looks.clear()
    lines = shown(metrics)
    assert "secret_sync_sources_stale 2.0" in lines
    assert "secret_sync_sources_late 1.0" in lines
    assert "secret_sync_oldest_overdue_seconds 61.5" in lines
    assert len(looks) == 1


def test_objects_are_counted_when_asked_for(metrics: Metrics) -> None:
    counts = {"ExternalSecret": {("True", "Synced"): 3, ("False", "NoData"): 1, ("Unknown", ""): 0}}
    metrics.watch_objects(lambda: counts)
    counts["ExternalSecret"]["Unknown", ""] = 4
    name = "secret_sync_objects"
    assert [line for line in shown(metrics) if line.startswith(name)] == [
        f'{name}{{kind="ExternalSecret",ready="True",reason="Synced"}} 3.0',
        f'{name}{{kind="ExternalSecret",ready="False",reason="NoData"}} 1.0',
        f'{name}{{kind="ExternalSecret",ready="Unknown",reason=""}} 4.0',
    ]


def test_requests_count_by_what_is_known_of_them(metrics: Metrics) -> None:
    requests = RequestMetrics(metrics, {"secrets"})
    for _ in range(2):
        requests.requested("patch", "secrets", 200, 0.02)
    requests.requested("patch", "secrets", 409, 0.02)
    requests.requested("create", "selfsubjectreviews", 0, 15.0)
    requests.requested("get", "", 200, 0.0)
    name = "secret_sync_api_requests_total"
    assert [line for line in shown(metrics) if line.startswith(name)] == [
        f'{name}{{code="200",resource="secrets",verb="patch"}} 2.0',
        f'{name}{{code="409",resource="secrets",verb="patch"}} 1.0',
        f'{name}{{code="none",resource="other",verb="create"}} 1.0',
        f'{name}{{code="200",resource="other",verb="get"}} 1.0',
    ]
    count = 'secret_sync_api_request_duration_seconds_count{resource="secrets",verb="patch"} 3.0'
    assert count in shown(metrics)


def test_changes_are_observed_with_and_without_a_rotation(metrics: Metrics) -> None:
    calls = CallMetrics(metrics, "kms")
    calls.changed(70.0, None)
    calls.changed(61.0, 3.0)
    lines = shown(metrics)
    assert 'secret_sync_staleness_seconds_sum{provider="kms"} 131.0' in lines
    assert 'secret_sync_staleness_seconds_bucket{le="60.0",provider="kms"} 0.0' in lines
    assert 'secret_sync_propagation_seconds_sum{provider="kms"} 3.0' in lines
    assert 'secret_sync_propagation_seconds_count{provider="kms"} 1.0' in lines


def test_rates_are_read_when_asked_for(metrics: Metrics) -> None:
    metrics.watch_rates(lambda: {("kms", "account-0001", "cn-hangzhou"): 0.5})
    labels = 'identity="account-0001",provider="kms",region="cn-hangzhou"'
    assert f"secret_sync_rate_limit_use_ratio{{{labels}}} 0.5" in shown(metrics)


def test_age_of_a_series_is_no_series(metrics: Metrics) -> None:
    SyncMetrics(metrics).synced("written", 0.2, "c0ffee")
    assert not [line for line in shown(metrics) if "_created" in line]
    assert "_created" not in openmetrics(metrics.registry)


def test_all_of_it_is_openmetrics(metrics: Metrics) -> None:
    """The parser of that form takes nothing else, least of all a sample twice."""
    SyncMetrics(metrics).synced("written", 0.2, "c0ffee")
    CredentialMetrics(metrics, METHODS)
    WorkerMetrics(metrics, "externalsecret")
    ReflectorMetrics(metrics, "secrets")
    metrics.watch_queues(lambda: [Queue("externalsecret", 0, 0.0, 0.0)])
    metrics.watch_sources(lambda: Freshness(0, 0.0, 0))
    metrics.watch_objects(lambda: {"ExternalSecret": {("True", "Synced"): 1}})
    names = {sample.name for sample in samples(metrics.registry)}
    assert {"secret_sync_syncs_total", "secret_sync_objects", "workqueue_depth"} <= names


def test_a_gauge_is_read_when_asked_for(metrics: Metrics) -> None:
    values = [1.0]
    metrics.read("sources", "Sources.", lambda: values[-1])
    values.append(7.0)
    assert "secret_sync_sources 7.0" in shown(metrics)


def test_histogram_buckets_include_their_bound_and_add_up(metrics: Metrics) -> None:
    queue = QueueMetrics(metrics, "externalsecret")
    for seconds in (0.01, 0.011, 0.5, 1e9):
        queue.waited(seconds)
    name = "workqueue_queue_duration_seconds"
    found = {s.labels.get("le"): s.value for s in samples(metrics.registry) if name in s.name}
    assert (found["0.01"], found["0.025"], found["0.25"], found["0.5"]) == (1, 2, 2, 3)
    assert (found["300.0"], found["+Inf"]) == (3, 4)
    (total,) = [s.value for s in samples(metrics.registry) if s.name == f"{name}_sum"]
    assert total == pytest.approx(1e9 + 0.521)


def test_a_series_with_a_label_missing_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="labels"):
        metrics.reconciles.labels("externalsecret")
