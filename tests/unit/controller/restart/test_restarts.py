"""Restarts after a change of the data, by the clock of the loop."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from secret_sync.controller.restart.pacing import GAP, SETTLE
from secret_sync.kube import ApiRefusedError, ApiUnavailableError
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
    Process,
    now,
    played,
    restarting,
)

pytestmark = pytest.mark.looptime

REFUSED = ApiRefusedError("GET: 403 Forbidden", status=403)


async def test_new_data_restarts_a_workload_once_it_has_settled() -> None:
    cluster, process = played()
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await asyncio.sleep(100)
        assert not cluster.restarts
        changed = now()
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(300)
    ((path, at),) = cluster.restarts
    assert path == SHOP
    assert SETTLE <= at - changed < SETTLE + 1
    assert process.reported() == ("True", "Restarted")
    status = process.statuses.held["ns/some"].restart
    assert status is not None
    assert not status.pending
    assert cluster.annotation(SHOP).startswith(f"some={status.data}.")
    assert process.events.reasons == ["Restarted"]


async def test_first_data_and_the_same_data_restart_nothing() -> None:
    cluster, process = played()
    async with process.running():
        for changed in (True, True, False):
            await process.sync(SHOP_ES, ONE, changed=changed)
            await asyncio.sleep(100)
    assert not cluster.restarts
    # Whether it may be restarted is asked once.
    assert cluster.asked.count(f"GET {SHOP}") == 1
    assert process.reported() == ("", "")


async def test_data_that_changes_back_before_the_restart_restarts_nothing() -> None:
    cluster, process = played()
    async with process.running():
        for data in (ONE, TWO, ONE):
            await process.sync(SHOP_ES, data)
            await asyncio.sleep(1)
        await asyncio.sleep(100)
    assert not cluster.restarts


async def test_an_annotation_that_is_removed_and_added_begins_again() -> None:
    cluster, process = played()
    plain = replace(SHOP_ES, restart=None)
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(plain, ONE)
        status = process.statuses.held["ns/some"]
        assert (status.restart, status.restarted) == (None, None)
        await process.sync(plain, TWO)
        await process.sync(SHOP_ES, THREE)
        await asyncio.sleep(100)
    assert not cluster.restarts


async def test_another_target_begins_again() -> None:
    cluster, process = played()
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        held = process.statuses.held
        held["ns/some"] = replace(held["ns/some"], target="some")
        renamed = replace(SHOP_ES, target=replace(SHOP_ES.target, name="other"))
        await process.sync(renamed, TWO)
        await asyncio.sleep(100)
    assert not cluster.restarts


async def test_a_new_key_restarts_nothing_unless_a_restart_is_due() -> None:
    cluster, process = played()
    await process.sync(SHOP_ES, ONE)
    del cluster.secrets[KEY_PATH]
    second = Process(cluster, process.statuses)
    async with second.running():
        await second.sync(SHOP_ES, ONE)
        await asyncio.sleep(100)
    assert not cluster.restarts
    # The next change counts again; the key is lost while its restart is due.
    await second.sync(SHOP_ES, TWO)
    del cluster.secrets[KEY_PATH]
    third = Process(cluster, process.statuses)
    async with third.running():
        await third.sync(SHOP_ES, TWO, changed=False)
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 1


@pytest.mark.parametrize("reported", [True, False])
async def test_a_crash_before_the_restart_loses_nothing(*, reported: bool) -> None:
    cluster, process = played()
    await process.sync(SHOP_ES, ONE)
    before = dict(process.statuses.held)
    # The Secret is written, and the process ends: with or without having written the status.
    await process.sync(SHOP_ES, TWO)
    second = Process(cluster, process.statuses if reported else Statuses(before))
    async with second.running():
        await second.sync(SHOP_ES, TWO, changed=False)
        await asyncio.sleep(300)
    assert len(cluster.restarts) == 1
    assert second.reported() == ("True", "Restarted")


async def test_a_crash_after_the_restart_does_not_repeat_it() -> None:
    cluster, process = played()
    await process.sync(SHOP_ES, ONE)
    async with process.running():
        await process.sync(SHOP_ES, TWO)
        written = dict(process.statuses.held)
        await asyncio.sleep(SETTLE + 1)
    assert len(cluster.restarts) == 1
    # It had not written the status.
    second = Process(cluster, Statuses(written))
    async with second.running():
        await second.sync(SHOP_ES, TWO, changed=False)
        await asyncio.sleep(300)
    assert len(cluster.restarts) == 1
    assert f"PATCH {SHOP}" not in cluster.asked[cluster.asked.index(f"PATCH {SHOP}") + 1 :]
    assert second.reported() == ("True", "Restarted")


async def test_data_of_an_earlier_restart_restart_again() -> None:
    cluster, process = played(SHOP, DB)
    only_db = restarting("statefulset/db")
    async with process.running():
        for es, data in ((BOTH, ONE), (BOTH, TWO), (only_db, ONE), (BOTH, ONE), (BOTH, TWO)):
            await process.sync(es, data)
            await asyncio.sleep(300)
    # The pod template of the Deployment still had the digest of the second data.
    assert [path for path, _ in cluster.restarts].count(SHOP) == 2
    assert [path for path, _ in cluster.restarts].count(DB) == 3


async def test_objects_that_change_together_restart_their_workload_once() -> None:
    cluster, process = played()
    names = [f"es-{number}" for number in range(20)]
    objects = [restarting("deployment/shop", name=name) for name in names]
    async with process.running():
        for es in objects:
            await process.sync(es, ONE)
        for es in objects:
            await process.sync(es, TWO)
            await asyncio.sleep(1)
        await asyncio.sleep(300)
    assert len(cluster.restarts) == 1
    assert len(cluster.annotation(SHOP).split()) == 20
    assert {process.reported(name) for name in names} == {("True", "Restarted")}


@pytest.mark.parametrize("forbidden", [False, True])
async def test_many_objects_of_one_workload_leave_the_loop_to_others(*, forbidden: bool) -> None:
    cluster, process = played()
    objects = [restarting("deployment/shop", name=f"es-{number}") for number in range(1000)]
    if forbidden:
        cluster.faults[f"GET {SHOP}"] = REFUSED
    for es in objects:
        await process.sync(es, ONE)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    # What is checked, and what restarts.
    for data, expected in ((ONE, 10), (TWO, 20)):
        for es in objects:
            await process.sync(es, data)
        await asyncio.sleep(100)
        turns, other = 0, asyncio.create_task(others())
        await process.reconciler.reconcile("ns/Deployment/shop")
        other.cancel()
        assert turns >= expected
    assert len(cluster.restarts) == (0 if forbidden else 1)


async def test_objects_that_change_apart_restart_their_workload_a_minute_apart() -> None:
    cluster, process = played()
    first, second = (restarting("deployment/shop", name=name) for name in ("one", "two"))
    async with process.running():
        for es in (first, second):
            await process.sync(es, ONE)
        await process.sync(first, TWO)
        await asyncio.sleep(SETTLE + 5)
        await process.sync(second, TWO)
        await asyncio.sleep(300)
    (_, one), (_, two) = cluster.restarts
    assert GAP <= two - one < GAP + 2
    assert len(cluster.annotation(SHOP).split()) == 2


async def test_an_object_whose_values_are_not_written_yet_is_waited_for() -> None:
    cluster, process = played()
    other = restarting("deployment/shop", name="other")
    async with process.running():
        for es in (SHOP_ES, other):
            await process.sync(es, ONE)
        waiting = process.states.of("ns/other")
        waiting.waiting_since = now()
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(30)
        assert not cluster.restarts
        waiting.waiting_since = None
        await process.sync(other, TWO)
        await asyncio.sleep(300)
    assert len(cluster.restarts) == 1


async def test_an_object_that_waits_for_ever_is_waited_for_a_minute() -> None:
    cluster, process = played()
    other = restarting("deployment/shop", name="other")
    async with process.running():
        for es in (SHOP_ES, other):
            await process.sync(es, ONE)
        process.states.of("ns/other").waiting_since = now()
        changed = now()
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(300)
    ((_, at),) = cluster.restarts
    assert 60 <= at - changed < 80


async def test_a_value_that_changes_all_the_time_restarts_less_and_less() -> None:
    cluster, process = played()
    async with process.running():
        for number in range(3 * 360):
            await process.sync(SHOP_ES, {"a": str(number).encode()})
            if number == 360:
                assert process.reported() == ("Unknown", "RestartDelayed")
                condition = process.condition()
                assert condition is not None
                assert "generated password" in condition.message
            await asyncio.sleep(10)
    times = [at - cluster.restarts[0][1] for _, at in cluster.restarts]
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))
    assert len([at for at in times if at < 3600]) == 8
    assert len(times) <= 11
    # One for each delay that is a new one, not one for each change.
    assert process.events.reasons.count("RestartFailed") < 12


async def test_the_limits_survive_a_crash() -> None:
    cluster, process = played()
    await process.sync(SHOP_ES, ONE)
    async with process.running():
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(SETTLE + 1)
    cluster.restarted(SHOP, 1)
    second = Process(cluster, process.statuses)
    # Another object, which knows of no restart; the workload does.
    other = restarting("deployment/shop", name="other")
    async with second.running():
        began = now()
        await second.sync(other, ONE)
        await second.sync(SHOP_ES, THREE)
        await second.sync(other, TWO)
        await asyncio.sleep(50)
        assert len(cluster.restarts) == 1
        await asyncio.sleep(100)
    assert len(cluster.restarts) == 2
    assert cluster.restarts[1][1] - began < 75


async def test_all_workloads_of_an_object_restart() -> None:
    cluster, process = played(SHOP, DB)
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(100)
    assert sorted(path for path, _ in cluster.restarts) == [SHOP, DB]
    condition = process.condition()
    assert condition is not None
    assert condition.message == (
        "restarted deployment/shop, statefulset/db for new data of Secret some"
    )


async def test_data_that_changes_during_a_restart_restart_again() -> None:
    cluster, process = played(SHOP, DB)
    cluster.faults[f"GET {DB}"] = ApiUnavailableError("away")
    async with process.running():
        await process.sync(BOTH, ONE)
        await process.sync(BOTH, TWO)
        await asyncio.sleep(SETTLE + 1)
        assert [path for path, _ in cluster.restarts] == [SHOP]
        await process.sync(BOTH, THREE)
        cluster.faults.clear()
        await asyncio.sleep(300)
    assert [path for path, _ in cluster.restarts].count(SHOP) == 2
    assert [path for path, _ in cluster.restarts].count(DB) == 1
    assert process.reported() == ("True", "Restarted")


async def test_an_object_that_is_deleted_meanwhile_restarts_nothing() -> None:
    cluster, process = played()
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        process.objects.remove("ns/some")
        await asyncio.sleep(100)
    assert not cluster.restarts


async def test_entries_of_objects_that_are_gone_leave_the_annotation() -> None:
    cluster, process = played()
    cluster.workloads[SHOP]["spec"]["template"] = {
        "metadata": {
            "annotations": {
                "secret-sync.alibabacloud.com/restarted-for": "gone=1.2 some=1.2 garbage = =x"
            }
        }
    }
    async with process.running():
        await process.sync(SHOP_ES, ONE)
        await process.sync(SHOP_ES, TWO)
        await asyncio.sleep(100)
    status = process.statuses.held["ns/some"].restart
    assert status is not None
    assert cluster.annotation(SHOP).startswith(f"some={status.data}.")


async def test_restarts_of_the_past_are_forgotten() -> None:
    names = [f"w-{number}" for number in range(30)]
    cluster, process = played(*(SHOP.replace("shop", name) for name in names))
    async with process.running():
        for name in names:
            es = restarting(f"deployment/{name}", name=name)
            await process.sync(es, ONE)
            await process.sync(es, TWO)
            await asyncio.sleep(20)
        await asyncio.sleep(20)
    assert len(cluster.restarts) == 30
    assert len(process.reconciler) < 6
