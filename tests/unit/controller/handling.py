"""Event handlers with queues that only remember what was added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.controller.event_handlers import (
    BY_CLUSTER_SCOPE,
    BY_SECRET,
    BY_SERVICE_ACCOUNT,
    BY_STORE,
    BY_TEMPLATE,
    EventHandlers,
    Stores,
    templates_of,
)
from secret_sync.controller.external_secret.planner import cluster_scope_of, stores_of
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.store.references import secrets_of, service_accounts_of
from secret_sync.kube import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.queue import Priority, WorkQueue
    from secret_sync.resources import ExternalSecret, SecretMeta, SecretStore

KEY = "ns/some"


class RecordedQueue:
    """A queue that only remembers what was added to it."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Priority]] = []
        self.later: list[tuple[str, float, Priority]] = []
        #: Keys that a worker has, and what follows.
        self.in_flight: dict[str, Callable[[], None]] = {}

    def add(self, key: str, priority: Priority) -> None:
        self.added.append((key, priority))

    def add_after(self, key: str, delay: float, priority: Priority) -> None:
        self.later.append((key, delay, priority))

    def is_in_flight(self, key: str) -> bool:
        return key in self.in_flight

    def when_done(self, key: str, call: Callable[[], None]) -> None:
        self.in_flight[key] = call

    def done(self, key: str) -> None:
        self.in_flight.pop(key)()


class RecordedConfigMaps:
    """In place of the informer; notes what it is to forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


class HandlersHarness:
    """ExternalSecret ``ns/some`` uses store ``ns/store``, which reads Secret ``ns/key``."""

    def __init__(
        self,
        es: ExternalSecret,
        store: SecretStore,
        *,
        live: bool = True,
        queue: WorkQueue[str] | None = None,
    ) -> None:
        self.es, self.store = es, store
        self.external_secrets: Store[ExternalSecret] = Store(
            {
                BY_STORE: stores_of,
                BY_CLUSTER_SCOPE: cluster_scope_of,
                BY_TEMPLATE: templates_of,
                **INDEXES,
            }
        )
        self.config_maps = RecordedConfigMaps()
        self.external_secrets.put(KEY, es)
        indexes = {BY_SECRET: secrets_of, BY_SERVICE_ACCOUNT: service_accounts_of}
        self.stores: Store[SecretStore] = Store(indexes)
        self.cluster_stores: Store[SecretStore] = Store(indexes)
        self.stores.put("ns/store", store)
        self.secrets: Store[SecretMeta] = Store()
        self.objects, self.store_queue, self.cluster_queue = (
            RecordedQueue(),
            RecordedQueue(),
            RecordedQueue(),
        )
        self.states = SyncStateStore()
        objects: Any = queue or self.objects
        of_stores: Any = self.store_queue
        of_cluster: Any = self.cluster_queue
        self.handlers = EventHandlers(
            external_secrets=self.external_secrets,
            stores=Stores(self.stores, of_stores),
            cluster_stores=Stores(self.cluster_stores, of_cluster),
            object_queue=objects,
            secrets=self.secrets,
            config_maps=self.config_maps,  # type: ignore[arg-type]
            states=self.states,
        )
        if live:
            self.handlers.enable()


SYNCED = {
    "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}],
    "observedGeneration": 1,
}
