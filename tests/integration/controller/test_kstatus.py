"""What kstatus (Flux's ``wait``, Argo CD's generic checks) makes of our objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kstatus import kstatus
from tests.support.operator import (
    external_secret,
    operator,
    path_of,
    put_store,
    settings_for,
    store,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running

STORES = ("SecretStore", "ClusterSecretStore")


def of(kind: str, home: str) -> dict[str, Any]:
    """A document of a kind, with a name of its own also where the kind is in no namespace."""
    if kind == "ExternalSecret":
        return external_secret("some", {"key": "kstatus/one", "name": "a"})
    more = {"namespace": home} if kind == "ClusterSecretStore" else {}
    return {**store(home, **more), "kind": kind}


@pytest.fixture(params=["ExternalSecret", *STORES])
async def thing(
    request: pytest.FixtureRequest, api: Api, cloud: CloudInfo, admin: CloudAdmin, home: str
) -> AsyncIterator[tuple[str, str]]:
    """Kind and name of an object that is right, and that nobody has looked at."""
    await admin.put_secret("kstatus/one", "one")
    await put_store(api, cloud, home)
    document = of(request.param, home)
    await api.put(document, home)
    name = document["metadata"]["name"]
    yield request.param, name
    if request.param == "ClusterSecretStore":
        await api.delete(request.param, "", name)


async def test_object_is_in_progress_until_its_newest_generation_is_reported(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, thing: tuple[str, str]
) -> None:
    kind, name = thing
    settings = settings_for(cluster, cloud, home)
    created = await api.get(kind, home, name)
    assert (kstatus(created), created["status"]) == ("InProgress", {"observedGeneration": -1})

    async with operator(settings):
        await api.until(kind, home, name, lambda found: kstatus(found) == "Current")

    spec: dict[str, Any] = {"KMS": {"KMSAuth": {"accessKey": {"name": "gone"}}}}
    if kind == "ExternalSecret":
        spec = {"rotationInterval": "1h"}
    edited = await api.merge(kind, home, name, {"spec": spec})
    assert edited["status"]["observedGeneration"] < edited["metadata"]["generation"]
    assert kstatus(edited) == "InProgress"

    async with operator(settings):
        checked = await api.until(
            kind,
            home,
            name,
            lambda found: (
                (found or {})["status"]["observedGeneration"] == edited["metadata"]["generation"]
            ),
        )
    conditions = checked["status"]["conditions"]
    assert [c["observedGeneration"] for c in conditions] == [edited["metadata"]["generation"]]


@pytest.mark.parametrize("kind", STORES)
async def test_store_checked_by_an_older_version_is_checked_again_once(
    kind: str, cloud: CloudInfo, api: Api, home: str, running: Running
) -> None:
    await put_store(api, cloud, home)
    document = of(kind, home)
    await api.put(document, home)
    name = document["metadata"]["name"]
    try:
        async with running():
            await api.until(kind, home, name, lambda found: kstatus(found) == "Current")
        found = await api.get(kind, home, name)
        del found["status"]["observedGeneration"]
        path = f"{path_of(kind, home, name)}/status"
        status, _ = await api.request("PUT", path, found)
        assert status == 200
        async with running():
            again = await api.until(
                kind, home, name, lambda found: "observedGeneration" in (found or {})["status"]
            )
        assert kstatus(again) == "Current"
    finally:
        await api.delete(kind, home, name)
