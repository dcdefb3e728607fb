"""What wakes whom, and how urgently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.identity import secrets_of
from secret_sync.controller.memory import Applied, Memories
from secret_sync.controller.plan import stores_of
from secret_sync.controller.triggers import BY_SECRET, BY_STORE, BY_TARGET, Triggers, target_of
from secret_sync.kube import Change, Store
from secret_sync.queue import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta, SecretStore

KEY = "ns/some"


class Recorder:
    """A queue that only remembers what was added to it."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Priority]] = []

    def add(self, key: str, priority: Priority) -> None:
        self.added.append((key, priority))


class World:
    """ExternalSecret ``ns/some`` uses store ``ns/store``, which reads Secret ``ns/key``."""

    def __init__(self, es: ExternalSecret, store: SecretStore, *, live: bool = True) -> None:
        self.es, self.store = es, store
        self.external_secrets: Store[ExternalSecret] = Store(
            {BY_STORE: stores_of, BY_TARGET: target_of}
        )
        self.external_secrets.put(KEY, es)
        self.stores: Store[SecretStore] = Store({BY_SECRET: secrets_of})
        self.stores.put("ns/store", store)
        self.secrets: Store[SecretMeta] = Store()
        self.objects, self.store_queue = Recorder(), Recorder()
        self.memories = Memories()
        queues: Any = {"object_queue": self.objects, "store_queue": self.store_queue}
        self.triggers = Triggers(
            external_secrets=self.external_secrets,
            stores=self.stores,
            secrets=self.secrets,
            memories=self.memories,
            **queues,
        )
        if live:
            self.triggers.go_live()


@pytest.fixture
def make_world(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> Callable[..., World]:
    return lambda **more: World(make_es(), make_store(), **more)


SYNCED = {
    "conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}],
    "observedGeneration": 1,
}
FAILED = {"conditions": [{"type": "Ready", "status": "False"}], "observedGeneration": 1}


@pytest.mark.parametrize(
    ("status", "metadata", "priority"),
    [
        (None, {}, Priority.HIGH),
        (SYNCED, {}, Priority.LOW),
        (SYNCED, {"generation": 2}, Priority.HIGH),
        (FAILED, {}, Priority.HIGH),
    ],
    ids=["never synced", "in step", "changed meanwhile", "failed"],
)
async def test_Q12_a_restart_classifies_by_what_the_status_says(
    make_world: Callable[..., World],
    make_es: Callable[..., ExternalSecret],
    status: Any,
    metadata: dict[str, Any],
    priority: Priority,
) -> None:
    world = make_world(live=False)
    found = make_es(status=status, metadata=metadata)
    world.triggers.external_secret_changed(Change(KEY, None, found))
    assert world.objects.added == [(KEY, priority)]


@pytest.mark.parametrize(
    ("metadata", "wakes"),
    [
        ({"resourceVersion": "11"}, False),
        ({"managedFields": [{"manager": "x"}]}, False),
        ({"generation": 2}, True),
        ({"labels": {"a": "b"}}, True),
        ({"annotations": {"secret-sync.alibabacloud.com/force-sync": "1"}}, True),
        ({"finalizers": ["a/b"]}, True),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, True),
    ],
)
async def test_C5_whatever_changed_but_the_status_is_a_reason_to_look(
    make_world: Callable[..., World],
    make_es: Callable[..., ExternalSecret],
    metadata: dict[str, Any],
    *,
    wakes: bool,
) -> None:
    world = make_world()
    changed = make_es(metadata=metadata, status=SYNCED)
    world.triggers.external_secret_changed(Change(KEY, world.es, changed))
    assert world.objects.added == ([(KEY, Priority.HIGH)] if wakes else [])


async def test_a_deletion_is_urgent(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.triggers.external_secret_changed(Change(KEY, world.es, None))
    assert world.objects.added == [(KEY, Priority.HIGH)]


async def test_a_store_wakes_itself_and_its_users(
    make_world: Callable[..., World], make_store: Callable[..., SecretStore]
) -> None:
    world = make_world()
    changed = make_store(generation=2)
    world.triggers.store_changed(Change("ns/store", world.store, changed))
    world.triggers.store_changed(Change("ns/store", changed, None))
    assert world.store_queue.added == [("ns/store", Priority.HIGH)] * 2
    assert world.objects.added == [(KEY, Priority.HIGH)] * 2


async def test_C5_the_status_of_a_store_wakes_nobody(
    make_world: Callable[..., World], make_store: Callable[..., SecretStore]
) -> None:
    world = make_world()
    change = Change("ns/store", world.store, make_store(resourceVersion="6"))
    world.triggers.store_changed(change)
    assert world.store_queue.added == world.objects.added == []


async def test_an_access_key_wakes_the_stores_that_read_it_and_their_users(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world()
    world.triggers.secret_changed(Change("ns/key", None, make_secret(name="key")))
    assert world.store_queue.added == [("ns/store", Priority.HIGH)]
    assert world.objects.added == [(KEY, Priority.HIGH)]


async def test_a_secret_wakes_who_writes_it_but_not_by_the_echo_of_its_own_write(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world()
    world.memories.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    world.triggers.secret_changed(Change(KEY, None, make_secret()))
    assert world.objects.added == []
    world.triggers.secret_changed(Change(KEY, None, make_secret(resourceVersion="21")))
    assert world.objects.added == [(KEY, Priority.HIGH)]
    assert world.store_queue.added == []


async def test_a_deleted_secret_is_forgotten_and_wakes_its_writer(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world()
    world.memories.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    world.triggers.secret_changed(Change(KEY, make_secret(), None))
    assert world.objects.added == [(KEY, Priority.HIGH)]
    memory = world.memories.of(KEY)
    assert (memory.applied, memory.gone) == (None, "secret-uid")


async def test_another_secrets_deletion_does_not_touch_what_is_remembered(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world()
    memory = world.memories.of(KEY)
    memory.applied = Applied(b"x", "newer-uid", "20", 0.0)
    world.triggers.secret_changed(Change(KEY, make_secret(), None))
    assert memory.applied is not None


async def test_a_foreign_secret_that_nobody_uses_wakes_nobody(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world()
    world.triggers.secret_changed(Change("ns/else", None, make_secret(name="else")))
    assert world.objects.added == world.store_queue.added == []


async def test_before_the_lists_are_in_only_objects_themselves_wake(
    make_world: Callable[..., World], make_secret: Callable[..., SecretMeta]
) -> None:
    world = make_world(live=False)
    world.triggers.secret_changed(Change(KEY, None, make_secret()))
    world.triggers.secret_changed(Change("ns/key", None, make_secret(name="key")))
    world.triggers.store_changed(Change("ns/store", None, world.store))
    assert world.objects.added == []
    assert world.store_queue.added == [("ns/store", Priority.HIGH)]


async def test_the_latency_counts_from_the_oldest_event_that_is_not_answered(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.triggers.sources_finished([KEY], Priority.MIDDLE)
    first = world.memories.of(KEY).caused_at
    world.triggers.sources_finished([KEY], Priority.HIGH)
    assert world.memories.of(KEY).caused_at == first
    assert world.objects.added == [(KEY, Priority.MIDDLE), (KEY, Priority.HIGH)]


async def test_S16_a_list_may_be_older_than_what_we_wrote(make_world: Callable[..., World]) -> None:
    # The Secret was created while the list was on its way: it is missing there, and not gone.
    world = make_world()
    world.memories.of(KEY).applied = Applied(b"x", "secret-uid", "20", 0.0)
    world.triggers.secrets_relisted()
    assert world.objects.added == [(KEY, Priority.HIGH)]
    memory = world.memories.of(KEY)
    assert (memory.applied, memory.gone) == (None, "")
