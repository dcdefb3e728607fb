"""docs/install.md from its first command to its last, after which the Secrets are still there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from tests.integration.deploy.scenario import CRDS
from tests.integration.migration.shell import Shell
from tests.support.documentation import ROOT
from tests.support.operator import GROUP, external_secret, install_crds, operator, path_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.deploy.conftest import AsAccount
    from tests.support.operator import Api

TEXT = (ROOT / "docs" / "install.md").read_text()


class Person:
    """Somebody who follows the document."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        folder = shell.folder / "my-cluster"
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(_fenced("yaml kustomization"))

    async def follows(self, part: str) -> None:
        code, out = await self._shell.run(_fenced(f"sh {part}"))
        assert code == 0, out


def _fenced(info: str) -> str:
    """The first block of the document whose fence says exactly this."""
    found = re.search(rf"^```{info}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, info
    return found[1]


@pytest.fixture
async def person(plane: ControlPlane, api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    """In a cluster that gets its definitions back in the end."""
    # A definition goes when its objects are gone, also those whose finalizers nobody takes off.
    for kind in ("externalsecrets", "secretstores", "clustersecretstores"):
        status, found = await api.request("GET", f"/apis/{GROUP}/{kind}")
        assert status == 200
        for item in found["items"]:
            metadata = item["metadata"]
            if metadata.get("finalizers"):
                path = path_of(found["kind"].removesuffix("List"), metadata.get("namespace", ""))
                patch = {"metadata": {"finalizers": None}}
                merge = "application/merge-patch+json"
                await api.request("PATCH", f"{path}/{metadata['name']}", patch, merge)
    yield Person(Shell.in_folder(plane, tmp_path))
    await asyncio.to_thread(install_crds, plane)
    await plane.learn_kinds()


async def test_no_secret_is_lost_by_an_upgrade_or_an_uninstall(
    admin: CloudAdmin, api: Api, home: str, person: Person, as_account: AsAccount
) -> None:
    await admin.put_secret("uninstall/one", "one")
    await person.follows("crds")
    await person.follows("install")
    settings = await as_account("secret-sync-system", "secret-sync", home)
    async with operator(settings):
        await api.put(external_secret("some", {"key": "uninstall/one", "name": "x"}), home)
        await api.until_holds(home, "some", {"x": "one"})
        await api.until_ready(home, "some", "Synced")
    before = await api.get("Secret", home, "some")
    await person.follows("upgrade")
    async with operator(settings):
        pass
    assert await api.get("Secret", home, "some") == before

    await person.follows("uninstall")
    # What the garbage collector would take, it takes at once: see tests/integration/cli.
    await asyncio.sleep(1)
    left = await api.get("Secret", home, "some")
    assert (left["data"], left["metadata"]["uid"]) == (before["data"], before["metadata"]["uid"])
    assert "ownerReferences" in before["metadata"]
    assert "ownerReferences" not in left["metadata"]
    assert (await api.request("GET", f"{CRDS}/externalsecrets.alibabacloud.com"))[0] == 404
