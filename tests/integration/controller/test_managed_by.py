"""The label ``managed-by`` of our Secrets: ours where nobody else sets it, and not fought over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube.managed_fields import owned_fields
from tests.support.operator import MERGE, external_secret, path_of, put_store, secret, version_of

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from tests.support.operator import Api, Running

LABEL = "app.kubernetes.io/managed-by"
APPLY = "application/apply-patch+yaml"
HELM = {"metadata": {"labels": {LABEL: "Helm"}}}


@pytest.fixture
async def one(admin: CloudAdmin, home: str, api: Api, cloud: CloudInfo) -> dict[str, Any]:
    """An ExternalSecret ``some`` with one entry, of this test alone."""
    await put_store(api, cloud, home)
    await admin.put_secret(f"managed/{home}", "one")
    return external_secret("some", {"key": f"managed/{home}", "name": "password"})


async def rotate(api: Api, admin: CloudAdmin, home: str, value: str) -> dict[str, Any]:
    """A new value, in the Secret ``some``."""
    await admin.put_secret(f"managed/{home}", value)
    force = {"metadata": {"annotations": {"secret-sync.alibabacloud.com/force-sync": value}}}
    await api.merge("ExternalSecret", home, "some", force)
    return await api.until_holds(home, "some", {"password": value})


def label_of(found: dict[str, Any] | None) -> tuple[str | None, set[str]]:
    """Its value, and the field managers that own it."""
    assert found is not None
    metadata = found["metadata"]
    owners = {e["manager"] for e in metadata["managedFields"] if owns_label(e)}
    return (metadata.get("labels") or {}).get(LABEL), owners


def owns_label(entry: dict[str, Any]) -> bool:
    return f"labels/{LABEL}" in owned_fields(entry)


async def test_secrets_of_ours_have_the_label_and_can_be_selected(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    await api.put(secret("other", {"a": "b"}), home)
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
    assert label_of(await api.get("Secret", home, "some")) == ("secret-sync", {"secret-sync"})
    path = f"{path_of('Secret', home)}?labelSelector={LABEL}=secret-sync"
    _, selected = await api.request("GET", path)
    assert [item["metadata"]["name"] for item in selected["items"]] == ["some"]


async def test_label_that_is_missing_comes_with_the_next_change_and_causes_no_write(
    api: Api, admin: CloudAdmin, home: str, one: dict[str, Any], running: Running
) -> None:
    """As after an upgrade from a version without it."""
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        bare = await api.merge("Secret", home, "some", {"metadata": {"labels": None}})
        await api.put({**one, "metadata": {"name": "next"}, "spec": one["spec"]}, home)
        await api.until_ready(home, "next", "Synced")
        assert version_of(await api.get("Secret", home, "some")) == version_of(bare)
    async with running():
        await api.merge("ExternalSecret", home, "next", {"spec": {"rotationInterval": "1h"}})
        await api.until_ready(home, "next", "Synced")
        assert version_of(await api.get("Secret", home, "some")) == version_of(bare)
        found = await rotate(api, admin, home, "two")
        assert label_of(found) == ("secret-sync", {"secret-sync"})


@pytest.mark.parametrize("way", [MERGE, APPLY])
async def test_label_of_another_writer_stays_theirs(
    api: Api, admin: CloudAdmin, home: str, one: dict[str, Any], running: Running, way: str
) -> None:
    path = f"{path_of('Secret', home, 'some')}?fieldManager=other"

    async def label(value: str) -> None:
        whole = {"apiVersion": "v1", "kind": "Secret", **HELM} if way == APPLY else HELM
        body = {**whole, "metadata": {"labels": {LABEL: value}}}
        force = "&force=true" if (value, way) == ("Helm", APPLY) else ""
        status, answer = await api.request("PATCH", path + force, body, way)
        assert status == 200, answer

    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        await label("Helm")
        for value in ("two", "three", "four", "five"):
            found = await rotate(api, admin, home, value)
            assert label_of(found) == ("Helm", {"other"})
        # Without force, also after our writes.
        await label("Kustomize")
        found = await rotate(api, admin, home, "six")
        assert label_of(found) == ("Kustomize", {"other"})
        await api.until_ready(home, "some", "Synced")


async def test_label_of_another_writer_survives_adoption_recreation_and_a_restart(
    api: Api, admin: CloudAdmin, home: str, one: dict[str, Any], running: Running
) -> None:
    theirs = secret("some", {"old": "x"})
    theirs["metadata"]["labels"] = HELM["metadata"]["labels"]
    path = path_of("Secret", home)
    status, _ = await api.request("POST", f"{path}?fieldManager=other", theirs)
    assert status == 201
    one["metadata"]["annotations"] = {"secret-sync.alibabacloud.com/adopt": "true"}
    async with running():
        await api.put(one, home)
        await api.until_holds(home, "some", {"password": "one"})
        assert label_of(await rotate(api, admin, home, "two")) == ("Helm", {"other"})
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "example.com/other"}})
        found = await api.until(
            "Secret", home, "some", lambda s: (s or {}).get("type") == "example.com/other"
        )
        await api.until_ready(home, "some", "Synced")
    async with running():
        found = await rotate(api, admin, home, "three")
        assert label_of(found) == ("Helm", {"other"})


async def test_own_label_survives_a_recreation_as_ours(
    api: Api, admin: CloudAdmin, home: str, one: dict[str, Any], running: Running
) -> None:
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        await api.merge("Secret", home, "some", {"metadata": {"labels": {"team": "a"}}})
        await api.merge("ExternalSecret", home, "some", {"spec": {"type": "example.com/other"}})
        await api.until_ready(home, "some", "Synced")
        found = await rotate(api, admin, home, "two")
    assert label_of(found) == ("secret-sync", {"secret-sync"})
    assert found["metadata"]["labels"]["team"] == "a"


async def test_template_decides_on_the_label(
    api: Api, admin: CloudAdmin, home: str, one: dict[str, Any], running: Running
) -> None:
    one["spec"]["target"] = {"template": {"metadata": {"labels": {LABEL: "shop"}}}}
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        assert label_of(await api.get("Secret", home, "some")) == ("shop", {"secret-sync"})
        assert label_of(await rotate(api, admin, home, "two")) == ("shop", {"secret-sync"})
        await api.merge("ExternalSecret", home, "some", {"spec": {"target": None}})
        await api.until("Secret", home, "some", lambda s: label_of(s)[0] == "secret-sync")


async def test_merge_sets_no_label(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    await api.put(secret("some", {"theirs": "precious"}), home)
    one["spec"]["target"] = {"creationPolicy": "Merge"}
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        assert label_of(await api.get("Secret", home, "some")) == (None, set())


async def test_label_goes_with_a_secret_that_is_given_up_for_its_keys(
    api: Api, home: str, one: dict[str, Any], running: Running
) -> None:
    async with running():
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        merge = {"spec": {"target": {"creationPolicy": "Merge"}}}
        await api.merge("ExternalSecret", home, "some", merge)
        await api.until("Secret", home, "some", lambda s: label_of(s) == (None, set()))
