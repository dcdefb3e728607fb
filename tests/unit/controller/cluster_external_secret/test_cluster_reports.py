"""How often an object is reported, and what is said of a deletion that cannot be finished."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from unittest.mock import AsyncMock, Mock

import pytest

from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from secret_sync.queue import Done, Retry, run_workers
from tests.unit.controller.cluster_external_secret.conftest import child_of, namespace_named
from tests.unit.controller.cluster_external_secret.surveying import CES, ClusterLoop

pytestmark = pytest.mark.looptime


async def test_status_is_put_once_a_second_at_most() -> None:
    loop = ClusterLoop(AsyncMock())
    asyncio_loop = asyncio.get_running_loop()
    at: list[float] = []
    loop.statuses.put.side_effect = lambda *_: at.append(asyncio_loop.time())
    working = asyncio.create_task(
        run_workers(loop.queue, 2, loop.reconciler.reconcile, timeout=60, observer=Mock())
    )
    # A fan-out: forty children a second, each of which the watch delivers.
    for number in range(400):
        name = f"n{number}"
        loop.namespaces.put(name, namespace_named(name, team="a"))
        loop.children.put(f"{name}/some", child_of(CES, namespace=name))
        loop.reconciler.survey_soon("some")
        await asyncio.sleep(0.025)
    await asyncio.sleep(5)
    working.cancel()
    assert 10 <= len(at) <= 15
    assert all(later - earlier >= 1 for earlier, later in pairwise(at))
    # The last one says all.
    assert loop.statuses.put.call_args.args[2].namespaces == "0/401"


@pytest.mark.parametrize(
    "error", [ApiUnavailableError("no answer"), ApiRefusedError("denied by a webhook", status=403)]
)
async def test_deletion_that_waits_for_the_finalizer_is_an_event(error: Exception) -> None:
    loop = ClusterLoop(AsyncMock())
    dying = replace(CES, deleting=True, legacy=True)
    loop.objects.put("some", dying)
    loop.finalizers.remove.side_effect = error
    assert isinstance(await loop.reconciler.reconcile("/some"), Retry)
    loop.publisher.deletion_waits.assert_called_once_with(dying, str(error))


async def test_namespaces_of_an_object_that_is_deleted_ask_for_nothing() -> None:
    loop = ClusterLoop(AsyncMock())
    loop.objects.put("some", replace(CES, deleting=True, legacy=True))
    assert isinstance(await loop.reconciler.reconcile("ns/some"), Done)
    loop.finalizers.remove.assert_not_awaited()
    await loop.reconciler.reconcile("/some")
    loop.finalizers.remove.assert_awaited_once()


async def test_finalizer_of_a_living_object_is_no_event() -> None:
    loop = ClusterLoop(AsyncMock())
    loop.objects.put("some", replace(CES, legacy=True))
    loop.finalizers.remove.side_effect = ApiUnavailableError("no answer")
    assert isinstance(await loop.reconciler.reconcile("/some"), Retry)
    loop.publisher.deletion_waits.assert_not_called()
