"""Push refresh: from an event of the local cloud to the Secret, and floods of requests."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from secret_sync.local.cloud import CloudAdmin
from secret_sync.settings import BindAddress
from tests.support.controlplane import fresh_namespace
from tests.support.operator import (
    SOON,
    external_secret,
    operator,
    put_store,
    settings_for,
    values_of,
)
from tests.support.program import free_port
from tests.support.watching import calls_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.app import Controller
    from secret_sync.local.cloud import CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings import Settings
    from tests.support.operator import Api

TOKEN = "integration-" + "t" * 32
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
#: Seconds between two polls where none is to come.
NEVER = 3600.0
RATE = 10


@pytest.fixture
async def admin(own_cloud: CloudInfo) -> AsyncIterator[CloudAdmin]:
    async with CloudAdmin(own_cloud.admin_url) as client:
        yield client


@pytest.fixture
async def namespace(api: Api, own_cloud: CloudInfo, namespace: str) -> str:
    await put_store(api, own_cloud, namespace)
    return namespace


@pytest.fixture
def url() -> str:
    return f"http://127.0.0.1:{free_port()}/refresh"


def settings_of(
    cluster: ControlPlane, cloud: CloudInfo, folder: Path, url: str, *namespaces: str, **more: Any
) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(TOKEN)
    port = int(url.rpartition(":")[2].partition("/")[0])
    more = {"polling_interval": NEVER, **more}
    return settings_for(
        cluster,
        cloud,
        *namespaces,
        refresh_bind_address=BindAddress("127.0.0.1", port),
        refresh_token_dir=str(folder),
        **more,
    )


async def synced(api: Api, namespace: str, name: str, *keys: str) -> None:
    entries = [{"key": key, "name": key.rpartition("/")[2]} for key in keys]
    await api.put(external_secret(name, *entries), namespace)
    await api.until_ready(namespace, name, "Synced")


async def post(url: str, body: dict[str, Any], **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=body, headers=headers or HEADERS) as answer,
    ):
        return answer.status


@asynccontextmanager
async def serving(settings: Settings, url: str) -> AsyncIterator[Controller]:
    """The controller, once it does not count as a standby any more."""
    async with operator(settings) as controller:
        async with asyncio.timeout(SOON):
            while await post(url, {"secrets": []}) != 202:  # noqa: ASYNC110 (as a sender does)
                await asyncio.sleep(0.05)
        yield controller


async def test_event_of_a_new_version_updates_the_secret_without_polling(
    *, cluster: ControlPlane, own_cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str,
    tmp_path: Path, url: str,
) -> None:  # fmt: skip
    await admin.put_secret("push/db", "one")
    await admin.put_secret("push/user", "shop")
    settings = settings_of(cluster, own_cloud, tmp_path / "refresh", url, namespace)
    async with serving(settings, url) as controller:
        await synced(api, namespace, "some", "push/db", "push/user")
        await admin.set_event_target(url, token=TOKEN)
        await admin.put_secret("push/db", "two")
        await api.until_holds(namespace, "some", {"db": "two", "user": "shop"})
        # A rotation, which CloudMonitor reports in another form; every event comes twice.
        await admin.set_event_target(url, token=TOKEN, duplicate=1.0)
        before = len(await calls_of(admin, "push/db"))
        await admin.rotate("push/db")
        await api.until(
            "Secret", namespace, "some", lambda s: values_of(s).get("db") not in {"one", "two"}
        )
        await asyncio.sleep(1)
        assert len(await calls_of(admin, "push/db")) <= before + 2
        # The cloud counts an event when it has read the answer, and it gave none up.
        assert (await admin.events())["failed"] == 0
        refreshes = controller.metrics.registry.get_sample_value("secret_sync_refreshes_total")
        assert refreshes is not None
        assert refreshes >= 2


async def test_lost_events_are_repaired_by_polling(
    *, cluster: ControlPlane, own_cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str,
    tmp_path: Path, url: str,
) -> None:  # fmt: skip
    await admin.put_secret("push/db", "one")
    settings = settings_of(
        cluster, own_cloud, tmp_path / "refresh", url, namespace, polling_interval=2.0
    )
    async with serving(settings, url):
        await synced(api, namespace, "some", "push/db")
        await admin.set_event_target(url, token=TOKEN, drop=1.0)
        await admin.put_secret("push/db", "two")
        await api.until_holds(namespace, "some", {"db": "two"})
        assert await admin.events() == {"posted": 0, "dropped": 1, "failed": 0}


async def test_event_for_a_controller_that_polls_nothing_updates_the_secret(
    *, cluster: ControlPlane, own_cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str,
    tmp_path: Path, url: str,
) -> None:  # fmt: skip
    await admin.put_secret("push/db", "one")
    settings = settings_of(
        cluster, own_cloud, tmp_path / "refresh", url, namespace, disable_polling=True
    )
    async with serving(settings, url):
        await synced(api, namespace, "some", "push/db")
        await admin.put_secret("push/db", "two")
        assert await post(url, {"secrets": ["push/db"]}) == 202
        await api.until_holds(namespace, "some", {"db": "two"})


async def test_flood_of_requests_leaves_the_rate_and_the_other_tenant_alone(
    *, cluster: ControlPlane, own_cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str,
    tmp_path: Path, url: str,
) -> None:  # fmt: skip
    names = [f"push/flood-{n}" for n in range(40)]
    await admin.put_secrets(dict.fromkeys([*names, "push/other"], "one"))
    with contextmanager(fresh_namespace)(cluster) as other:
        await put_store(api, own_cloud, other)
        settings = settings_of(
            cluster, own_cloud, tmp_path / "refresh", url, namespace, other,
            max_concurrent_kms_secret_pulls=RATE,
        )  # fmt: skip
        async with serving(settings, url) as controller:
            for start in range(0, 40, 10):
                await synced(api, namespace, f"some-{start}", *names[start : start + 10])
            await admin.reset_counters()
            began = time.monotonic()
            flooding = asyncio.create_task(flood(url, names, 10_000))
            await asyncio.sleep(2)
            asked = time.monotonic()
            await api.put(external_secret("new", {"key": "push/other", "name": "x"}), other)
            await api.until_holds(other, "new", {"x": "one"})
            took = time.monotonic() - asked
            calls = (await admin.counters())["actions"]["GetSecretValue"]
            seconds = time.monotonic() - began
            statuses = await flooding
            # Each of them waits for its turn among the requests of the flood, and no longer.
            assert took < 10, took
            # Half of the rate, a burst of a second, and the new object.
            assert calls <= (seconds + 1) * RATE / 2 + 2, (calls, seconds)
            assert set(statuses) <= {202, 429, 0}, set(statuses)
            assert statuses.count(202) >= 200
            assert not controller.unready


async def flood(url: str, names: list[str], count: int) -> list[int]:
    """Send many requests, half of them with wrong tokens; return the statuses, 0 for none."""
    body = {"secrets": names}
    statuses: list[int] = []
    left = iter(range(count))

    async def send(session: aiohttp.ClientSession) -> None:
        for number in left:
            try:
                headers = HEADERS if number % 2 else {"Authorization": f"Bearer wrong-{number}"}
                async with session.post(url, json=body, headers=headers) as answer:
                    status = 202 if answer.status == 401 else answer.status
                    statuses.append(status)
            except aiohttp.ClientError:
                statuses.append(0)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for _ in range(16):
            tasks.create_task(send(session))
    return statuses


async def test_standby_asks_senders_to_try_again_until_it_leads(
    *, cluster: ControlPlane, own_cloud: CloudInfo, admin: CloudAdmin, api: Api, namespace: str,
    tmp_path: Path, url: str,
) -> None:  # fmt: skip
    await admin.put_secret("push/db", "one")
    lease = {"leader_elect": True, "leader_elect_namespace": namespace}
    folder = tmp_path / "refresh"
    leading = settings_of(cluster, own_cloud, folder, url, namespace, **lease)
    second = f"http://127.0.0.1:{free_port()}/refresh"
    standing_by = settings_of(cluster, own_cloud, folder, second, namespace, **lease)
    async with serving(leading, url):
        await synced(api, namespace, "some", "push/db")
        first = operator(standing_by)
        await first.__aenter__()
        assert await post(second, {"secrets": ["push/db"]}) == 503
        assert await post(second, {"secrets": []}, Authorization="Bearer wrong") == 401
        # The cloud's event bus tries the standby again, as EventBridge does.
        await admin.set_event_target(second, token=TOKEN)
        await admin.put_secret("push/db", "two")
    try:
        async with asyncio.timeout(SOON):
            while await post(second, {"secrets": ["push/db"]}) != 202:  # noqa: ASYNC110 (as above)
                await asyncio.sleep(0.1)
        await api.until_holds(namespace, "some", {"db": "two"})
    finally:
        await first.__aexit__(None, None, None)
