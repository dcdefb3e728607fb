"""All or nothing: whatever Alibaba Cloud says, a pair stays a pair."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import external_secret, operator, settings_for
from tests.support.watching import Watching, calls_of, force_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api
    from tests.support.watching import Synced

USER, PASSWORD, HOST = "faults/user", "faults/password", "faults/host"
FAULTS: dict[str, dict[str, Any]] = {
    "throttle": {},
    "error": {"status": 503},
    "hang": {},
    "html": {},
    "empty": {},
    "blank": {},
}
KINDS = (*FAULTS, "forbidden", "not found", "not a document")
#: Longer than any retry within one fetch.
LONG = 40


def trio(value: str) -> dict[str, str]:
    return {"user": value, "password": value, "host": value}


async def put(admin: CloudAdmin, value: str) -> None:
    """New values of all three in one go."""
    document = f'{{"password": "{value}"}}'
    await admin.put_secrets({USER: value, PASSWORD: document, HOST: value})


@pytest.fixture
async def three(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` of three secrets, the middle one a document."""
    await put(admin, "0")
    picked = {"key": PASSWORD, "jmesPath": [{"path": "password", "objectAlias": "password"}]}
    return external_secret(
        "some", {"key": USER, "name": "user"}, picked, {"key": HOST, "name": "host"}
    )


@asynccontextmanager
async def broken(admin: CloudAdmin, kind: str, value: str) -> AsyncIterator[None]:
    """All three have a new value, but that of the password cannot be had."""
    fault = await admin.set_fault(kind, subject=PASSWORD, **FAULTS[kind]) if kind in FAULTS else ""
    if kind == "forbidden":
        await admin.update(PASSWORD, forbidden=True)
    await put(admin, value)
    if kind == "not found":
        await admin.delete(PASSWORD)
    if kind == "not a document":
        await admin.put_secret(PASSWORD, '{"password": ')
    await admin.reset_counters()
    try:
        yield
    finally:
        if fault:
            await admin.clear_faults(fault)
        elif kind == "forbidden":
            await admin.update(PASSWORD, forbidden=False)
        else:
            await admin.put_secret(PASSWORD, f'{{"password": "{value}"}}')


async def until_asked(admin: CloudAdmin) -> None:
    """Waits for the good halves to have come, and the bad one to be known as bad."""
    async with asyncio.timeout(LONG):
        while not (  # noqa: ASYNC110 (a cloud)
            "OK" in await calls_of(admin, USER)
            and "OK" in await calls_of(admin, HOST)
            and await calls_of(admin, PASSWORD)
        ):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", KINDS)
async def test_half_new_pair_is_not_written(
    admin: CloudAdmin, api: Api, home: str, three: dict[str, Any], kind: str, synced: Synced
) -> None:
    async with synced(three) as watching:
        async with broken(admin, kind, "1"):
            await force_sync(api, home, "some", "1")
            await until_asked(admin)
            if kind != "hang":
                await api.until(
                    "ExternalSecret",
                    home,
                    "some",
                    lambda e: "Failed" in str((e or {})["status"]),
                    within=LONG,
                )
            # Somebody's edit of it changes nothing about that.
            await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1h"}})
            await watching.check(trio("0"))
        await force_sync(api, home, "some", "2")
        await api.until_holds(home, "some", trio("1"), within=LONG)
        await api.until_ready(home, "some", "Synced")
        await watching.check(trio("0"), trio("1"))


@pytest.mark.parametrize("kind", ["throttle", "hang", "not found"])
async def test_a_restart_in_the_middle_of_it_finds_it_whole(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    three: dict[str, Any],
    kind: str,
) -> None:
    settings = settings_for(cluster, cloud, home)
    async with operator(settings):
        await api.put(three, home)
        await api.until_ready(home, "some", "Synced")
    async with Watching(api, home, "some") as watching:
        async with broken(admin, kind, "1"):
            async with operator(settings):
                await until_asked(admin)
            await admin.reset_counters()
            async with operator(settings):
                await until_asked(admin)
                await watching.check(trio("0"))
        async with operator(settings):
            await api.until_holds(home, "some", trio("1"), within=LONG)
        await watching.check(trio("0"), trio("1"))


async def test_faults_one_after_the_other(
    admin: CloudAdmin, api: Api, home: str, three: dict[str, Any], synced: Synced
) -> None:
    rounds = ("error", "forbidden", "hang", "not a document", "throttle", "not found")
    async with synced(three) as watching:
        for number, kind in enumerate(rounds, start=1):
            async with broken(admin, kind, str(number)):
                await force_sync(api, home, "some", f"{number} broken")
                await until_asked(admin)
            await force_sync(api, home, "some", f"{number} mended")
            await api.until_holds(home, "some", trio(str(number)), within=LONG)
        await watching.check(*(trio(str(number)) for number in range(len(rounds) + 1)))
        assert len(watching.states) == len(rounds) + 1
