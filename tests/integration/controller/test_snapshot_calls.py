"""How often KMS is asked so that a Secret is whole: no more than that takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.sources import source as source_module
from tests.support.generations import CallsFrom, GenerationWatch, Rotation, leaf
from tests.support.identities import Ram, auth_store
from tests.support.operator import external_secret
from tests.support.watching import Watching, force_sync

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

ACCESS_KEY = {
    "accessKey": {"name": "access-key", "key": "id"},
    "accessKeySecret": {"name": "access-key", "key": "secret"},
}
#: Nothing is polled while a test lasts.
SELDOM = {"rotationInterval": "10m"}


def reading(name: str, *keys: str) -> dict[str, Any]:
    """An ExternalSecret of these secrets."""
    return external_secret(name, *({"key": key, "name": leaf(key)} for key in keys), **SELDOM)


async def test_a_change_asks_for_the_others_at_once_soon_and_late(
    admin: CloudAdmin, api: Api, home: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In place of 5 and 30 seconds; for those see tests/unit/sources/test_snapshots.py.
    monkeypatch.setattr(source_module, "RECHECK_SOON", 4.0)
    monkeypatch.setattr(source_module, "RECHECK_LATE", 14.0)
    keys = [f"{home}/part-{number}" for number in range(4)]
    await admin.put_secrets(dict.fromkeys(keys, "one"))
    async with running():
        await api.put(reading("some", *keys), home)
        await api.put(reading("trigger", keys[0]), home)
        for name in ("some", "trigger"):
            await api.until_ready(home, name, "Synced")

        # Nothing changed: nobody else is asked.
        unchanged = CallsFrom(admin)
        await force_sync(api, home, "trigger", "unchanged")
        await unchanged.until(keys[0])
        await asyncio.sleep(2)
        assert await unchanged.counts(*keys) == [1, 0, 0, 0]

        await admin.put_secret(keys[0], "two")
        asked = CallsFrom(admin)
        await force_sync(api, home, "trigger", "changed")
        wanted = {leaf(key): "one" for key in keys} | {leaf(keys[0]): "two"}
        await api.until_holds(home, "some", wanted)
        await asyncio.sleep(19)
        times = await asked.times()
        assert len(times[keys[0]]) == 1, times
        for key in keys[1:]:
            assert len(times[key]) == 3, times
            at_once, soon, late = (at - times[keys[0]][0] for at in times[key])
            assert at_once < 3, times
            assert 3 < soon < 8, times
            assert 11 < late < 19, times

        # Nor is anybody from then on.
        asked = CallsFrom(admin)
        await force_sync(api, home, "trigger", "unchanged again")
        await asked.until(keys[0])
        await asyncio.sleep(6)
        assert await asked.counts(*keys) == [1, 0, 0, 0]


async def test_a_change_asks_for_the_others_of_every_object_that_reads_it(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    shared, one, other = keys = [f"{home}/{name}" for name in ("shared", "one", "other")]
    await admin.put_secrets(dict.fromkeys(keys, "one"))
    async with running():
        await api.put(reading("a", shared, one), home)
        await api.put(reading("b", shared, other), home)
        await api.put(reading("trigger", shared), home)
        for name in ("a", "b", "trigger"):
            await api.until_ready(home, name, "Synced")
        await admin.put_secret(shared, "two")
        asked = CallsFrom(admin)
        await force_sync(api, home, "trigger", "now")
        await api.until_holds(home, "a", {"shared": "two", "one": "one"})
        await api.until_holds(home, "b", {"shared": "two", "other": "one"})
        await asyncio.sleep(max(0.0, asked.seconds_to(3)))
        assert await asked.counts(*keys) == [1, 1, 1]


async def test_sources_rotated_together_are_asked_for_twice_at_most(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    rotation = await Rotation.of(admin, [f"{home}/part-{number}" for number in range(5)])
    async with (
        synced(reading("some", *rotation.names)),
        GenerationWatch(api, home, "some", rotation) as watch,
    ):
        await rotation.next()
        asked = CallsFrom(admin)
        await force_sync(api, home, "some", "now")
        await watch.until(1, within=10)
        await asyncio.sleep(max(0.0, asked.seconds_to(3)))
        assert max(await asked.counts(*rotation.names)) <= 2
        await watch.check_whole()


async def test_rotation_3_seconds_later_arrives_2_seconds_after_that(
    admin: CloudAdmin, api: Api, home: str, running: Running
) -> None:
    user, password = f"{home}/user", f"{home}/password"
    await admin.put_secrets({user: "old", password: "old"})
    async with running():
        await api.put(reading("some", user, password), home)
        await api.put(reading("trigger", user), home)
        for name in ("some", "trigger"):
            await api.until_ready(home, name, "Synced")
        async with Watching(api, home, "some") as watching:
            await admin.put_secret(user, "new")
            asked = CallsFrom(admin)
            await force_sync(api, home, "trigger", "now")
            await api.until_holds(home, "some", {"user": "new", "password": "old"})
            await asyncio.sleep(asked.seconds_to(3))
            await admin.put_secret(password, "new")
            # Long before the poll that follows after half a minute.
            within = asked.seconds_to(18)
            await api.until_holds(home, "some", {"user": "new", "password": "new"}, within)
            await api.until_ready(home, "some", "Synced")
            assert len(watching.states) == 3


@dataclass(frozen=True)
class Spellings:
    """One KMS secret, written in several ways.

    Attributes:
        store: As whom it is read; ``role`` is one whose account is known.
        calls: What reading all of them costs.
        entries: Of one ExternalSecret; ``name`` and ``arn`` are the secret's.
    """

    store: str
    calls: int
    entries: tuple[dict[str, str], ...]


NAME, ARN = {"key": "{name}"}, {"key": "{arn}"}
CURRENT = {"versionStage": "ACSCurrent"}
SPELLINGS = {
    "stage written or omitted": Spellings("store", 1, (NAME, NAME | CURRENT)),
    "name and ARN, own account": Spellings("role", 1, (NAME, ARN)),
    "all, own account": Spellings("role", 1, (NAME, NAME | CURRENT, ARN, ARN | CURRENT)),
    "name and ARN, account not known": Spellings("store", 2, (NAME, ARN, ARN | CURRENT)),
    "another stage": Spellings("role", 2, (NAME, ARN | {"versionStage": "ACSPrevious"})),
}


@pytest.fixture
async def role(
    cluster: ControlPlane, cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str
) -> None:
    """The SecretStore ``role``, whose account is known from its ARN."""
    ram = await Ram.of(cluster, admin, cloud)
    arn = await ram.role_for_account(f"snapshot-{home}")
    await api.put(auth_store("role", **ACCESS_KEY, ramRoleARN=arn), home)


def spelled(entry: dict[str, str], key: str, cloud: CloudInfo, **more: Any) -> dict[str, Any]:
    arn = f"acs:kms:cn-hangzhou:{cloud.account}:secret/{key}"
    return {**entry, "key": entry["key"].format(name=key, arn=arn), **more}


async def all_calls(asked: CallsFrom) -> int:
    return sum(map(len, (await asked.times()).values()))


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize("case", SPELLINGS.values(), ids=SPELLINGS)
async def test_equal_spellings_are_one_source(
    cloud: CloudInfo, admin: CloudAdmin, api: Api, home: str, case: Spellings, synced: Synced
) -> None:
    key = f"{home}/account"
    # The former version and the current one.
    await admin.put_secret(key, "one")
    await admin.put_secret(key, "one")
    entries = [
        spelled(entry, key, cloud, name=f"key-{number}", secretStoreRef={"name": case.store})
        for number, entry in enumerate(case.entries)
    ]
    asked = CallsFrom(admin)
    async with synced(external_secret("some", *entries, **SELDOM)):
        assert await all_calls(asked) == case.calls
        asked = CallsFrom(admin)
        await force_sync(api, home, "some", "now")
        await asyncio.sleep(2)
        # A success with its ARN may have told whose account it is.
        assert 1 <= await all_calls(asked) <= case.calls


GROUPS = {
    "another spelling": ("store", ARN),
    "another spelling, own account": ("role", ARN),
    "another stage": ("store", NAME | {"versionStage": "ACSPrevious"}),
    "another stage, other spelling": ("role", ARN | {"versionStage": "ACSPrevious"}),
}


@pytest.mark.usefixtures("role")
@pytest.mark.parametrize(("store", "entry"), GROUPS.values(), ids=GROUPS)
async def test_sources_of_one_kms_secret_are_refreshed_together(
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    store: str,
    entry: dict[str, str],
    running: Running,
) -> None:
    """The object that is polled seldom reads what another one polls often, spelled differently."""
    key = f"{home}/account"
    await admin.put_secret(key, "zero")
    await admin.put_secret(key, "one")
    ref = {"name": "x", "secretStoreRef": {"name": store}}
    async with running():
        often = external_secret("often", {"key": key, **ref}, rotationInterval="1s")
        await api.put(often, home)
        await api.put(external_secret("seldom", spelled(entry, key, cloud, **ref), **SELDOM), home)
        for name in ("often", "seldom"):
            await api.until_ready(home, name, "Synced")
        await admin.put_secret(key, "two")
        await api.until_holds(home, "often", {"x": "two"})
        wanted = "one" if entry.get("versionStage") == "ACSPrevious" else "two"
        await api.until_holds(home, "seldom", {"x": wanted})
