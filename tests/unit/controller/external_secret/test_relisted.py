"""A Secret that came and went while nobody was watching leaves no change to be delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.event_handlers import BY_STORE, EventHandlers, Stores
from secret_sync.controller.external_secret.state import Applied, SyncStateStore
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.kube import Store
from secret_sync.metrics import Metrics, QueueMetrics
from secret_sync.queue import WorkQueue
from secret_sync.resources import ForeignSecret

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta, SecretStore


@pytest.mark.parametrize(("present", "enqueued"), [(False, 1), (True, 0)])
async def test_missing_managed_secret_enqueues_its_external_secret(
    make_es: Callable[..., ExternalSecret], *, present: bool, enqueued: int
) -> None:
    objects: Store[ExternalSecret] = Store({BY_STORE: lambda _: (), **INDEXES})
    secrets: Store[SecretMeta] = Store()
    objects.put("ns/some", make_es())
    if present:
        secrets.put("ns/some", ForeignSecret("ns", "some", "secret-uid", "7", ""))
    states = SyncStateStore()
    states.of("ns/some").applied = Applied(b"f", "secret-uid", "7", 0.0)
    metrics = Metrics("test")
    queue: WorkQueue[str] = WorkQueue("objects", observer=QueueMetrics(metrics, "objects"))
    stores: Store[SecretStore] = Store()
    unused: Any = None
    handlers = EventHandlers(
        external_secrets=objects,
        stores=Stores(stores, WorkQueue("stores", observer=QueueMetrics(metrics, "stores"))),
        cluster_stores=Stores(stores, WorkQueue("more", observer=QueueMetrics(metrics, "more"))),
        secrets=secrets,
        config_maps=unused,
        object_queue=queue,
        states=states,
    )
    handlers.secrets_relisted()
    assert len(queue) == enqueued
    assert (states.of("ns/some").applied is None) is not present
