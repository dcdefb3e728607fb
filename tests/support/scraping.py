"""What a scrape in the form of OpenMetrics shows, which is where exemplars are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.samples import Sample


def openmetrics(registry: CollectorRegistry) -> str:
    """The text."""
    encode, _ = choose_encoder("application/openmetrics-text")
    return encode(registry).decode()


def samples(registry: CollectorRegistry) -> Iterator[Sample]:
    """The samples, read by a parser that takes nothing but OpenMetrics."""
    text = openmetrics(registry)
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        yield from family.samples
