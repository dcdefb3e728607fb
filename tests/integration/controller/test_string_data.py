"""A server-side apply with ``stringData`` changes data that its field manager never owns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import ApiUnavailableError, ApplyWriter
from tests.integration.controller.other_writers import encoded
from tests.support.operator import external_secret, operator, secret, settings_for, version_of
from tests.support.watching import Watching

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from secret_sync.settings.model import Settings
    from tests.support.operator import Api

ONE = {"password": "one"}
ADOPT = {"secret-sync.alibabacloud.com/adopt": "true"}
APPLY = "application/apply-patch+yaml"
FROM_GIT = {"password": "from-git", "extra": "stray"}


async def apply(api: Api, namespace: str, manager: str = "kubectl", **fields: Any) -> Any:
    """A server-side apply of Secret ``some``, as somebody's kubectl sends it."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "some"}, **fields}
    path = f"/api/v1/namespaces/{namespace}/secrets/some?fieldManager={manager}"
    status, answer = await api.request("PATCH", path, body, APPLY)
    assert status in {200, 201}, answer
    return answer


@pytest.fixture
async def some(admin: CloudAdmin) -> dict[str, Any]:
    await admin.put_secret("string-data/one", "one")
    return external_secret("some", {"key": "string-data/one", "name": "password"})


@pytest.fixture
def settings(cluster: ControlPlane, cloud: CloudInfo, home: str) -> Settings:
    return settings_for(cluster, cloud, home)


def managers_of(found: dict[str, Any]) -> list[str]:
    return sorted(e["manager"] for e in found["metadata"]["managedFields"])


async def until_idle(api: Api, namespace: str, controller: Any, version: str) -> None:
    """Waits for the controller to have seen this version of the Secret, and to be done with it."""

    def idle(_: Any) -> bool:
        known = controller.watched.secrets.store.get(f"{namespace}/some")
        queue = controller.object_queue
        seen = known is not None and int(known.resource_version) >= int(version)
        return seen and not (len(queue) or queue.in_flight)

    await api.until("Secret", namespace, "some", idle)


async def test_string_data_is_reverted_and_its_entry_is_no_conflict(
    api: Api, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    async with operator(settings) as controller, Watching(api, home, "some") as watching:
        await api.put(some, home)
        await api.until_holds(home, "some", ONE)
        await apply(api, home, stringData=FROM_GIT)
        restored = await api.until_holds(home, "some", ONE)
        assert managers_of(restored) == ["kubectl", "secret-sync"]
        # What others say about it is still theirs, and nothing is written because of it.
        labelled = await api.merge("Secret", home, "some", {"metadata": {"labels": {"a": "b"}}})
        await until_idle(api, home, controller, version_of(labelled))
        assert version_of(await api.get("Secret", home, "some")) == version_of(labelled)
        await api.until_ready(home, "some", "Synced")
        await watching.check(ONE, FROM_GIT, ONE | {"extra": "stray"})
    async with operator(settings) as controller:
        await until_idle(api, home, controller, version_of(labelled))
        await api.until_ready(home, "some", "Synced")
        assert version_of(await api.get("Secret", home, "some")) == version_of(labelled)


async def test_same_apply_within_a_second_is_reverted_until_it_is_a_write_conflict(
    api: Api, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    async with operator(settings):
        await api.put(some, home)
        await api.until_holds(home, "some", ONE)
        for _ in range(3):
            await apply(api, home, "flux", stringData=FROM_GIT)
            await api.until_holds(home, "some", ONE)
        edited = await apply(api, home, "flux", stringData=FROM_GIT)
        condition = await api.until_ready(home, "some", "WriteConflict")
        assert "flux" in condition["message"]
        assert version_of(await api.get("Secret", home, "some")) == version_of(edited)


async def test_keys_go_that_a_later_apply_no_longer_names(
    api: Api, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    # While nobody watches, so that only the last one shows in the metadata.
    async with operator(settings):
        await api.put(some, home)
        await api.until_holds(home, "some", ONE)
    await apply(api, home, stringData={"first": "x"})
    await apply(api, home, stringData={"second": "x", "password": "from-git"})
    async with operator(settings):
        await api.until_holds(home, "some", ONE)
        await api.until_ready(home, "some", "Synced")


async def test_a_writer_of_both_fields(
    api: Api, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    async with operator(settings):
        await api.put(some, home)
        await api.until_holds(home, "some", ONE)
        await apply(api, home, data=encoded({"a": "x"}), stringData=FROM_GIT)
        await api.until_holds(home, "some", ONE)
        await api.until_ready(home, "some", "Synced")


@pytest.mark.parametrize("field", ["data", "stringData"])
async def test_of_an_adopted_one_the_old_keys_go_at_once_and_ours_when_they_are_not_wanted(
    admin: CloudAdmin, api: Api, home: str, settings: Settings, some: dict[str, Any], field: str
) -> None:
    await admin.put_secret("string-data/two", "two")
    values = {"password": "old", "old": "x"}
    given: Any = {field: values if field == "stringData" else encoded(values)}
    left = await apply(api, home, **given)
    some["metadata"]["annotations"] = ADOPT
    some["spec"]["data"].append({**some["spec"]["data"][0], "key": "string-data/two", "name": "b"})
    async with operator(settings):
        await api.put(some, home)
        held = await api.until_holds(home, "some", ONE | {"b": "two"})
        assert held["metadata"]["uid"] == left["metadata"]["uid"]
        await api.until_ready(home, "some", "Synced")
        await api.merge(
            "ExternalSecret", home, "some", {"spec": {"data": some["spec"]["data"][:1]}}
        )
        await api.until_holds(home, "some", ONE)
        await apply(api, home, stringData={"old": "again"})
        await api.until_holds(home, "some", ONE)


async def test_an_immutable_one_refuses_it(
    api: Api, home: str, settings: Settings, some: dict[str, Any]
) -> None:
    some["spec"]["target"] = {"immutable": True}
    async with operator(settings):
        await api.put(some, home)
        before = await api.until_holds(home, "some", ONE)
        body = {**secret("some", FROM_GIT), "apiVersion": "v1"}
        path = f"/api/v1/namespaces/{home}/secrets/some?fieldManager=kubectl"
        status, _ = await api.request("PATCH", path, body, APPLY)
        assert status == 422
        assert await api.get("Secret", home, "some") == before


@pytest.mark.parametrize("field", ["data", "stringData"])
async def test_immutable_secret_with_a_key_of_others_is_recreated(
    api: Api, home: str, settings: Settings, some: dict[str, Any], field: str
) -> None:
    added = {"extra": "stray"}
    given: Any = {field: added if field == "stringData" else encoded(added)}
    async with operator(settings):
        await api.put(some, home)
        before = await api.until_holds(home, "some", ONE)
        await apply(api, home, immutable=True, **given)
        after = await api.until_holds(home, "some", ONE)
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert "immutable" not in after
        await api.until_ready(home, "some", "Synced")


@pytest.mark.parametrize("field", ["data", "stringData"])
async def test_adopted_immutable_secret_is_recreated_for_a_key_of_others(
    api: Api, home: str, settings: Settings, some: dict[str, Any], field: str
) -> None:
    values = ONE | {"extra": "stray"}
    given: Any = {field: values if field == "stringData" else encoded(values)}
    before = await apply(api, home, immutable=True, **given)
    some["metadata"]["annotations"] = ADOPT
    async with operator(settings):
        await api.put(some, home)
        after = await api.until_holds(home, "some", ONE)
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        await api.until_ready(home, "some", "Synced")


@pytest.mark.parametrize("manager", ["kubectl", "secret-sync"])
async def test_a_failure_between_the_two_writes(
    api: Api,
    home: str,
    settings: Settings,
    some: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    manager: str,
) -> None:
    set_data, failed = ApplyWriter.set_data, asyncio.Event()

    async def away(self: ApplyWriter, *given: Any) -> Any:
        if failed.is_set():
            return await set_data(self, *given)
        failed.set()
        raise ApiUnavailableError("away")

    async with operator(settings):
        await api.put(some, home)
        await api.until_holds(home, "some", ONE)
        monkeypatch.setattr(ApplyWriter, "set_data", away)
        await apply(api, home, manager, stringData=FROM_GIT)
        await api.until_holds(home, "some", ONE)
        assert failed.is_set()
        await api.until_ready(home, "some", "Synced")
