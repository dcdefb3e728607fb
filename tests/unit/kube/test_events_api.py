"""Events on the wire."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from secret_sync.kube import About, EventRecorder
from secret_sync.kube.apply import MERGE_PATCH
from secret_sync.metrics import EventMetrics, Metrics
from tests.unit.kube.fakes import eventually, refusing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import KubeClient
    from tests.unit.kube.fakes import ScriptedServer

ES = About("alibabacloud.com/v1alpha1", "ExternalSecret", "ns", "es", "uid-1")
STORE = About("alibabacloud.com/v1alpha1", "ClusterSecretStore", "", "store", "uid-2")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
async def events(client: KubeClient, metrics: Metrics) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(
        client, component="secret-sync", instance="pod-1", observer=EventMetrics(metrics)
    )
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_event_that_is_sent(server: ScriptedServer, events: EventRecorder) -> None:
    events.record(ES, "Warning", "SyncFailed", "forbidden")
    await eventually(lambda: bool(server.requests))
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/api/v1/namespaces/ns/events")
    body = orjson.loads(sent.body)
    name = body["metadata"].pop("name")
    assert re.fullmatch(r"es\.[0-9a-f]{16}", name)
    stamp = body.pop("firstTimestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp)
    assert body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "involvedObject": {
            "apiVersion": "alibabacloud.com/v1alpha1",
            "kind": "ExternalSecret",
            "namespace": "ns",
            "name": "es",
            "uid": "uid-1",
        },
        "type": "Warning",
        "reason": "SyncFailed",
        "message": "forbidden",
        "count": 1,
        "lastTimestamp": stamp,
        "source": {"component": "secret-sync"},
        "reportingComponent": "secret-sync",
        "reportingInstance": "pod-1",
    }


async def test_events_of_cluster_scoped_objects_go_to_the_default_namespace(
    server: ScriptedServer, events: EventRecorder
) -> None:
    events.record(STORE, "Normal", "Ready", "credentials obtained")
    await eventually(lambda: bool(server.requests))
    body = orjson.loads(server.requests[0].body)
    assert server.requests[0].path == "/api/v1/namespaces/default/events"
    assert body["metadata"]["namespace"] == "default"
    assert "namespace" not in body["involvedObject"]


async def test_growth_is_a_patch_of_count_and_time(
    server: ScriptedServer, events: EventRecorder
) -> None:
    server.others.append(refusing(409, "AlreadyExists"))
    events.record(ES, "Normal", "Synced", "3 keys")
    await eventually(lambda: len(server.requests) == 2)
    created, patched = server.requests
    body = orjson.loads(created.body)
    assert patched.method == "PATCH"
    assert patched.path == f"/api/v1/namespaces/ns/events/{body['metadata']['name']}"
    assert patched.headers["content-type"] == MERGE_PATCH
    assert orjson.loads(patched.body) == {"count": 1, "lastTimestamp": body["lastTimestamp"]}


async def test_the_longest_name_leaves_room(server: ScriptedServer, events: EventRecorder) -> None:
    long = About(ES.api_version, ES.kind, "ns", f"{'a' * 229}.{'b' * 23}", "uid-3")
    events.record(long, "Normal", "Synced", "3 keys")
    await eventually(lambda: bool(server.requests))
    name = orjson.loads(server.requests[0].body)["metadata"]["name"]
    assert re.fullmatch(r"a{229}\.[0-9a-f]{16}", name)


async def test_a_refusal_is_counted(
    server: ScriptedServer, events: EventRecorder, metrics: Metrics
) -> None:
    server.others.append(refusing(403, "Forbidden"))
    events.record(ES, "Normal", "Synced", "3 keys")
    name, why = "secret_sync_events_dropped_total", {"why": "refused"}
    await eventually(lambda: metrics.registry.get_sample_value(name, why) == 1)
    assert len(server.requests) == 1
