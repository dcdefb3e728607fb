"""``--cleanup-secret-on-failure``: the Secret goes once none of its values exists any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import Store
from secret_sync.resources import ExternalSecret
from tests.support.operator import external_secret, operator, secret, settings_for
from tests.support.watching import Watching, calls_of, force_sync, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

USER, PASSWORD = "cleanup/user", "cleanup/password"
PAIR = {"user": "one", "password": "one"}
THEIRS = {"theirs": "precious"}


@pytest.fixture
async def pair(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` with two keys."""
    await admin.put_secrets({USER: "one", PASSWORD: "one"})
    return external_secret(
        "some", {"key": USER, "name": "user"}, {"key": PASSWORD, "name": "password"}
    )


async def lose(admin: CloudAdmin, *names: str) -> None:
    for name in names:
        await admin.delete(name)


async def test_secret_stays_if_a_change_the_controller_has_not_seen_retains_it(
    admin: CloudAdmin,
    api: Api,
    home: str,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    running: Running,
) -> None:
    await admin.put_secret(USER, "one")
    async with running(cleanup_secret_on_failure=True, polling_interval=1.0):
        await api.put(external_secret("some", {"key": USER, "name": "user"}), home)
        await api.until_ready(home, "some", "Synced")
        # What it knows of the ExternalSecret is old from now on.
        put = Store.put

        def put_others(store: Store[Any], key: str, obj: Any) -> Any:
            return obj if isinstance(obj, ExternalSecret) else put(store, key, obj)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", put_others)
            retained = {"spec": {"target": {"deletionPolicy": "Retain"}}}
            await api.merge("ExternalSecret", home, "some", retained)
            held = await api.get("Secret", home, "some")
            await lose(admin, USER)
            asked = f"GET /apis/alibabacloud.com/v1alpha1/namespaces/{home}/externalsecrets/some"
            async with asyncio.timeout(20):
                while asked not in requests:  # noqa: ASYNC110 (the log of what was sent)
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            left = await api.get("Secret", home, "some")
            assert left["metadata"]["uid"] == held["metadata"]["uid"]


async def test_secret_goes_with_the_last_of_its_values_and_comes_back_with_them(
    admin: CloudAdmin,
    api: Api,
    home: str,
    pair: dict[str, Any],
    synced: Synced,
) -> None:
    async with synced(pair, cleanup_secret_on_failure=True) as watching:
        await lose(admin, USER)
        await force_sync(api, home, "some", "1")
        await api.until_ready(home, "some", "SecretNotFound")
        await watching.check(PAIR)

        await lose(admin, PASSWORD)
        await force_sync(api, home, "some", "2")
        await api.until("Secret", home, "some", lambda found: found is None)
        events = await until_reported(
            api, home, "some", "Synced", "SyncFailed", "SyncFailed", "SecretDeleted"
        )
        assert "none of its values exists" in str(events)
        await api.until_ready(home, "some", "SecretNotFound")

        # Half of it is not enough.
        await admin.put_secret(USER, "two")
        await force_sync(api, home, "some", "3")
        await api.until(
            "ExternalSecret", home, "some", lambda e: "Succeeded" in str((e or {})["status"])
        )
        assert await api.find("Secret", home, "some") is None
        await admin.put_secret(PASSWORD, "two")
        await force_sync(api, home, "some", "4")
        new = {"user": "two", "password": "two"}
        await api.until_holds(home, "some", new)
        await api.until_ready(home, "some", "Synced")
        await watching.check(PAIR, new, absences=1)


@pytest.mark.parametrize("other", ["forbidden", "throttle", "error", "hang"])
async def test_secret_stays_while_a_value_fails_for_another_reason(
    admin: CloudAdmin,
    api: Api,
    home: str,
    pair: dict[str, Any],
    other: str,
    synced: Synced,
) -> None:
    async with synced(pair, cleanup_secret_on_failure=True) as watching:
        await lose(admin, USER)
        await admin.reset_counters()
        if other == "forbidden":
            await admin.update(PASSWORD, forbidden=True)
        fault = "" if other == "forbidden" else await admin.set_fault(other, subject=PASSWORD)
        try:
            await force_sync(api, home, "some", "1")
            await api.until_ready(home, "some", "SecretNotFound", within=20)
            while not (await calls_of(admin, PASSWORD)):
                await api.get("Secret", home, "some")
            await watching.check(PAIR)
        finally:
            if fault:
                await admin.clear_faults(fault)
            else:
                await admin.update(PASSWORD, forbidden=False)
        await force_sync(api, home, "some", "2")
        await api.until(
            "ExternalSecret",
            home,
            "some",
            lambda e: (e or {})["status"]["dataSyncResults"][-1]["status"] == "Succeeded",
            within=20,
        )
        await watching.check(PAIR)


async def test_without_the_flag_it_stays(
    admin: CloudAdmin, api: Api, home: str, pair: dict[str, Any], synced: Synced
) -> None:
    async with synced(pair) as watching:
        await lose(admin, USER, PASSWORD)
        await force_sync(api, home, "some", "1")
        await api.until_ready(home, "some", "SecretNotFound")
        # It is looked after as ever.
        await api.merge("Secret", home, "some", {"stringData": {"user": "x"}})
        await api.until_holds(home, "some", PAIR)
        await watching.check(PAIR, {**PAIR, "user": "x"})


@pytest.mark.parametrize("policy", ["Retain", "Merge"])
async def test_retained_or_merged_secret_is_never_deleted(
    admin: CloudAdmin,
    api: Api,
    home: str,
    pair: dict[str, Any],
    policy: str,
    synced: Synced,
) -> None:
    holds = PAIR
    if policy == "Merge":
        await api.put(secret("some", THEIRS), home)
        holds = {**PAIR, **THEIRS}
        pair["spec"]["target"] = {"creationPolicy": "Merge"}
    else:
        pair["spec"]["target"] = {"deletionPolicy": "Retain"}
    async with synced(pair, cleanup_secret_on_failure=True) as watching:
        await lose(admin, USER, PASSWORD)
        await force_sync(api, home, "some", "1")
        await api.until_ready(home, "some", "SecretNotFound")
        await watching.check(holds)


async def test_unmanaged_secret_is_never_deleted(
    admin: CloudAdmin, api: Api, home: str, pair: dict[str, Any], running: Running
) -> None:
    stored = await api.put(secret("some", THEIRS), home)
    await lose(admin, USER, PASSWORD)
    async with running(cleanup_secret_on_failure=True):
        await api.put(pair, home)
        await api.until_ready(home, "some", "SecretNotFound")
        await until_reported(api, home, "some", "SyncFailed")
        assert await api.get("Secret", home, "some") == stored


async def test_secret_goes_if_its_values_went_while_the_controller_was_away(
    cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    api: Api,
    home: str,
    pair: dict[str, Any],
) -> None:
    settings = settings_for(cluster, cloud, home, cleanup_secret_on_failure=True)
    async with operator(settings):
        await api.put(pair, home)
        await api.until_ready(home, "some", "Synced")
    await lose(admin, USER, PASSWORD)
    async with Watching(api, home, "some") as watching, operator(settings):
        await api.until("Secret", home, "some", lambda found: found is None)
        await api.until_ready(home, "some", "SecretNotFound")
        await watching.check(PAIR, absences=1)
