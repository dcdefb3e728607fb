"""Which change enqueues which objects, and how urgently."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import (
    TEMPLATE_CHANGE_WAITS,
    TEMPLATE_CHANGES,
)
from secret_sync.kube import Change
from secret_sync.metrics import Metrics, QueueMetrics, WorkerMetrics
from secret_sync.queue import Done, Priority, WorkQueue, run_workers
from secret_sync.resources import ConfigMap, ExternalSecret, ForeignSecret, Namespace
from tests.unit.controller.handling import KEY, SYNCED, HandlersHarness
from tests.unit.controller.planning import account, cluster_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.queue import Outcome
    from secret_sync.resources import SecretMeta, SecretStore

FAILED = {"conditions": [{"type": "Ready", "status": "False"}], "observedGeneration": 1}


@pytest.mark.parametrize(
    ("status", "metadata", "priority"),
    [
        (None, {}, Priority.HIGH),
        (SYNCED, {}, Priority.LOW),
        (SYNCED, {"generation": 2}, Priority.HIGH),
        (FAILED, {}, Priority.HIGH),
    ],
    ids=["never synced", "in sync", "changed meanwhile", "failed"],
)
async def test_a_restart_classifies_by_what_the_status_says(
    make_harness: Callable[..., HandlersHarness],
    make_es: Callable[..., ExternalSecret],
    status: Any,
    metadata: dict[str, Any],
    priority: Priority,
) -> None:
    harness = make_harness()
    harness.external_secrets.put(KEY, make_es(status=status, metadata=metadata))
    await harness.handlers.enqueue_all()
    assert harness.objects.added == [(KEY, priority)]
    assert harness.store_queue.added == [("ns/store", Priority.HIGH)]


@pytest.mark.parametrize(
    ("metadata", "enqueues"),
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
async def test_every_change_but_the_status_enqueues_the_object(
    make_harness: Callable[..., HandlersHarness],
    make_es: Callable[..., ExternalSecret],
    metadata: dict[str, Any],
    *,
    enqueues: bool,
) -> None:
    harness = make_harness()
    changed = make_es(metadata=metadata, status=SYNCED)
    harness.handlers.external_secret_changed(Change(KEY, harness.es, changed))
    assert harness.objects.added == ([(KEY, Priority.HIGH)] if enqueues else [])


async def test_a_deletion_is_urgent(make_harness: Callable[..., HandlersHarness]) -> None:
    harness = make_harness()
    harness.handlers.external_secret_changed(Change(KEY, harness.es, None))
    assert harness.objects.added == [(KEY, Priority.HIGH)]


async def test_store_enqueues_itself_and_its_users(
    make_harness: Callable[..., HandlersHarness], make_store: Callable[..., SecretStore]
) -> None:
    harness = make_harness()
    changed = make_store(generation=2)
    harness.handlers.store_changed(Change("ns/store", harness.store, changed))
    harness.handlers.store_changed(Change("ns/store", changed, None))
    assert harness.store_queue.added == [("ns/store", Priority.HIGH)] * 2
    assert harness.objects.added == [(KEY, Priority.HIGH)] * 2


async def test_store_status_enqueues_nothing(
    make_harness: Callable[..., HandlersHarness], make_store: Callable[..., SecretStore]
) -> None:
    harness = make_harness()
    change = Change("ns/store", harness.store, make_store(resourceVersion="6"))
    harness.handlers.store_changed(change)
    assert harness.store_queue.added == harness.objects.added == []


async def test_access_key_enqueues_the_stores_that_read_it_and_their_users(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness()
    harness.handlers.secret_changed(Change("ns/key", None, make_secret(name="key", mark="")))
    assert harness.store_queue.added == [("ns/store", Priority.HIGH)]
    assert harness.objects.added == [(KEY, Priority.HIGH)]


async def test_a_standby_enqueues_nothing(
    make_harness: Callable[..., HandlersHarness], make_secret: Callable[..., SecretMeta]
) -> None:
    harness = make_harness(live=False)
    harness.handlers.secret_changed(Change(KEY, None, make_secret()))
    harness.handlers.secret_changed(Change("ns/key", None, make_secret(name="key", mark="")))
    harness.handlers.store_changed(Change("ns/store", None, harness.store))
    harness.handlers.external_secret_changed(Change(KEY, None, harness.es))
    harness.handlers.external_secret_changed(Change(KEY, harness.es, None))
    harness.handlers.everything_changed()
    assert harness.objects.added == harness.store_queue.added == []


async def test_the_latency_counts_from_the_oldest_event_that_is_not_answered(
    make_harness: Callable[..., HandlersHarness],
) -> None:
    harness = make_harness()
    harness.handlers.sources_finished([KEY], Priority.MIDDLE)
    first = harness.states.of(KEY).triggered_at
    harness.handlers.sources_finished([KEY], Priority.HIGH)
    assert harness.states.of(KEY).triggered_at == first
    assert harness.objects.added == [(KEY, Priority.MIDDLE), (KEY, Priority.HIGH)]


async def test_source_changes_of_a_large_object_are_collected(
    make_harness: Callable[..., HandlersHarness], make_es: Callable[..., ExternalSecret]
) -> None:
    harness = make_harness()
    data = [{"key": f"k{number}"} for number in range(100)]
    harness.external_secrets.put(KEY, make_es(data=data))
    for _ in range(3):
        harness.handlers.sources_finished([KEY], Priority.HIGH)
    # Of several delays of one key the queue keeps the earliest.
    assert harness.objects.later == [(KEY, 0.05, Priority.HIGH)] * 3
    assert harness.objects.added == []
    assert harness.states.of(KEY).triggered_at is not None


async def test_change_during_a_reconcile_of_a_large_object_causes_another(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    data = [{"key": f"k{number}", "secretStoreRef": {"name": "store"}} for number in range(100)]
    queue: WorkQueue[str] = WorkQueue("test", observer=QueueMetrics(Metrics("test"), "test"))
    harness = HandlersHarness(make_es(data=data), make_store(), queue=queue)
    seen = []

    async def reconcile(key: str) -> Outcome:
        seen.append(key)
        if len(seen) == 1:
            # It has looked at the sources, and waits for the API server.
            harness.handlers.sources_finished([key], Priority.MIDDLE)
            await asyncio.sleep(0.01)
        return Done()

    queue.add(KEY)
    observer = WorkerMetrics(Metrics("test"), "test")
    workers = asyncio.create_task(run_workers(queue, 1, reconcile, timeout=5, observer=observer))
    await asyncio.sleep(1)
    queue.shut_down()
    await workers
    assert seen == [KEY, KEY]


async def test_service_account_enqueues_the_stores_that_use_it(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    harness = HandlersHarness(make_es(), make_store({"serviceAccountRef": {"name": "reader"}}))
    before, after = account(), account(role="acs:ram::1:role/a")
    harness.handlers.service_account_changed(Change("ns/reader", before, after))
    assert harness.store_queue.added == [("ns/store", Priority.HIGH)]
    assert harness.objects.added == [(KEY, Priority.HIGH)]

    harness.handlers.service_account_changed(Change("ns/reader", after, after))
    harness.handlers.service_account_changed(Change("ns/another", None, account("another")))
    assert len(harness.store_queue.added) == len(harness.objects.added) == 1

    harness.handlers.service_account_changed(Change("ns/reader", after, None))
    assert len(harness.store_queue.added) == 2


@pytest.mark.parametrize(
    ("condition", "enqueued"),
    [
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, [(KEY, Priority.HIGH)]),
        ({"namespaces": ["ns"]}, []),
    ],
    ids=["by-label", "by-name"],
)
async def test_namespace_label_enqueues_the_objects_concerned(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    condition: dict[str, Any],
    enqueued: list[tuple[str, Priority]],
) -> None:
    ref = {"name": "shared", "kind": "ClusterSecretStore"}
    entry = {"key": "db", "name": "password", "secretStoreRef": ref}
    harness = HandlersHarness(make_es(data=[entry]), make_store())
    harness.cluster_stores.put("shared", cluster_store("shared", condition))

    def namespace(name: str, version: str = "1", **labels: str) -> Namespace:
        metadata = {"name": name, "uid": "u", "resourceVersion": version, "labels": labels}
        return Namespace.from_metadata({"metadata": metadata})

    old = namespace("ns")
    harness.handlers.namespace_changed(Change("ns", old, namespace("ns", team="a")))
    harness.handlers.namespace_changed(Change("ns", old, namespace("ns", version="2")))
    harness.handlers.namespace_changed(Change("else", None, namespace("else", team="a")))
    assert harness.objects.added == enqueued


async def test_a_cluster_store_has_a_queue_of_its_own(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    harness = HandlersHarness(make_es(), make_store())
    harness.handlers.store_changed(Change("shared", None, cluster_store("shared")))
    harness.handlers.credentials_settled("ClusterSecretStore", "shared")
    assert [key for key, _ in harness.cluster_queue.added] == ["shared", "shared"]
    assert harness.store_queue.added == []


async def test_cluster_store_and_its_references_enqueue_users_in_every_namespace(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    make_secret: Callable[..., SecretMeta],
) -> None:
    harness = HandlersHarness(make_es(), make_store())
    auth = {
        "accessKey": {"name": "key", "key": "id", "namespace": "vault"},
        "accessKeySecret": {"name": "key", "key": "secret", "namespace": "vault"},
        "serviceAccountRef": {"name": "reader", "namespace": "vault"},
    }
    shared = cluster_store("shared", auth=auth)
    harness.cluster_stores.put("shared", shared)
    ref = {"name": "shared", "kind": "ClusterSecretStore"}
    for namespace in ("a", "b"):
        es = make_es(data=[{"key": "db", "secretStoreRef": ref}], metadata={"namespace": namespace})
        harness.external_secrets.put(f"{namespace}/some", es)

    reader = account(namespace="vault")
    secret = make_secret(namespace="vault", name="key", mark="")
    handlers = harness.handlers
    for enqueue in (
        partial(handlers.store_changed, Change("shared", None, shared)),
        partial(handlers.secret_changed, Change("vault/key", None, secret)),
        partial(handlers.service_account_changed, Change("vault/reader", reader, None)),
    ):
        harness.objects.added.clear()
        harness.cluster_queue.added.clear()
        enqueue()
        assert harness.cluster_queue.added == [("shared", Priority.HIGH)]
        assert sorted(key for key, _ in harness.objects.added) == ["a/some", "b/some"]

    # Those of the same names elsewhere are not its own.
    harness.objects.added.clear()
    harness.handlers.service_account_changed(Change("a/reader", account(namespace="a"), None))
    harness.handlers.secret_changed(
        Change("a/key", None, make_secret(namespace="a", name="key", mark=""))
    )
    assert harness.objects.added == harness.store_queue.added == []


async def test_grant_enqueues_the_objects_it_admits(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    make_secret: Callable[..., SecretMeta],
) -> None:
    # The reference is refused as long as nobody grants it, but it is in the index all the same.
    refs = {
        name: {"name": "lent", "key": name, "namespace": "vault"}
        for name in ("accessKey", "accessKeySecret")
    }
    harness = HandlersHarness(make_es(), make_store(refs))
    grant = {"secret-sync.alibabacloud.com/allow-namespaces": "ns"}
    before, after = (
        make_secret(namespace="vault", name="lent", annotations=annotations)
        for annotations in ({}, grant)
    )
    harness.handlers.secret_changed(Change("vault/lent", before, after))
    assert harness.store_queue.added == [("ns/store", Priority.HIGH)]
    assert harness.objects.added == [(KEY, Priority.HIGH)]

    granting = make_store(annotations=grant)
    harness.handlers.store_changed(Change("ns/store", harness.store, granting))
    assert harness.objects.added == [(KEY, Priority.HIGH)] * 2


async def test_discovered_region_enqueues_everything(
    make_es: Callable[..., ExternalSecret], make_store: Callable[..., SecretStore]
) -> None:
    harness = HandlersHarness(make_es(), make_store())
    harness.cluster_stores.put("shared", cluster_store("shared"))
    harness.handlers.everything_changed()
    assert [key for key, _ in harness.objects.added] == [KEY]
    assert [key for key, _ in harness.store_queue.added] == ["ns/store"]
    assert [key for key, _ in harness.cluster_queue.added] == ["shared"]


@pytest.mark.parametrize(("namespace", "enqueued"), [("ns", [KEY]), ("another", [])])
async def test_change_of_a_namespace_concerns_its_objects(
    make_es: Callable[..., ExternalSecret],
    make_store: Callable[..., SecretStore],
    namespace: str,
    enqueued: list[str],
) -> None:
    harness = HandlersHarness(make_es(), make_store())
    harness.cluster_stores.put("shared", cluster_store("shared"))
    harness.handlers.everything_changed(namespace)
    assert [key for key, _ in harness.objects.added] == enqueued
    assert len(harness.store_queue.added) == len(enqueued)
    assert harness.cluster_queue.added == []


TEMPLATED = {
    "target": {
        "template": {
            "templateFrom": [
                {"configMap": {"name": "texts", "items": [{"key": "a"}]}},
                {"secret": {"name": "hidden", "items": [{"key": "a"}]}},
            ]
        }
    }
}


@pytest.fixture
def templated(make_harness: Callable[..., HandlersHarness]) -> HandlersHarness:
    harness = make_harness()
    metadata = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "1"}
    es = ExternalSecret.from_dict({"metadata": metadata, "spec": TEMPLATED})
    harness.external_secrets.put(KEY, es)
    harness.es = es
    return harness


async def test_config_map_enqueues_what_is_rendered_from_it(templated: HandlersHarness) -> None:
    for name in ("texts", "other"):
        found = ConfigMap("ns", name, "c", "1")
        templated.handlers.config_map_changed(Change(f"ns/{name}", None, found))
    elsewhere = ConfigMap("else", "texts", "c", "1")
    templated.handlers.config_map_changed(Change("else/texts", None, elsewhere))
    assert list(templated.objects.added) == [(KEY, Priority.HIGH)]


async def test_config_map_that_a_list_does_not_have_is_looked_up_again(
    templated: HandlersHarness,
) -> None:
    """A list may have begun before anything referred to it, and what it omits is not followed."""
    state = templated.states.of(KEY)
    state.looked_up = 1
    found = ConfigMap("ns", "texts", "c", "1")
    templated.handlers.config_map_changed(Change("ns/texts", None, found))
    assert state.looked_up == 1
    templated.handlers.config_map_changed(Change("ns/texts", found, None))
    assert state.looked_up is None


async def test_secret_enqueues_what_is_rendered_from_it(templated: HandlersHarness) -> None:
    found = ForeignSecret("ns", "hidden", "s", "1", "")
    templated.handlers.secret_changed(Change("ns/hidden", None, found))
    assert (KEY, Priority.HIGH) in templated.objects.added


async def test_config_map_without_references_is_forgotten(templated: HandlersHarness) -> None:
    old = templated.es
    templated.handlers.external_secret_changed(Change(KEY, old, old))
    assert templated.config_maps.forgotten == []
    templated.external_secrets.remove(KEY)
    templated.handlers.external_secret_changed(Change(KEY, old, None))
    assert templated.config_maps.forgotten == ["ns/texts"]


async def test_templates_that_change_all_the_time_are_followed_a_few_times_a_minute(
    templated: HandlersHarness,
) -> None:
    """Two objects may render each other, and each write is a change for the other."""
    templated.states.of(KEY)
    found = ForeignSecret("ns", "hidden", "s", "1", "")
    for _ in range(100):
        templated.handlers.secret_changed(Change("ns/hidden", None, found))
    assert [key for key, _ in templated.objects.added].count(KEY) == TEMPLATE_CHANGES
    assert set(templated.objects.later) == {(KEY, TEMPLATE_CHANGE_WAITS, Priority.LOW)}
