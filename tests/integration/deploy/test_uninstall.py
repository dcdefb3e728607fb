"""docs/install.md from its first command to its last, after which the Secrets are still there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.deploy.scenario import CRDS
from tests.support.operator import GROUP, MERGE, external_secret, operator, path_of

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin
    from tests.integration.deploy.conftest import AsAccount
    from tests.integration.deploy.person import Person
    from tests.support.operator import Api


@pytest.fixture
async def _finalizers_are_off(api: Api) -> None:
    """A definition goes when its objects are gone, also those that nobody lets go of."""
    for kind in ("externalsecrets", "secretstores", "clustersecretstores"):
        status, found = await api.request("GET", f"/apis/{GROUP}/{kind}")
        assert status == 200
        for item in found["items"]:
            metadata = item["metadata"]
            if metadata.get("finalizers"):
                path = path_of(found["kind"].removesuffix("List"), metadata.get("namespace", ""))
                patch = {"metadata": {"finalizers": None}}
                await api.request("PATCH", f"{path}/{metadata['name']}", patch, MERGE)


@pytest.mark.usefixtures("_finalizers_are_off")
async def test_no_secret_is_lost_by_an_uninstall(
    admin: CloudAdmin, api: Api, home: str, person: Person, as_account: AsAccount
) -> None:
    await admin.put_secret("uninstall/one", "one")
    await person.follows("crds")
    await person.follows("install")
    async with operator(await as_account("secret-sync-system", "secret-sync", home)):
        await api.put(external_secret("some", {"key": "uninstall/one", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        await api.until_ready(home, "some", "Synced")
    before = await api.get("Secret", home, "some")

    await person.follows("uninstall")
    # What the garbage collector would take, it takes at once: see tests/integration/cli.
    await asyncio.sleep(1)
    left = await api.get("Secret", home, "some")
    assert (left["data"], left["metadata"]["uid"]) == (before["data"], before["metadata"]["uid"])
    assert "ownerReferences" in before["metadata"]
    assert "ownerReferences" not in left["metadata"]
    assert (await api.request("GET", f"{CRDS}/externalsecrets.alibabacloud.com"))[0] == 404
