"""Counters and histograms that cost one addition each, and become samples when they are scraped.

Those of prometheus_client take a lock and check their labels each time, which was a twentieth of a
sync. All that is counted here is counted in the thread of the event loop, where scrapes are
answered, too.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from bisect import bisect_left
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import INF, floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

S = TypeVar("S", "Count", "Distribution")


class Count:
    """One series of a counter.

    Attributes:
        value: To be added to.
        exemplar: Of what was added last with one.
    """

    __slots__ = ("exemplar", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.exemplar: Exemplar | None = None


class Distribution:
    """One series of a histogram.

    Args:
        bounds: Of the buckets, ascending, the last one infinite.
    """

    __slots__ = ("_bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * len(bounds)
        self.exemplars: list[Exemplar | None] = [None] * len(bounds)
        self.sum = 0.0

    def observe(self, amount: float, example: dict[str, str] | None = None) -> None:
        """Add a value; the labels of an example say where it comes from."""
        self.sum += amount
        bucket = bisect_left(self._bounds, amount)
        self.counts[bucket] += 1
        if example is not None:
            self.exemplars[bucket] = exemplar(amount, example)


class _Family(Collector, Generic[S]):
    """The series of one name, by the values of their labels; without labels there is one."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self.name = name
        self._documentation = documentation
        self.label_names = tuple(labels)
        self._series: dict[tuple[str, ...], S] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> S:
        """Return the series with these labels, made when it is first asked for."""
        if len(values) != len(self.label_names):
            raise ValueError(f"{self.name} has the labels {self.label_names}, got {len(values)}")
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = self._new()
        return series

    @abstractmethod
    def _new(self) -> S:
        """Return a series without any value."""


class Counter(_Family[Count]):
    """A counter; its name ends with ``_total``."""

    def _new(self) -> Count:
        return Count()

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self.name, self._documentation, labels=self.label_names)
        for values, count in self._series.items():
            family.add_metric(values, count.value, exemplar=count.exemplar)
        yield family


class Histogram(_Family[Distribution]):
    """A histogram; the last bucket, which takes everything, is added."""

    def __init__(
        self, name: str, documentation: str, buckets: Sequence[float], labels: Sequence[str]
    ) -> None:
        self._bounds = (*buckets, INF)
        self._le = [floatToGoString(bound) for bound in self._bounds]  # type: ignore[no-untyped-call]
        super().__init__(name, documentation, labels)

    def _new(self) -> Distribution:
        return Distribution(self._bounds)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self.name, self._documentation, labels=self.label_names)
        for values, series in self._series.items():
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            total = 0.0
            for le, count, last in zip(self._le, series.counts, series.exemplars, strict=True):
                total += count
                buckets.append((le, total) if last is None else (le, total, last))
            family.add_metric(values, buckets, series.sum)
        yield family


def exemplar(amount: float, labels: dict[str, str]) -> Exemplar:
    """Return an exemplar of now."""
    return Exemplar(labels, amount, time.time())
