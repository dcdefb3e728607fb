"""All metrics of the controller.

Each package defines its observer as a small protocol; the classes here implement it.
"""

from secret_sync.partial_imports import without_init

# Two HTTP servers.
with without_init("prometheus_client"):
    import prometheus_client.metrics  # noqa: F401

from secret_sync.metrics.names import Metrics
from secret_sync.metrics.observers import (
    CallMetrics,
    CredentialMetrics,
    EventMetrics,
    LeaseMetrics,
    QueueMetrics,
    ReflectorMetrics,
    RefreshMetrics,
    RequestMetrics,
    SyncMetrics,
    WorkerMetrics,
)
from secret_sync.metrics.scraped import QueueState

__all__ = [
    "CallMetrics",
    "CredentialMetrics",
    "EventMetrics",
    "LeaseMetrics",
    "Metrics",
    "QueueMetrics",
    "QueueState",
    "ReflectorMetrics",
    "RefreshMetrics",
    "RequestMetrics",
    "SyncMetrics",
    "WorkerMetrics",
]
