"""Of many ExternalSecrets that name one Secret, only the end of its owner concerns the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

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
from secret_sync.controller.external_secret.state import Applied, SyncStateStore
from secret_sync.controller.object_state import StatusIntent, WrittenStatus
from secret_sync.controller.secret_target import siblings
from secret_sync.kube import Change, Store
from secret_sync.metrics import Metrics, QueueMetrics
from secret_sync.queue import WorkQueue
from secret_sync.resources import ExternalSecret
from secret_sync.resources.external_secret import Target
from secret_sync.resources.names import MERGE_MANAGER, OWNER_ANNOTATION
from secret_sync.resources.secret import secret_from_metadata
from tests.unit.controller.fakes import managed

if TYPE_CHECKING:
    from secret_sync.queue import Priority
    from secret_sync.resources import SecretMeta

pytestmark = pytest.mark.looptime


def user(number: int, reason: str = "", **target: str) -> ExternalSecret:
    """ExternalSecret ``ns/es<number>`` that names Secret ``ns/t``; it reports the reason."""
    metadata = {"namespace": "ns", "name": f"es{number}", "uid": f"u{number}"}
    ready = {"type": "Ready", "status": "False", "reason": reason, "observedGeneration": 1}
    return ExternalSecret.from_dict(
        {
            "metadata": {**metadata, "resourceVersion": "1", "generation": 1},
            "spec": {"data": [{"key": "k"}], "target": {"name": "t", **target}},
            "status": {"conditions": [ready], "observedGeneration": 1} if reason else None,
        }
    )


def refused(number: int) -> ExternalSecret:
    return user(number, "SecretConflict")


def synced(number: int) -> ExternalSecret:
    """One that has merged its key."""
    es = user(number, "Synced", creationPolicy="Merge")
    assert es.status.ready is not None
    ready = replace(es.status.ready, status="True")
    return replace(es, status=replace(es.status, ready=ready))


def share(number: int) -> dict[str, Any]:
    """Its entry in ``managedFields``."""
    return managed(f"{MERGE_MANAGER}u{number}", f"key-of-{number}", operation="Apply")


class UsersHarness:
    """Handlers on stores that are filled by hand."""

    def __init__(self) -> None:
        indexes = {
            **siblings.INDEXES,
            BY_STORE: stores_of,
            BY_CLUSTER_SCOPE: cluster_scope_of,
            BY_TEMPLATE: templates_of,
        }
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
            config_maps=none,
            object_queue=self.queue,
            states=self.states,
        )
        self.handlers.enable()

    def change_secret(self, version: int, owner: str = "first/u", **metadata: Any) -> None:
        given = {
            "namespace": "ns",
            "name": "t",
            "uid": "s",
            "resourceVersion": str(version),
            "annotations": {OWNER_ANNOTATION: owner} if owner else {},
        }
        secret = secret_from_metadata({"metadata": {**given, **metadata}})
        self.handlers.secret_changed(Change("ns/t", self.secrets.put("ns/t", secret), secret))

    def put(self, *objects: ExternalSecret) -> None:
        for es in objects:
            self.objects.put(f"ns/{es.name}", es)

    def delete(self, es: ExternalSecret) -> None:
        key = f"ns/{es.name}"
        self.handlers.external_secret_changed(Change(key, self.objects.remove(key), None))

    async def waiting(self) -> set[str]:
        """Return the keys that are enqueued now; they are reconciled."""
        keys = {await self.queue.get() for _ in range(len(self.queue))}
        for key in keys:
            self.queue.done(key)
        return keys


@pytest.fixture
async def harness() -> UsersHarness:
    return UsersHarness()


async def test_deletion_of_a_refused_object_concerns_no_others(harness: UsersHarness) -> None:
    for number in range(100):
        harness.objects.put(f"ns/es{number}", refused(number))
    old = harness.objects.remove("ns/es0")
    harness.handlers.external_secret_changed(Change("ns/es0", old, None))
    assert len(harness.queue) == 1


async def test_a_new_version_of_the_secret_of_the_same_owner_concerns_none_that_is_kept_out(
    harness: UsersHarness,
) -> None:
    harness.change_secret(1)
    for number in range(100):
        harness.objects.put(f"ns/es{number}", refused(number))
    harness.change_secret(2)
    assert len(harness.queue) == 0
    harness.change_secret(3, owner="other/u")
    assert len(harness.queue) == 100


@pytest.mark.parametrize("count", [100, 1200], ids=["some", "many"])
async def test_merge_into_a_secret_concerns_only_whose_keys_it_touches(
    harness: UsersHarness, count: int
) -> None:
    for number in range(count):
        harness.put(synced(number))
    merged = [share(number) for number in range(count)]
    harness.change_secret(1, owner="", managedFields=merged)
    await asyncio.sleep(1)
    await harness.waiting()
    harness.change_secret(2, owner="", managedFields=[*merged, managed("kubectl", "key-of-7")])
    await asyncio.sleep(1)
    assert await harness.waiting() == {"ns/es7"}
    harness.change_secret(3, owner="", managedFields=merged[1:])
    await asyncio.sleep(1)
    # Number 7 again: it may have had another owner until now.
    assert await harness.waiting() == {"ns/es0", "ns/es7"}


async def test_object_whose_status_is_on_its_way_is_enqueued(harness: UsersHarness) -> None:
    """By now it may wait for a key of another one."""
    late = synced(1)
    harness.put(late, synced(2))
    merged = [share(1), share(2)]
    harness.change_secret(1, owner="", managedFields=merged)
    await harness.waiting()
    intent = StatusIntent("ns", late.name, late.uid, late.status)
    harness.states.of("ns/es1").status_intent = intent
    harness.change_secret(2, owner="", managedFields=merged)
    assert await harness.waiting() == {"ns/es1"}
    harness.states.of("ns/es1").status_intent = None
    harness.states.of("ns/es1").status_written = WrittenStatus(intent, "2", 0.0)
    harness.change_secret(3, owner="", managedFields=merged)
    assert await harness.waiting() == {"ns/es1"}


async def test_field_manager_of_another_namespaces_object_concerns_nobody(
    harness: UsersHarness,
) -> None:
    elsewhere = replace(synced(7), namespace="other")
    harness.objects.put("other/es7", elsewhere)
    harness.put(synced(1))
    harness.change_secret(1, owner="", managedFields=[share(1)])
    await harness.waiting()
    harness.change_secret(2, owner="", managedFields=[share(1), share(7)])
    assert await harness.waiting() == set()


async def test_changes_of_a_secret_with_many_users_enqueue_them_once(
    harness: UsersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1200):
        harness.objects.put(f"ns/es{number}", refused(number))
    looks = 0
    wrote = SyncStateStore.wrote

    def counted(*arguments: Any) -> bool:
        nonlocal looks
        looks += 1
        return wrote(*arguments)

    monkeypatch.setattr(SyncStateStore, "wrote", counted)
    for version in range(1, 100):
        harness.change_secret(version, owner=f"{version}/u")
    assert looks == 0
    await asyncio.sleep(1)
    assert looks == 1200
    assert len(harness.queue) == 1200


async def test_a_key_that_cannot_be_enqueued_holds_up_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = UsersHarness()
    harness.put(*map(refused, range(1200)))
    add = WorkQueue.add
    raised: list[str] = []

    def failing(queue: Any, key: str, priority: Priority) -> None:
        if key == "ns/es7" and not raised:
            raised.append(key)
            raise RuntimeError("a fault of ours")
        add(queue, key, priority)

    monkeypatch.setattr(WorkQueue, "add", failing)
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    harness.handlers.everything_changed()
    await asyncio.sleep(1)
    assert len(harness.queue) == 1199
    assert len(reported) == 1
    # Nor is anything that comes later.
    harness.handlers.everything_changed()
    await asyncio.sleep(1)
    assert len(harness.queue) == 1200


async def test_a_secret_whose_users_cannot_be_enqueued_holds_up_no_other_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = UsersHarness()
    harness.put(*map(refused, range(600)))
    harness.put(*(replace(user(n), target=Target("other")) for n in range(600, 1200)))
    wrote = SyncStateStore.wrote
    raised: list[str] = []

    def failing(states: Any, key: str, secret: SecretMeta) -> bool:
        if not raised:
            raised.append(key)
            raise RuntimeError("a fault of ours")
        return wrote(states, key, secret)

    monkeypatch.setattr(SyncStateStore, "wrote", failing)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    harness.change_secret(1)
    other = secret_from_metadata(
        {"metadata": {"namespace": "ns", "name": "other", "uid": "o", "resourceVersion": "1"}}
    )
    harness.secrets.put("ns/other", other)
    harness.handlers.secret_changed(Change("ns/other", None, other))
    await asyncio.sleep(1)
    assert len(harness.queue) == 600


def count_lookups(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count from now on how often objects are looked up in the stores of informers."""
    lookups: Counter[str] = Counter()
    get = Store.get

    def counted(store: Store[Any], key: str) -> Any:
        lookups[key] += 1
        return get(store, key)

    monkeypatch.setattr(Store, "get", counted)
    return lookups


async def test_the_end_of_many_that_never_reported_is_one_reason_to_look(
    harness: UsersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None of them knows yet that the Secret is not its own; each may have been the owner.
    unreported = [user(number) for number in range(600)]
    harness.put(*map(refused, range(600, 1800)), *unreported)
    lookups = count_lookups(monkeypatch)
    for es in unreported:
        harness.delete(es)
    await asyncio.sleep(1)
    assert sum(lookups.values()) < 5_000
    assert await harness.waiting() == {f"ns/es{number}" for number in range(1800)}


async def test_the_end_of_many_that_merged_is_one_reason_to_look(
    harness: UsersHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    merging = [user(number, "Synced", creationPolicy="Merge") for number in range(600)]
    kept_out = [user(n, "KeyConflict", creationPolicy="Merge") for n in range(600, 1800)]
    harness.put(*merging, *kept_out)
    entries = [
        {
            "manager": f"{MERGE_MANAGER}{es.uid}",
            "operation": "Apply",
            "fieldsV1": {"f:data": {"f:k": {}}},
        }
        for es in merging
    ]
    harness.change_secret(1, owner="", managedFields=entries)
    await asyncio.sleep(1)
    await harness.waiting()
    lookups = count_lookups(monkeypatch)
    for es in merging:
        harness.delete(es)
    await asyncio.sleep(1)
    assert sum(lookups.values()) < 5_000
    assert await harness.waiting() == {f"ns/es{number}" for number in range(1800)}


async def test_the_writer_of_a_secret_hears_of_drift_before_its_status_says_so(
    harness: UsersHarness,
) -> None:
    # Its Secret was another's a moment ago. It has taken it over; the status is still on its way.
    owner = refused(1)
    harness.put(owner, refused(2))
    harness.change_secret(1, owner="es1/u1")
    await harness.waiting()
    harness.states.of("ns/es1").applied = Applied(b"x", "s", "1", 0.0)
    harness.change_secret(2, owner="es1/u1")
    assert await harness.waiting() == {"ns/es1"}


async def test_the_end_of_a_writer_concerns_the_others_before_its_status_says_so(
    harness: UsersHarness,
) -> None:
    owner = refused(1)
    harness.put(owner, refused(2))
    harness.states.of("ns/es1").applied = Applied(b"x", "s", "1", 0.0)
    harness.delete(owner)
    assert await harness.waiting() == {"ns/es1", "ns/es2"}


CONTROLLER = {"apiVersion": "v1", "kind": "Other", "name": "x", "uid": "x", "controller": True}


async def test_a_foreign_secret_that_loses_its_controller_may_be_adopted_now(
    harness: UsersHarness,
) -> None:
    harness.put(refused(1))
    harness.change_secret(1, owner="", ownerReferences=[CONTROLLER])
    await harness.waiting()
    harness.change_secret(2, owner="", ownerReferences=[CONTROLLER])
    assert await harness.waiting() == set()
    harness.change_secret(3, owner="")
    assert await harness.waiting() == {"ns/es1"}
