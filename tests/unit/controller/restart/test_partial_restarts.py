"""Restarts of which one workload has its own, and another one cannot have it yet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from secret_sync.kube import ApiRefusedError, ApiUnavailableError
from tests.unit.controller.restarting import (
    BOTH,
    DB,
    KEY_PATH,
    ONE,
    SHOP,
    SHOP_ES,
    TWO,
    Process,
    played,
)

pytestmark = pytest.mark.looptime

REFUSED = ApiRefusedError("GET: 403 Forbidden", status=403)


@pytest.mark.parametrize("crashes", [False, True])
async def test_data_that_changes_back_after_one_workload_restarted_restart_all(
    *, crashes: bool
) -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = REFUSED
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
        assert [path for path, _ in cluster.restarts] == [SHOP]
    if crashes:
        process = Process(cluster, process.statuses)
        process.restarted_long_ago()
    cluster.faults.clear()
    async with process.running():
        await process.sync(BOTH, ONE)
        await asyncio.sleep(300)
    # The Deployment ran with the second data.
    assert sorted(path for path, _ in cluster.restarts) == [SHOP, SHOP, DB]
    assert process.reported() == ("True", "Restarted")
    status = process.statuses.held["ns/some"].restart
    assert status is not None
    assert not status.pending
    assert status.recent == (1 if crashes else 2)


async def test_a_lost_key_does_not_lose_what_one_workload_still_has_to_restart_for() -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = REFUSED
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
    del cluster.secrets[KEY_PATH]
    cluster.faults.clear()
    second = Process(cluster, process.statuses)
    second.restarted_long_ago()
    async with second.running():
        await second.sync(BOTH, ONE)
        await asyncio.sleep(300)
    assert [path for path, _ in cluster.restarts].count(DB) == 1
    assert second.reported() == ("True", "Restarted")


async def test_data_that_changes_back_while_a_workload_restarts_restart_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = ApiUnavailableError("away")
    request = cluster.request

    async def slow_request(method: str, path: str, **how: Any) -> dict[str, Any]:
        answer = await request(method, path, **how)
        if method == "PATCH" and path == SHOP and len(cluster.restarts) == 1:
            await process.sync(BOTH, ONE)
        return answer

    async with process.running():
        await process.sync(BOTH, ONE)
        await asyncio.sleep(100)
        monkeypatch.setattr(cluster, "request", slow_request)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(300)
    assert [path for path, _ in cluster.restarts] == [SHOP, SHOP]
    assert process.reported() == ("True", "Restarted")
    status = process.statuses.held["ns/some"].restart
    assert status is not None
    assert not status.pending


async def test_a_restart_is_over_once_the_workload_that_it_waited_for_is_not_named() -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = REFUSED
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
        assert process.reported() == ("False", "RestartFailed")
        await process.sync(SHOP_ES, TWO, changed=False)
        assert process.reported() == ("True", "Restarted")
        status = process.statuses.held["ns/some"].restart
        assert status is not None
        assert not status.pending
        await process.sync(SHOP_ES, ONE)
        await asyncio.sleep(300)
    assert [path for path, _ in cluster.restarts] == [SHOP, SHOP]


async def test_a_controller_that_starts_again_counts_no_restart_that_did_not_happen() -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = REFUSED
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
    process.restarted_long_ago()
    before = process.statuses.held["ns/some"].restart
    for _ in range(3):
        process = Process(cluster, process.statuses)
        async with process.running():
            await process.sync(BOTH, TWO, changed=False)
            await asyncio.sleep(100)
        assert process.statuses.held["ns/some"].restart == before
    assert len(cluster.restarts) == 1
