"""docs/install.md after the first day: a newer version, another overlay, fewer components."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.resources import schema
from tests.integration.deploy.installs import ADDED, namespaced, path_of
from tests.integration.deploy.person import fenced
from tests.integration.deploy.rights import Right, may
from tests.support.kustomize import COMPONENTS, OVERLAYS, write
from tests.support.operator import CRDS, SOON, external_secret, operator
from tests.support.operator import path_of as ours
from tests.support.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secret_sync.local.cloud import CloudAdmin
    from tests.integration.deploy.conftest import AsAccount
    from tests.integration.deploy.person import Person
    from tests.integration.deploy.synced import Synced
    from tests.support.kustomize import Kubectl
    from tests.support.operator import Api

ACCOUNT = ("secret-sync-system", "secret-sync")
USER = "system:serviceaccount:secret-sync-system:secret-sync"
DEPLOYMENT = "/apis/apps/v1/namespaces/secret-sync-system/deployments/secret-sync"
NEW = "spec.target.deletionPolicy"
RETAIN = {"deletionPolicy": "Retain"}


def older_definition(folder: Path) -> Path:
    """Ours, from before it had a certain field."""
    found = yaml.safe_load((CRDS / "externalsecrets.yaml").read_text())
    (version,) = found["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["target"]["properties"]["deletionPolicy"]
    file = folder / "older.yaml"
    file.write_text(yaml.safe_dump(found))
    return file


@contextmanager
def older_program() -> Iterator[None]:
    """One from before that field, which does not miss it."""
    name = "externalsecrets.alibabacloud.com"
    fields = tuple(field for field in schema.FIELDS[name] if field != NEW)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(schema.FIELDS, name, fields)
        yield


async def until_the_field_is(api: Api, home: str, *, known: bool) -> None:
    """The API server takes a moment to go by another definition."""
    document = external_secret("tried", {"key": "upgrade/one", "name": "x"}, target=RETAIN)
    async with asyncio.timeout(SOON):
        while True:
            path = f"{ours('ExternalSecret', home)}?dryRun=All"
            status, body = await api.request("POST", path, document)
            assert status == 201, body
            if (body["spec"]["target"] == RETAIN) == known:
                return
            await asyncio.sleep(0.05)


async def test_an_upgrade_of_definitions_and_program_takes_no_secret_away(
    admin: CloudAdmin,
    api: Api,
    home: str,
    kubectl: Kubectl,
    person: Person,
    as_account: AsAccount,
    tmp_path: Path,
) -> None:
    newer = fenced("yaml kustomization")
    person.writes(newer.replace('"0.1.0"', '"0.0.9"'))
    file = older_definition(tmp_path)
    await asyncio.to_thread(kubectl, "apply", "--server-side", "-f", str(file))
    await person.follows("install")
    await until_the_field_is(api, home, known=False)
    assert (await image(api)).endswith("secret-sync:0.0.9")

    await admin.put_secret("upgrade/one", "one")
    settings = replace(await as_account(*ACCOUNT, home), polling_interval=1.0)
    async with Watching(api, home, "some") as watching:
        with older_program():
            async with operator(settings):
                await api.put(external_secret("some", {"key": "upgrade/one", "name": "x"}), home)
                before = await api.until_holds(home, "some", {"x": "one"})
                await api.until_ready(home, "some", "Synced")
                person.writes(newer)
                await person.follows("upgrade")
        async with operator(settings):
            await admin.put_secret("upgrade/one", "two")
            after = await api.until_holds(home, "some", {"x": "two"})
            await api.until_ready(home, "some", "Synced")
        await watching.check({"x": "one"}, {"x": "two"})
    for field in ("uid", "ownerReferences"):
        assert after["metadata"][field] == before["metadata"][field]
    assert (await image(api)).endswith("secret-sync:0.1.0")
    await until_the_field_is(api, home, known=True)


async def image(api: Api) -> str:
    """Of the controller that is installed."""
    status, found = await api.request("GET", DEPLOYMENT)
    assert status == 200, found
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


async def test_removed_overlay_leaves_every_secret_and_no_permission(
    admin: CloudAdmin,
    api: Api,
    home: str,
    synced: Synced,
    kubectl: Kubectl,
    person: Person,
    as_account: AsAccount,
) -> None:
    wide = [COMPONENTS / name for name in ADDED]
    write(person.cluster, resources=[OVERLAYS / "rrsa"], components=wide)
    before = await rendered(kubectl, person)
    await person.follows("install")
    assert await person.asks("rights") == ["yes", "yes"]

    await person.follows("delete")
    namespaced(person.cluster, home)
    after = await rendered(kubectl, person)
    await person.follows("install")
    assert await person.asks("rights") == ["no", "no"]
    assert (await person.asks("left"))[0] == "No resources found"
    leases = Right("coordination.k8s.io", "leases", "create")
    assert not await may(api, USER, leases, "secret-sync-system")
    for path in before - after:
        assert (await api.request("GET", path))[0] == 404, path
    await synced.check()

    held = await api.get("Secret", home, "some")
    await admin.put_secret("deploy/one", "two")
    async with operator(await as_account(*ACCOUNT, home)):
        found = await api.until_holds(home, "some", {"x": "two"})
    assert found["metadata"]["uid"] == held["metadata"]["uid"]


async def rendered(kubectl: Kubectl, person: Person) -> set[str]:
    """Where the objects of their kustomization are, as it is now."""
    text = await asyncio.to_thread(kubectl, "kustomize", str(person.cluster))
    objects: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    return {path_of(item) for item in objects}
