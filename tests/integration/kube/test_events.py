"""Events as ``kubectl describe`` and ``kubectl get events`` find them on a real API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import EVENTS, About, Answer, EventRecorder
from secret_sync.metrics import EventMetrics, Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.kube import KubeClient


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3")


@pytest.fixture
def events(client: KubeClient, metrics: Metrics) -> EventRecorder:
    return EventRecorder(
        client, component="secret-sync", instance="pod-1", observer=EventMetrics(metrics)
    )


def external_secret(namespace: str) -> About:
    return About("alibabacloud.com/v1alpha1", "ExternalSecret", namespace, "es", f"uid-{namespace}")


@asynccontextmanager
async def running(recorder: EventRecorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def found(client: KubeClient, namespace: str, about: About) -> list[dict[str, Any]]:
    """By the fields that kubectl selects by."""
    selected = {
        "involvedObject.kind": about.kind,
        "involvedObject.name": about.name,
        "involvedObject.uid": about.uid,
    }
    if about.namespace:
        selected["involvedObject.namespace"] = about.namespace
    params = {"fieldSelector": ",".join(f"{k}={v}" for k, v in selected.items())}
    reply = await client.request("GET", EVENTS.path(namespace), params=params, expected=Answer.LIST)
    items: list[dict[str, Any]] = reply["items"]
    return items


async def once_there(client: KubeClient, namespace: str, about: About) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while not (items := await found(client, namespace, about)):  # noqa: ASYNC110 (the server's)
            await asyncio.sleep(0.05)
    (only,) = items
    return only


async def test_an_event_shows_up_and_its_count_grows(
    client: KubeClient, namespace: str, events: EventRecorder, metrics: Metrics
) -> None:
    about = external_secret(namespace)
    async with running(events):
        events.record(about, "Warning", "SyncFailed", "x" * 2000)
        first = await once_there(client, namespace, about)
    assert (first["type"], first["reason"], first["count"]) == ("Warning", "SyncFailed", 1)
    assert first["source"] == {"component": "secret-sync"}
    assert first["reportingComponent"] == "secret-sync"
    assert first["reportingInstance"] == "pod-1"
    assert len(first["message"]) == 1024
    for _ in range(4):
        events.record(about, "Warning", "SyncFailed", "x" * 2000)
    await events.flush(10)
    (grown,) = await found(client, namespace, about)
    assert grown["metadata"]["uid"] == first["metadata"]["uid"]
    assert grown["count"] == 5
    assert grown["firstTimestamp"] == first["firstTimestamp"] <= grown["lastTimestamp"]
    sample = metrics.registry.get_sample_value("secret_sync_events_total", {"type": "Warning"})
    assert sample == 5


async def test_an_event_about_what_has_no_namespace(
    client: KubeClient, namespace: str, events: EventRecorder
) -> None:
    about = About("alibabacloud.com/v1alpha1", "ClusterSecretStore", "", namespace, namespace)
    events.record(about, "Normal", "Ready", "credentials obtained")
    await events.flush(10)
    (only,) = await found(client, "default", about)
    assert only["message"] == "credentials obtained"


async def test_an_event_that_was_deleted_comes_back_with_its_count(
    client: KubeClient, namespace: str, events: EventRecorder
) -> None:
    about = external_secret(namespace)
    async with running(events):
        events.record(about, "Normal", "Synced", "3 keys")
        first = await once_there(client, namespace, about)
    await client.request(
        "DELETE", EVENTS.path(namespace, first["metadata"]["name"]), expected=Answer.ANY
    )
    events.record(about, "Normal", "Synced", "3 keys")
    await events.flush(10)
    (again,) = await found(client, namespace, about)
    assert again["count"] == 2
    assert again["metadata"]["uid"] != first["metadata"]["uid"]


async def test_an_event_for_no_namespace_is_dropped_and_counted(
    events: EventRecorder, metrics: Metrics
) -> None:
    events.record(external_secret("no-such-namespace"), "Normal", "Synced", "3 keys")
    await events.flush(10)
    value = metrics.registry.get_sample_value
    assert value("secret_sync_events_dropped_total", {"why": "namespace_gone"}) == 1
