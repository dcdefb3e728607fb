"""The metrics that are read from the running controller at each scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.controller.external_secret.dry_run import count_dry_run

if TYPE_CHECKING:
    from secret_sync.app.controller import Controller


def measure(controller: Controller) -> None:
    """Have the metrics read what they need of a controller."""
    metrics, sources, states = controller.metrics, controller.sources, controller.states
    metrics.watch_queues(lambda: controller.queues)
    metrics.watch_sources(sources.freshness)
    metrics.watch_objects(controller.watched.ready_counts)
    metrics.watch_rates(sources.rate_use)
    if controller.settings.dry_run:
        metrics.watch_dry_run(lambda: count_dry_run(states.all()))
    metrics.read("sources", "Secrets of Alibaba Cloud in use.", lambda: len(sources))
    metrics.read("source_values_bytes", "Bytes of cached values.", lambda: sources.cached_bytes)
    metrics.read("parse_waiting", "Objects to be parsed.", lambda: len(controller.processor))
    metrics.read(
        "crd_fields_missing",
        "Fields of ours that the installed CRDs lack.",
        lambda: controller.schemas.missing,
    )
    metrics.read(
        "leader",
        "1 while this replica may write: it is the leader, or election is off.",
        lambda: controller.may_write,
    )
