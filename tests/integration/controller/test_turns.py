"""Thousands of objects of one namespace do not keep another one's new object waiting."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from secret_sync.local.cloud import CloudAdmin
from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    GROUP,
    external_secret,
    operator,
    secret,
    settings_for,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api

#: What waits of the one namespace, and the calls a second that it waits for.
WAITING = 2000
RATE = 10
#: What is created together; the client gives up what waits too long for a connection.
TOGETHER = 50
#: What is promised is a second; the rest is for a machine that does other things, too. Without
#: turns it would be minutes.
WITHIN = 2.0


@pytest.fixture
def other(cluster: ControlPlane) -> Iterator[str]:
    yield from fresh_namespace(cluster)


async def test_a_new_object_does_not_wait_for_2000_of_another_namespace(
    cluster: ControlPlane,
    own_cloud: CloudInfo,
    api: Api,
    namespace: str,
    other: str,
) -> None:
    """Both use one identity, that of a ClusterSecretStore, and so one queue."""
    shared = f"turns-{namespace}"
    values = {"id": own_cloud.access_key_id, "secret": own_cloud.access_key_secret}
    await api.put(secret("access-key", values), namespace)
    document = store(shared, namespace=namespace)
    await api.put({**document, "apiVersion": GROUP, "kind": "ClusterSecretStore"}, "")
    ref = {"secretStoreRef": {"name": shared, "kind": "ClusterSecretStore"}, "name": "x"}
    settings = settings_for(
        cluster, own_cloud, namespace, other, max_concurrent_kms_secret_pulls=RATE
    )
    try:
        async with CloudAdmin(own_cloud.admin_url) as admin, operator(settings) as controller:
            await admin.put_secrets({f"greedy/{n}": "value" for n in range(WAITING)})
            for first in range(0, WAITING, TOGETHER):
                await asyncio.gather(
                    *(
                        api.put(
                            external_secret(f"greedy-{n}", {"key": f"greedy/{n}", **ref}), namespace
                        )
                        for n in range(first, first + TOGETHER)
                    )
                )
            waits = []
            for n in range(5):
                await admin.put_secret(f"honest/{n}", "value")
                began = time.monotonic()
                await api.put(external_secret(f"honest-{n}", {"key": f"honest/{n}", **ref}), other)
                await api.until_ready(other, f"honest-{n}", "Synced")
                waits.append(time.monotonic() - began)
            assert sum(map(len, controller.sources.queues)) > WAITING / 2
            assert statistics.median(waits) < WITHIN, waits
    finally:
        await api.delete("ClusterSecretStore", "", shared)
