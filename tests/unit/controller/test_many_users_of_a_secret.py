"""Of many ExternalSecrets that name one Secret, only the end of its owner concerns the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.event_handlers import (
    BY_CLUSTER_SCOPE,
    BY_SECRET,
    BY_SERVICE_ACCOUNT,
    BY_STORE,
    EventHandlers,
    Stores,
)
from secret_sync.controller.external_secret.planner import cluster_scope_of, stores_of
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.secret_target import siblings
from secret_sync.kube import Change, Store
from secret_sync.metrics import Metrics, QueueMetrics
from secret_sync.queue import WorkQueue
from secret_sync.resources import ExternalSecret
from secret_sync.resources.names import OWNER_ANNOTATION
from secret_sync.resources.secret import secret_from_metadata

if TYPE_CHECKING:
    from secret_sync.resources import SecretMeta

pytestmark = pytest.mark.looptime


def refused(number: int) -> ExternalSecret:
    condition = {"type": "Ready", "status": "False", "reason": "SecretConflict", "message": "x"}
    metadata = {"namespace": "ns", "name": f"es{number}", "uid": f"u{number}"}
    return ExternalSecret.from_dict(
        {
            "metadata": {**metadata, "resourceVersion": "1", "generation": 1},
            "spec": {"data": [{"key": "k"}], "target": {"name": "t"}},
            "status": {"conditions": [{**condition, "observedGeneration": 1}]},
        }
    )


class World:
    """Handlers on stores that are filled by hand."""

    def __init__(self) -> None:
        indexes = {**siblings.INDEXES, BY_STORE: stores_of, BY_CLUSTER_SCOPE: cluster_scope_of}
        self.objects: Store[ExternalSecret] = Store(indexes)
        self.secrets: Store[SecretMeta] = Store()
        observer = QueueMetrics(Metrics("test"), "test")
        self.queue: WorkQueue[str] = WorkQueue("test", observer=observer)
        none: Any = Store({BY_SECRET: lambda _: (), BY_SERVICE_ACCOUNT: lambda _: ()})
        self.states = SyncStateStore()
        self.handlers = EventHandlers(
            external_secrets=self.objects,
            stores=Stores(none, self.queue),
            cluster_stores=Stores(none, self.queue),
            secrets=self.secrets,
            object_queue=self.queue,
            states=self.states,
        )
        self.handlers.enable()

    def change_secret(self, version: int, owner: str = "first/u") -> None:
        secret = secret_from_metadata(
            {
                "metadata": {
                    "namespace": "ns",
                    "name": "t",
                    "uid": "s",
                    "resourceVersion": str(version),
                    "annotations": {OWNER_ANNOTATION: owner},
                }
            }
        )
        self.handlers.secret_changed(Change("ns/t", self.secrets.put("ns/t", secret), secret))


@pytest.fixture
async def world() -> World:
    return World()


async def test_deletion_of_a_refused_object_concerns_no_others(world: World) -> None:
    for number in range(100):
        world.objects.put(f"ns/es{number}", refused(number))
    old = world.objects.remove("ns/es0")
    world.handlers.external_secret_changed(Change("ns/es0", old, None))
    assert len(world.queue) == 1


async def test_a_new_version_of_the_secret_of_the_same_owner_concerns_none_that_is_kept_out(
    world: World,
) -> None:
    world.change_secret(1)
    for number in range(100):
        world.objects.put(f"ns/es{number}", refused(number))
    world.change_secret(2)
    assert len(world.queue) == 0
    world.change_secret(3, owner="other/u")
    assert len(world.queue) == 100


async def test_changes_of_a_secret_with_many_users_enqueue_them_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1200):
        world.objects.put(f"ns/es{number}", refused(number))
    looks = 0
    wrote = SyncStateStore.wrote

    def counted(*arguments: Any) -> bool:
        nonlocal looks
        looks += 1
        return wrote(*arguments)

    monkeypatch.setattr(SyncStateStore, "wrote", counted)
    for version in range(1, 100):
        world.change_secret(version, owner=f"{version}/u")
    assert looks == 0
    await asyncio.sleep(1)
    assert looks == 1200
    assert len(world.queue) == 1200
