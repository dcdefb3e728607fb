"""Deleting an ExternalSecret: the garbage collector takes its Secret, and nothing hangs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from secret_sync.kube import Store
from secret_sync.resources import ExternalSecret
from tests.support.operator import external_secret, version_of

if TYPE_CHECKING:
    import pytest

    from secret_sync.local.cloud import CloudAdmin
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced


async def test_the_secret_goes_with_its_external_secret(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await admin.put_secret("removal/one", "one")
    async with synced(external_secret("some", {"key": "removal/one", "name": "a"})):
        assert "finalizers" not in (await api.get("ExternalSecret", home, "some"))["metadata"]
        await api.delete("ExternalSecret", home, "some")
        assert await api.find("ExternalSecret", home, "some") is None
        # The garbage collector looks for new kinds every half minute, so it takes this long
        # where this test is the first to install them.
        await api.until("Secret", home, "some", lambda found: found is None, within=60)


async def test_secret_goes_although_the_controller_is_not_running(
    admin: CloudAdmin, api: Api, home: str, synced: Synced
) -> None:
    await admin.put_secret("removal/one", "one")
    async with synced(external_secret("some", {"key": "removal/one", "name": "a"})):
        pass
    await api.delete("ExternalSecret", home, "some")
    await api.until("Secret", home, "some", lambda found: found is None, within=60)


async def test_an_orphaned_secret_stays_although_the_controller_has_not_heard_of_it(
    admin: CloudAdmin, api: Api, home: str, monkeypatch: pytest.MonkeyPatch, running: Running
) -> None:
    await admin.put_secret("removal/one", "one")
    async with running() as controller:
        await api.put(external_secret("some", {"key": "removal/one", "name": "a"}), home)
        await api.until_ready(home, "some", "Synced")
        # What it knows of the ExternalSecret is old from now on.
        put = Store.put

        def put_others(store: Store[Any], key: str, obj: Any) -> Any:
            return obj if isinstance(obj, ExternalSecret) else put(store, key, obj)

        monkeypatch.setattr(Store, "put", put_others)
        await api.merge("ExternalSecret", home, "some", {"metadata": {"finalizers": ["a.b/c"]}})
        await api.delete("ExternalSecret", home, "some")
        # The garbage collector does this for ``--cascade=orphan``.
        orphaned = await api.merge("Secret", home, "some", {"metadata": {"ownerReferences": None}})
        await api.until("Secret", home, "some", lambda _: _seen(controller, home, orphaned))
        await asyncio.sleep(0.2)
        left = await api.get("Secret", home, "some")
        assert "ownerReferences" not in left["metadata"]
    await api.merge("ExternalSecret", home, "some", {"metadata": {"finalizers": None}})


def _seen(controller: Any, home: str, edited: dict[str, Any]) -> bool:
    known = controller.watched.secrets.store.get(f"{home}/some")
    return known is not None and int(known.resource_version) >= int(version_of(edited))
