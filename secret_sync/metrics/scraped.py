"""Metrics that are read at every scrape and cost nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric


class QueueState(Protocol):
    """The state of a work queue at scrape time."""

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


class HasFreshness(Protocol):
    """How late values are."""

    @property
    def stale(self) -> int:
        """Sources whose value is older than two of their intervals."""
        ...

    @property
    def late(self) -> int:
        """The stale ones without those that were refused."""
        ...

    @property
    def overdue_seconds(self) -> float:
        """By how much the most overdue refresh is late; 0 if none is."""
        ...


class QueueCollector(Collector):
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


class FreshnessCollector(Collector):
    """The gauges of one pass over all sources."""

    def __init__(self, look: Callable[[], HasFreshness]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        found = self._look()
        yield GaugeMetricFamily(
            "secret_sync_sources_stale",
            "Sources whose value is older than two of their intervals.",
            value=found.stale,
        )
        yield GaugeMetricFamily(
            "secret_sync_sources_late",
            "Stale sources that had a value before and were not refused.",
            value=found.late,
        )
        yield GaugeMetricFamily(
            "secret_sync_oldest_overdue_seconds",
            "By how much the most overdue refresh is late.",
            value=found.overdue_seconds,
        )


class SeriesCollector(Collector):
    """A gauge whose series are read together."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, number in self._read().items():
            family.add_metric(values, number)
        yield family


class LogCollector(Collector):
    """Log lines that were lost, by reason."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "secret_sync_log_lines_dropped", "Log lines that were lost.", labels=["reason"]
        )
        for reason, count in self._count().items():
            family.add_metric([reason], count)
        yield family


def _family(name: str, documentation: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=["name"])
    for label, value in values.items():
        family.add_metric([label], value)
    return family
