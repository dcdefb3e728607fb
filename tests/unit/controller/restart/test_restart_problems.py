"""What keeps a workload from restarting, and how it is reported, by the clock of the loop."""

from __future__ import annotations

import asyncio

import pytest

from secret_sync.controller.sync import SyncContext
from secret_sync.kube import ApiConflictError, ApiRefusedError, ApiUnavailableError
from secret_sync.resources import ExternalSecretStatus
from tests.unit.controller.fakes import Statuses
from tests.unit.controller.restarting import (
    BOTH,
    DB,
    KEY_PATH,
    ONE,
    SHOP,
    SHOP_ES,
    THREE,
    TWO,
    PlayedCluster,
    Process,
    played,
    restarting,
)

pytestmark = pytest.mark.looptime

#: What the API server says where RBAC does not allow something.
RIGHT = (
    'GET: 403 Forbidden: User "system:serviceaccount:s:s" cannot get resource "deployments" in '
    'API group "apps" in the namespace "ns"'
)


async def test_a_missing_workload_is_reported_and_not_restarted_once_it_exists() -> None:
    cluster, process = played()
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
        assert process.reported() == ("False", "WorkloadNotFound")
        # It starts with the present data.
        cluster.add(DB)
        await asyncio.sleep(300)
        assert [path for path, _ in cluster.restarts] == [SHOP]
        assert process.events.reasons.count("RestartFailed") == 1
        await process.sync(BOTH, THREE)
        await asyncio.sleep(300)
    assert process.reported() == ("True", "Restarted")
    assert len(cluster.restarts) == 3


async def test_a_wrong_name_that_is_corrected_is_no_longer_reported() -> None:
    cluster, process = played()
    async with process.running():
        for data in (ONE, TWO):
            await process.sync(BOTH, data)
        await asyncio.sleep(100)
        await process.sync(BOTH, TWO)
        assert process.reported() == ("False", "WorkloadNotFound")
        await process.sync(SHOP_ES, TWO)
        assert process.reported() == ("", "")
    assert len(cluster.restarts) == 1


async def test_a_missing_permission_is_reported_and_the_restart_follows_once_it_is_granted() -> (
    None
):
    cluster, process = played()
    cluster.faults[f"GET {SHOP}"] = ApiRefusedError(RIGHT, status=403)
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(200)
        assert process.reported() == ("False", "RestartForbidden")
        condition = process.condition()
        assert condition is not None
        assert "kustomize component restart" in condition.message
        assert process.events.reasons == ["RestartFailed"]
        cluster.faults.clear()
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 1
    assert process.reported() == ("True", "Restarted")


async def test_a_missing_permission_is_reported_before_the_first_restart() -> None:
    cluster, process = played()
    cluster.faults[f"GET {SHOP}"] = ApiRefusedError(RIGHT, status=403)
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await asyncio.sleep(100)
        assert process.reported() == ("False", "RestartForbidden")
        # It stands, also after a restart of the controller.
        await process.sync(SHOP_ES, ONE, changed=False)
        assert process.reported() == ("False", "RestartForbidden")
    second = Process(cluster, process.statuses)
    async with second.running():
        await second.sync(SHOP_ES, ONE, changed=False)
        await asyncio.sleep(100)
        assert second.reported() == ("False", "RestartForbidden")
        assert process.events.reasons == ["RestartFailed"]
        assert second.events.reasons == []
        cluster.faults.clear()
        await asyncio.sleep(100)
    assert second.reported() == ("", "")
    assert not cluster.restarts


async def test_several_forbidden_workloads_are_reported_once() -> None:
    cluster, process = played(SHOP, DB)
    for path in (SHOP, DB):
        cluster.faults[f"GET {path}"] = ApiRefusedError(f"{RIGHT} {path}", status=403)
    async with process.running():
        await process.sync(BOTH, ONE)
        await asyncio.sleep(70)
        assert process.reported() == ("False", "RestartForbidden")
        changes = process.statuses.changes
        await asyncio.sleep(300)
        await process.sync(BOTH, ONE, changed=False)
        await asyncio.sleep(300)
        assert process.statuses.changes == changes
        assert process.events.reasons == ["RestartFailed"]
        # What is granted leaves the other one.
        del cluster.faults[f"GET {SHOP}"]
        await asyncio.sleep(100)
        condition = process.condition()
        assert condition is not None
        assert condition.message.startswith("statefulset/db")
        cluster.faults.clear()
        await asyncio.sleep(100)
    assert process.reported() == ("", "")


async def test_a_missing_permission_is_asked_for_once_for_each_kind() -> None:
    names = [f"w-{number}" for number in range(16)]
    paths = [SHOP.replace("shop", name) for name in names]
    cluster, process = played(*paths)
    for path in paths:
        cluster.faults[f"GET {path}"] = ApiRefusedError(RIGHT, status=403)
    es = restarting(*(f"deployment/{name}" for name in names))
    async with process.running():
        await process.sync(es, ONE)
        await asyncio.sleep(15)
        assert len([asked for asked in cluster.asked if "/deployments/" in asked]) == 1
        await process.sync(es, ONE, changed=False)
        await asyncio.sleep(60)
    assert len([asked for asked in cluster.asked if "/deployments/" in asked]) <= 3


async def test_a_workload_that_is_applied_later_is_no_mistake() -> None:
    cluster, process = played(DB)
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await asyncio.sleep(100)
        assert process.reported() == ("", "")
        assert cluster.asked.count(f"GET {SHOP}") == 1


async def test_a_refused_patch_names_who_refused() -> None:
    cluster, process = played()
    refused = ApiRefusedError('PATCH: 400: refused by admission webhook "policy"', status=400)
    cluster.faults[f"PATCH {SHOP}"] = refused
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
        assert process.reported() == ("False", "RestartFailed")
        condition = process.condition()
        assert condition is not None
        assert "webhook" in condition.message
        # What was due is dropped with its reason if the data changes back.
        await process.sync(SHOP_ES, ONE)
        assert process.reported() == ("", "")


@pytest.mark.parametrize(
    "fault",
    [ApiConflictError("PATCH: 409", status=409), ApiUnavailableError("away", status=503)],
)
async def test_a_passing_fault_delays_a_restart(fault: Exception) -> None:
    cluster, process = played()
    assert isinstance(fault, ApiConflictError | ApiUnavailableError)
    cluster.faults[f"PATCH {SHOP}"] = fault
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(30)
        assert process.reported() == ("", "")
        cluster.faults.clear()
        await asyncio.sleep(30)
    assert len(cluster.restarts) == 1


@pytest.mark.parametrize(
    ("spec", "note"),
    [
        ({"paused": True}, "is paused"),
        ({"updateStrategy": {"type": "OnDelete"}}, "has the updateStrategy OnDelete"),
    ],
)
async def test_a_workload_whose_pods_stay_is_reported(spec: dict[str, object], note: str) -> None:
    cluster, process = played()
    cluster.add(SHOP, **spec)
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
    condition = process.condition()
    assert condition is not None
    assert f"; deployment/shop {note}" in condition.message


async def test_a_workload_that_is_being_deleted_is_left_alone() -> None:
    cluster, process = played()
    cluster.workloads[SHOP]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
    assert not cluster.restarts
    assert process.reported() == ("True", "Restarted")
    status = process.statuses.held["ns/some"].restart
    assert status is not None
    assert (status.last_time, status.recent) == ("", 0)


async def test_an_invalid_annotation_is_reported_and_what_it_missed_follows() -> None:
    cluster, process = played()
    wrong = restarting("deplyoment/shop")
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(wrong, TWO)
        await process.sync(wrong, TWO)
        assert process.reported() == ("False", "RestartInvalid")
        assert process.events.reasons == ["RestartFailed"]
        await asyncio.sleep(100)
        assert not cluster.restarts
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 1


async def test_an_unreadable_key_is_reported_and_asked_for_again() -> None:
    cluster, process = played()
    cluster.faults[f"GET {KEY_PATH}"] = ApiRefusedError("GET: 403 Forbidden", status=403)
    await process.sync(SHOP_ES, ONE)
    assert process.reported() == ("False", "RestartFailed")
    await asyncio.sleep(61)
    assert await process.object_queue.get() == "ns/some"
    cluster.faults.clear()
    await process.sync(SHOP_ES, ONE)
    assert process.reported() == ("", "")


async def test_a_key_that_cannot_be_created_now_holds_up_no_sync() -> None:
    cluster, process = played()
    fault = ApiUnavailableError("PATCH: 500: failed calling webhook", status=500)
    cluster.faults[f"PATCH {KEY_PATH}"] = fault
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        assert process.reported() == ("False", "RestartFailed")
        async with asyncio.timeout(10):
            assert await process.object_queue.get() == "ns/some"
        cluster.faults.clear()
        await process.sync(SHOP_ES, ONE, changed=False)
        assert process.reported() == ("", "")
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 1


async def test_an_invalid_annotation_needs_no_key() -> None:
    cluster, process = played()
    await process.sync(restarting("deplyoment/shop"), ONE)
    assert process.reported() == ("False", "RestartInvalid")
    assert not cluster.asked


async def test_a_secret_that_is_created_once_is_no_longer_reported_once_there_is_a_key() -> None:
    cluster, process = played()
    cluster.faults[f"GET {KEY_PATH}"] = ApiUnavailableError("GET: 503", status=503)
    await process.sync(SHOP_ES, ONE)
    ctx = SyncContext("ns/some", SHOP_ES, process.states.of("ns/some"))
    process.tracker.unread(ctx)
    assert process.reported() == ("False", "RestartFailed")
    cluster.faults.clear()
    await asyncio.sleep(10)
    await process.tracker.begin(ctx)
    process.tracker.unread(ctx)
    assert process.reported() == ("", "")


async def test_an_unknown_status_of_a_user_breaks_nothing() -> None:
    cluster = PlayedCluster(SHOP)
    status = ExternalSecretStatus.from_dict(
        {"restart": {"dataDigest": "x", "lastRestartTime": "yesterday", "recentRestarts": 10**12}}
    )
    process = Process(cluster, Statuses({"ns/some": status}))
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 1
