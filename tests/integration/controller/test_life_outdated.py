"""Another installer has put its older schema back: nothing is done until ours is there again.

On the control plane that may be broken: the kinds of the shared one are everybody's.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING

import pytest

from tests.support.operator import (
    Api,
    external_secret,
    operator,
    put_store,
    ready_of,
    secret,
    settings_for,
)
from tests.support.watching import Watching, force_sync, post_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane

DEFINITION = (
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/externalsecrets.alibabacloud.com"
)
FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
ONE = {"password": "one"}
TWO = {"password": "two"}
WITHIN = 10


@pytest.fixture
async def broken_api(
    breakable_cluster: ControlPlane, cloud: CloudInfo, breakable_namespace: str
) -> AsyncIterator[Api]:
    """The API server that may be broken; its namespace has the SecretStore ``store``."""
    async with Api(breakable_cluster) as api:
        await put_store(api, cloud, breakable_namespace)
        yield api


@pytest.fixture
async def set_schema(broken_api: Api) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Takes ``spec.target.deletionPolicy`` out of the definition, or puts it back."""
    status, ours = await broken_api.request("GET", DEFINITION)
    assert status == 200
    older = copy.deepcopy(ours["spec"])
    for version in older["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        del spec["target"]["properties"]["deletionPolicy"]
        spec["target"].pop("x-kubernetes-validations", None)

    async def put(whose: str) -> None:
        spec = ours["spec"] if whose == "ours" else older
        kind = {"apiVersion": ours["apiVersion"], "kind": ours["kind"]}
        await broken_api.replace(DEFINITION, {**kind, "spec": spec})

    yield put
    await put("ours")


async def test_status_is_written_although_the_definition_misses_a_field(
    breakable_cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    broken_api: Api,
    breakable_namespace: str,
) -> None:
    api, home = broken_api, breakable_namespace
    await admin.put_secret("outdated/one", "one")
    _, ours = await api.request("GET", DEFINITION)
    kind = {"apiVersion": ours["apiVersion"], "kind": ours["kind"]}
    older = copy.deepcopy(ours["spec"])
    for version in older["versions"]:
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        del status["observedForceSync"]
    await api.replace(DEFINITION, {**kind, "spec": older})
    try:
        await asyncio.sleep(3)
        async with operator(settings_for(breakable_cluster, cloud, home)):
            entry = {"key": "outdated/one", "name": "password"}
            await api.put(external_secret("once", entry, refreshPolicy="CreatedOnce"), home)
            await api.until_holds(home, "once", ONE)
            await api.until_ready(home, "once", "Synced")
    finally:
        await api.replace(DEFINITION, {**kind, "spec": ours["spec"]})
    await asyncio.sleep(3)


async def test_nothing_is_written_or_deleted_meanwhile_and_it_heals(
    breakable_cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    broken_api: Api,
    breakable_namespace: str,
    set_schema: Callable[[str], Awaitable[None]],
) -> None:
    api, home = broken_api, breakable_namespace
    await admin.put_secret("outdated/one", "one")
    entry = {"key": "outdated/one", "name": "password"}
    retained = external_secret("retained", entry, target={"deletionPolicy": "Retain"})
    plain = external_secret("plain", entry)
    untouched = external_secret("untouched", entry)
    async with operator(settings_for(breakable_cluster, cloud, home)) as controller:
        for document in (retained, plain, untouched):
            await api.put(document, home)
            await api.until_ready(home, document["metadata"]["name"], "Synced")
        async with Watching(api, home, "retained") as kept, Watching(api, home, "plain") as other:
            await set_schema("older")
            for name in ("retained", "plain", "untouched"):
                condition = await api.until_ready(home, name, "CRDOutdated", within=WITHIN)
                assert condition["status"] == "Unknown"
                assert "spec.target.deletionPolicy" in condition["message"]
            assert controller.schemas.missing == 1

            # Neither a new value nor a change of the Secret makes a difference.
            await admin.put_secret("outdated/one", "two")
            for name in ("retained", "plain"):
                await force_sync(api, home, name, "now")
            await api.delete("Secret", home, "plain")
            patch = {"spec": {"target": {"name": "renamed"}}}
            await api.merge("ExternalSecret", home, "plain", patch)
            await api.until_ready(home, "plain", "CRDOutdated", within=WITHIN)
            assert await api.find("Secret", home, "plain") is None
            assert await api.find("Secret", home, "renamed") is None
            await kept.check(ONE)
            assert len(kept.history) == 1

            await set_schema("ours")
            # Who says what it said before is believed at once.
            await api.until_holds(home, "untouched", TWO, within=WITHIN)
            await api.until_ready(home, "untouched", "Synced", within=WITHIN)
            # The API server has stored the others without what it did not know, or may have.
            for name in ("retained", "plain"):
                condition = await api.until_ready(home, name, "CRDOutdated", within=WITHIN)
                assert "apply it again" in condition["message"]
            await kept.check(ONE)
            assert len(kept.history) == 1
            await force_sync(api, home, "plain", "nothing is lost of it")
            await api.until_holds(home, "renamed", TWO, within=WITHIN)
            stay = {"spec": {"target": {"deletionPolicy": "Retain"}}}
            await api.merge("ExternalSecret", home, "retained", stay)
            await api.until(
                "Secret",
                home,
                "retained",
                lambda found: "ownerReferences" not in (found or {})["metadata"],
                within=WITHIN,
            )
            for name in ("retained", "plain"):
                await api.until_ready(home, name, "Synced", within=WITHIN)
            await kept.check(ONE, TWO)
            await other.check(ONE, absences=1)


async def test_an_object_being_deleted_keeps_its_secret_until_it_is_known_what_was_asked_for(
    breakable_cluster: ControlPlane,
    cloud: CloudInfo,
    admin: CloudAdmin,
    broken_api: Api,
    breakable_namespace: str,
    set_schema: Callable[[str], Awaitable[None]],
) -> None:
    api, home = broken_api, breakable_namespace
    await admin.put_secret("outdated/going", "one")
    left = await post_as(api, "ack-secret-manager", secret("some", ONE), home)
    document = external_secret(
        "some", {"key": "outdated/going", "name": "password"}, target={"deletionPolicy": "Retain"}
    )
    document["metadata"]["finalizers"] = [FINALIZER]
    await api.put(document, home)
    await api.delete("ExternalSecret", home, "some")
    await set_schema("older")
    async with operator(settings_for(breakable_cluster, cloud, home)) as controller:
        queue = controller.object_queue
        await api.until("Secret", home, "some", lambda _: not (len(queue) or queue.in_flight))
        # One that comes later has been looked at: so has this one.
        await api.put(external_secret("later", {"key": "outdated/going", "name": "a"}), home)
        await api.until_ready(home, "later", "CRDOutdated", within=WITHIN)
        assert await api.get("Secret", home, "some") == left
        assert (
            FINALIZER in (await api.get("ExternalSecret", home, "some"))["metadata"]["finalizers"]
        )
        await set_schema("ours")
        await api.until("ExternalSecret", home, "some", lambda found: found is None, within=WITHIN)
        assert await api.get("Secret", home, "some") == left
        assert ready_of(await api.get("ExternalSecret", home, "later"))["status"] != "False"
