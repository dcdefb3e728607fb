"""A source that fails after another changed, and restarts at such moments: all of it or nothing."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.queue import Backoff
from secret_sync.sources import retries
from secret_sync.sources import source as source_module
from tests.support.generations import CallsFrom, GenerationWatch, Rotation, until_missing
from tests.support.operator import (
    SOON,
    external_secret,
    operator,
    ready_of,
    settings_for,
    version_of,
)
from tests.support.watching import force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api
    from tests.support.watching import Synced

FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "403": {"code": "Forbidden.NoPermission"},
    "404": {"code": "Forbidden.ResourceNotFound"},
}
#: When the first controller stops: with the missing answer in its status or not yet.
MOMENTS: dict[str, dict[str, Any]] = {
    "reported": {"kind": "error", "status": 500},
    "unreported": {"kind": "hang"},
}
#: A retry within one fetch, an interval, and a busy machine.
SETTLED = 20.0
#: Seconds that stand for the half minute after a definite "no", and for the five of a second look.
AFTER_REFUSAL = 3.0
SECOND_LOOK = 2.0


@pytest.fixture
async def pair(admin: CloudAdmin, home: str) -> Rotation:
    """A user and a password, in a KMS secret each."""
    return await Rotation.of(admin, [f"{home}/user", f"{home}/password"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "AFTER_REFUSAL", Backoff(base=AFTER_REFUSAL, cap=30.0))
    monkeypatch.setattr(source_module, "RECHECK_SOON", SECOND_LOOK)


def some(rotation: Rotation, interval: str) -> dict[str, Any]:
    return external_secret("some", *rotation.entries, rotationInterval=interval)


async def until_restored(watch: GenerationWatch) -> None:
    """Wait for what somebody did to the Secret to be undone."""
    await watch.seen_all()
    await watch.until(0, within=SOON)


@pytest.mark.parametrize("case", [*product(FAULTS, ["password", "user"])], ids=" of ".join)
async def test_secret_stays_while_one_answer_is_missing(
    admin: CloudAdmin, api: Api, home: str, pair: Rotation, case: tuple[str, str], synced: Synced
) -> None:
    fault, missing = case[0], f"{home}/{case[1]}"
    (good,) = set(pair.names) - {missing}
    async with synced(some(pair, "2s")), GenerationWatch(api, home, "some", pair) as watch:
        broken = await admin.set_fault("error", subject=missing, **FAULTS[fault])
        asked = CallsFrom(admin)
        await pair.next()
        await asked.until(good, missing)
        condition = await until_missing(api, home, "some", missing)
        assert good not in condition["message"]

        # What becomes of it meanwhile is undone at once, with the values written last.
        await api.delete("Secret", home, "some")
        await until_restored(watch)
        await api.merge("Secret", home, "some", {"stringData": {"user": "edited"}})
        await until_restored(watch)

        await pair.next()
        await asked.until(good, times=3)
        assert watch.seen[-1].whole == 0, str(watch)
        await admin.clear_faults(broken)
        await watch.until(2, within=SETTLED)
        await api.until_ready(home, "some", "Synced")
        await watch.check_whole()


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_missing_answer_brings_the_whole_secret_at_once(
    admin: CloudAdmin, api: Api, home: str, pair: Rotation, fault: str, synced: Synced
) -> None:
    async with synced(some(pair, "10m")), GenerationWatch(api, home, "some", pair) as watch:
        broken = await admin.set_fault("error", subject=pair.names[1], **FAULTS[fault])
        await pair.next()
        await force_sync(api, home, "some", "while it fails")
        await until_missing(api, home, "some", pair.names[1])
        await admin.clear_faults(broken)
        await force_sync(api, home, "some", "when it answers")
        await watch.until(1, within=SOON)
        await api.until_ready(home, "some", "Synced")
        await watch.check_whole()


@pytest.mark.parametrize("count", [2, 20])
async def test_rotation_without_a_controller_is_written_together(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    count: int,
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(count)])
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(some(rotation, "10m"), home)
        await api.until_ready(home, "some", "Synced")
    await rotation.next()
    async with GenerationWatch(api, home, "some", rotation) as watch:
        async with operator(settings):
            await watch.until(1, within=SETTLED)
            await api.until_ready(home, "some", "Synced")
        await watch.check_whole()


@pytest.mark.parametrize("count", [2, 20])
async def test_restarts_while_it_is_rotated_all_the_time(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    count: int,
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(count)])
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(some(rotation, "1s"), home)
        await api.until_ready(home, "some", "Synced")
    async with GenerationWatch(api, home, "some", rotation) as watch:
        rotating = asyncio.create_task(rotation.go_on((0.4,) * 20))
        for running in (0.3, 0.9, 1.7, 0.6, 1.2):
            async with operator(settings):
                await asyncio.sleep(running)
        await rotating
        async with operator(settings):
            await watch.until(rotation.latest, within=SETTLED)
            await api.until_ready(home, "some", "Synced")
        await watch.check_whole()


@pytest.mark.parametrize("count", [1, 2, 20])
async def test_a_restart_costs_one_call_for_each_source_and_no_write(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    count: int,
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(count)])
    settings = settings_for(cluster, cloud, home)
    fresh = CallsFrom(admin)
    async with operator(settings):
        await api.put(some(rotation, "10m"), home)
        await api.until_ready(home, "some", "Synced")
    assert await fresh.counts(*rotation.names) == [1] * count
    before = [await api.get(kind, home, "some") for kind in ("Secret", "ExternalSecret")]
    again = CallsFrom(admin)
    async with operator(settings):
        await again.until(*rotation.names)
        # Nothing follows at the second look either, as it would if something had changed.
        await asyncio.sleep(2 * SECOND_LOOK)
    assert await again.counts(*rotation.names) == [1] * count
    after = [await api.get(kind, home, "some") for kind in ("Secret", "ExternalSecret")]
    assert list(map(version_of, after)) == list(map(version_of, before))


@pytest.mark.parametrize(
    "case", [*product(MOMENTS, ["", "rotated again"])], ids=lambda case: " ".join(case).strip()
)
async def test_a_restart_while_one_answer_is_missing(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    pair: Rotation,
    case: tuple[str, str],
) -> None:
    moment, rotated = case
    user, password = pair.names
    settings = settings_for(cluster, cloud, home)
    async with GenerationWatch(api, home, "some", pair) as watch:
        async with operator(settings):
            await api.put(some(pair, "1s"), home)
            await api.until_ready(home, "some", "Synced")
            broken = await admin.set_fault(**MOMENTS[moment], subject=password)
            asked = CallsFrom(admin)
            await pair.next()
            await asked.until(user, times=2)
            await asked.until(password)
            if moment == "reported":
                await until_missing(api, home, "some", password)
        if rotated:
            await pair.next()
        async with operator(settings):
            asked = CallsFrom(admin)
            await asked.until(user, password)
            await asyncio.sleep(1)
            assert watch.seen[-1].whole == 0, str(watch)
            if moment == "reported":
                ready = ready_of(await api.get("ExternalSecret", home, "some"))
                assert ready["status"] == "False"
                assert password in ready["message"]
        await admin.clear_faults(broken)
        async with operator(settings):
            await watch.until(pair.latest, within=SETTLED)
            await api.until_ready(home, "some", "Synced")
        await watch.check_whole()
