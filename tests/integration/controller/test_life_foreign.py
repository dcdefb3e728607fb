"""Secrets of others, and two ExternalSecrets that want the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.operator import external_secret, operator, secret, settings_for
from tests.support.watching import Watching, force_sync, post_as, until_reported

if TYPE_CHECKING:
    from secret_sync.local.cloud import CloudAdmin, CloudInfo
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.support.operator import Api, Running
    from tests.support.watching import Synced

FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
ONE = {"password": "one"}
THEIRS = {"theirs": "precious"}


@pytest.fixture
async def one(admin: CloudAdmin) -> dict[str, Any]:
    """An ExternalSecret ``some`` with one entry."""
    await admin.put_secret("foreign/one", "one")
    return external_secret("some", {"key": "foreign/one", "name": "password"})


def labelled(values: dict[str, str], **metadata: Any) -> dict[str, Any]:
    document = secret("some", values, immutable=False)
    document["metadata"] |= {"labels": {"app": "theirs"}, "annotations": {"a": "b"}, **metadata}
    return document


#: By what is missing for a claim: the writer, the Secret, and the ExternalSecret's finalizers.
NO_CLAIM: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "nothing at all": ("kubectl-create", labelled(THEIRS), []),
    "the finalizer, with the label": (
        "kubectl-create",
        labelled(THEIRS, labels={"lastUpdatedAt": "now"}),
        [],
    ),
    "the finalizer, with the manager": ("ack-secret-manager", labelled(THEIRS), []),
    "the marks, with the finalizer": ("kubectl-create", labelled(THEIRS), [FINALIZER]),
    "the marks, with our values": ("kubectl-create", labelled(ONE), [FINALIZER]),
    "data of the manager": ("ack-secret-manager", labelled({}), [FINALIZER]),
}


@pytest.mark.parametrize("missing", NO_CLAIM)
async def test_a_foreign_secret_is_the_same_in_every_field(
    admin: CloudAdmin, api: Api, home: str, one: dict[str, Any], missing: str, running: Running
) -> None:
    manager, document, finalizers = NO_CLAIM[missing]
    stored = await post_as(api, manager, document, home)
    one["metadata"]["finalizers"] = finalizers
    async with (
        Watching(api, home, "some") as watching,
        running(),
    ):
        await api.put(one, home)
        condition = await api.until_ready(home, "some", "SecretConflict")
        assert "was not made for this ExternalSecret" in condition["message"]
        # Whatever else happens: a new value, an edit, a deletion.
        await admin.put_secret("foreign/one", "two")
        await force_sync(api, home, "some", "now")
        await api.merge("ExternalSecret", home, "some", {"spec": {"rotationInterval": "1h"}})
        await api.until_ready(home, "some", "SecretConflict")
        await api.delete("ExternalSecret", home, "some")
        await api.until("ExternalSecret", home, "some", lambda found: found is None)
        await watching.seen_all()
        assert len(watching.history) == 1
        assert await api.get("Secret", home, "some") == stored


async def test_of_two_objects_with_one_target_the_first_has_it_until_it_goes(
    admin: CloudAdmin, api: Api, home: str, one: dict[str, Any], synced: Synced
) -> None:
    await admin.put_secret("foreign/other", "two")
    second = external_secret(
        "second", {"key": "foreign/other", "name": "password"}, target={"name": "some"}
    )
    async with synced(one) as watching:
        await api.put(second, home)
        condition = await api.until_ready(home, "second", "SecretConflict")
        assert f"Secret {home}/some belongs to ExternalSecret some" in condition["message"]
        await until_reported(api, home, "second", "Conflict")
        # The first goes on as ever.
        await admin.put_secret("foreign/one", "three")
        await force_sync(api, home, "some", "now")
        await api.until_holds(home, "some", {"password": "three"})
        await watching.check(ONE, {"password": "three"})
        assert (await api.until_ready(home, "some", "Synced"))["status"] == "True"

        await api.delete("ExternalSecret", home, "some")
        held = await api.until_holds(home, "some", {"password": "two"}, within=60)
        assert held["metadata"]["ownerReferences"][0]["name"] == "second"
        await api.until_ready(home, "second", "Synced")
        await watching.check(ONE, {"password": "three"}, {"password": "two"}, absences=1)


async def test_the_second_may_have_it_as_soon_as_the_first_has_another_one(
    api: Api, home: str, one: dict[str, Any], synced: Synced
) -> None:
    second = {**one, "metadata": {"name": "second"}}
    second["spec"] = {**one["spec"], "target": {"name": "some"}}
    async with synced(one):
        await api.put(second, home)
        await api.until_ready(home, "second", "SecretConflict")
        await api.merge("ExternalSecret", home, "some", {"spec": {"target": {"name": "other"}}})
        await api.until_holds(home, "other", ONE)
        await api.until_ready(home, "second", "Synced")
        held = await api.until_holds(home, "some", ONE)
        assert held["metadata"]["ownerReferences"][0]["name"] == "second"


async def test_after_a_restart_it_is_still_the_first_ones(
    cluster: ControlPlane, cloud: CloudInfo, api: Api, home: str, one: dict[str, Any]
) -> None:
    settings = settings_for(cluster, cloud, home)
    second = {**one, "metadata": {"name": "another"}}
    second["spec"] = {**one["spec"], "target": {"name": "some"}}
    async with operator(settings):
        await api.put(one, home)
        await api.until_ready(home, "some", "Synced")
        await api.put(second, home)
        await api.until_ready(home, "another", "SecretConflict")
        held = await api.get("Secret", home, "some")
    async with operator(settings) as controller:
        queue = controller.object_queue
        await api.until("Secret", home, "some", lambda _: not (len(queue) or queue.in_flight))
        await api.until_ready(home, "another", "SecretConflict")
        await api.until_ready(home, "some", "Synced")
        assert await api.get("Secret", home, "some") == held
