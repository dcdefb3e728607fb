"""Writes beside others, after others, and when we leave: what the real API server makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.kube import (
    SECRETS,
    Answer,
    ApiNotFoundError,
    ApplyWriter,
    OutdatedError,
    OwnedByOthersError,
    Resource,
    without_keys,
)
from tests.integration.kube.conftest import encoded
from tests.support.operator import install_crds

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from secret_sync.local.controlplane.plane import ControlPlane
    from tests.integration.kube.conftest import Secrets

EXTERNAL_SECRETS = Resource("alibabacloud.com", "v1alpha1", "externalsecrets", "ExternalSecret")
#: As which ack-secret-manager writes, by its release.
THEM = frozenset({"ack-secret-manager", "manager"})
FINALIZER = "finalizer.ack.secrets-manager.alibabacloud.com"
NOBODY = "00000000-0000-0000-0000-000000000000"


async def test_keys_of_an_older_update_manager_go_after_the_takeover(
    writer: ApplyWriter, secrets: Secrets
) -> None:
    await secrets.create(secrets.intent(a="1", b="2"), manager="ack-secret-manager")
    reply = await secrets.edit(foreign="1")
    ref, fields = secrets.ref(reply), await secrets.fields()

    # Without it, the old entry keeps the key:
    reply = await writer.update(SECRETS, secrets.intent(a="1"), ref, force=True)
    assert set(await secrets.data()) == {"a", "b", "foreign"}

    reply = await writer.transfer_field_ownership(
        SECRETS, secrets.ref(reply), await secrets.fields(), THEM, secrets.confirmed
    )
    managers = [(e["manager"], e["operation"]) for e in reply["metadata"]["managedFields"]]
    assert sorted(managers) == [("kubectl-edit", "Update"), ("secret-sync", "Apply")]
    await writer.update(SECRETS, secrets.intent(a="1"), secrets.ref(reply), force=True)
    assert set(await secrets.data()) == {"a", "foreign"}

    with pytest.raises(OutdatedError):
        await writer.transfer_field_ownership(SECRETS, ref, fields, THEM, secrets.confirmed)


@pytest.mark.parametrize("manager", sorted(THEM))
async def test_the_values_stay_and_the_marks_go_with_the_next_apply(
    writer: ApplyWriter, secrets: Secrets, manager: str
) -> None:
    theirs = secrets.intent(a="1")
    theirs["metadata"]["labels"] = {"lastUpdatedAt": "today"}
    reply = await secrets.create(theirs, manager=manager)
    reply = await writer.transfer_field_ownership(
        SECRETS, secrets.ref(reply), await secrets.fields(), THEM, secrets.confirmed
    )
    assert await secrets.data() == {"a": encoded("1")}
    assert reply["metadata"]["labels"] == {"lastUpdatedAt": "today"}
    reply = await writer.update(SECRETS, secrets.intent(a="1"), secrets.ref(reply), force=True)
    assert "labels" not in reply["metadata"]
    assert await secrets.data() == {"a": encoded("1")}


async def test_a_merge_leaves_what_is_there_and_takes_its_own_keys_back(
    client: KubeClient, secrets: Secrets
) -> None:
    merging = ApplyWriter(client, "secret-sync-merge-uid")
    ref = secrets.ref(await secrets.create(secrets.intent(theirs="1")))
    before = await secrets.fields()
    reply = await merging.update(SECRETS, secrets.merge(ours="2", more="3"), ref, force=False)
    assert set(await secrets.data()) == {"theirs", "ours", "more"}
    assert [e for e in await secrets.fields() if e["manager"] == "somebody"] == before
    reply = await merging.update(SECRETS, secrets.merge(ours="2"), secrets.ref(reply), force=False)
    assert set(await secrets.data()) == {"theirs", "ours"}
    assert "ownerReferences" not in reply["metadata"]


async def test_a_merge_reports_the_keys_that_others_own_and_who(
    client: KubeClient, secrets: Secrets
) -> None:
    merging = ApplyWriter(client, "secret-sync-merge-uid")
    await secrets.create(secrets.intent(**{"tls.crt": "1", "theirs": "1", "same": "1"}))
    ref = secrets.ref(await secrets.edit(theirs="2"))
    wanted = secrets.merge(**{"tls.crt": "ours", "theirs": "ours", "same": "1", "new": "1"})
    with pytest.raises(OwnedByOthersError) as caught:
        await merging.update(SECRETS, wanted, ref, force=False)
    assert sorted(caught.value.keys) == ["theirs", "tls.crt"]
    assert await merging.owners(SECRETS, ref, caught.value) == {
        "tls.crt": ("somebody",),
        "theirs": ("kubectl-edit",),
    }
    assert set(await secrets.data()) == {"tls.crt", "theirs", "same"}, "all or nothing"


async def test_a_merge_makes_no_secret(client: KubeClient, secrets: Secrets) -> None:
    merging = ApplyWriter(client, "secret-sync-merge-uid")
    ref = secrets.ref(await secrets.create(secrets.intent(a="1")))
    await secrets.delete()
    with pytest.raises(OutdatedError):
        await merging.update(SECRETS, secrets.merge(a="1"), ref, force=False)
    with pytest.raises(ApiNotFoundError):
        await secrets.data()


async def test_finalizers_of_others_stay_on_an_object_that_is_being_deleted(
    control_plane: ControlPlane, client: KubeClient, writer: ApplyWriter, namespace: str
) -> None:
    install_crds(control_plane)
    theirs = "example.com/theirs"
    body = {
        "apiVersion": EXTERNAL_SECRETS.api_version,
        "kind": EXTERNAL_SECRETS.kind,
        "metadata": {"name": "es", "finalizers": [theirs, FINALIZER]},
        "spec": {"data": [{"key": "a"}]},
    }
    params = {"fieldManager": "somebody"}
    made = await client.request("POST", EXTERNAL_SECRETS.path(namespace), params=params, body=body)
    uid = made["metadata"]["uid"]
    path = EXTERNAL_SECRETS.path(namespace, "es")
    await client.request("DELETE", path, expected=Answer.ANY)
    arguments = (EXTERNAL_SECRETS, namespace, "es")
    with pytest.raises(OutdatedError):
        await writer.remove_finalizer(*arguments, NOBODY, FINALIZER)
    assert await writer.remove_finalizer(*arguments, uid, FINALIZER)
    assert not await writer.remove_finalizer(*arguments, uid, FINALIZER)
    metadata = (await client.request("GET", path))["metadata"]
    assert metadata["finalizers"] == [theirs]
    managers = {e["manager"] for e in metadata["managedFields"]}
    assert managers == {"somebody"}, "who takes something away owns nothing of it"
    assert await writer.remove_finalizer(*arguments, uid, theirs)
    assert not await writer.remove_finalizer(*arguments, uid, theirs)


async def test_two_managers_hold_their_own_keys(client: KubeClient, secrets: Secrets) -> None:
    one, two = (ApplyWriter(client, f"secret-sync-merge-{n}") for n in (1, 2))
    reply = await one.create(SECRETS, secrets.intent(a="1"))
    reply = await two.update(SECRETS, secrets.intent(b="2"), secrets.ref(reply), force=False)
    assert set(await secrets.data()) == {"a", "b"}
    await one.update(SECRETS, secrets.intent(c="3"), secrets.ref(reply), force=False)
    assert set(await secrets.data()) == {"b", "c"}


async def test_keys_that_are_given_up_stay_and_whoever_comes_next_may_set_them(
    client: KubeClient, secrets: Secrets
) -> None:
    one, two = (ApplyWriter(client, f"secret-sync-merge-{n}") for n in (1, 2))
    ref = secrets.ref(await secrets.create(secrets.intent(theirs="0")))
    theirs = await secrets.fields()
    reply = await one.update(SECRETS, secrets.merge(a="1", b="1", c="1"), ref, force=False)
    reply = await two.update(SECRETS, secrets.merge(a="1"), secrets.ref(reply), force=False)
    before = await secrets.data()
    givers = {"secret-sync-merge-1"}
    ref, fields = secrets.ref(reply), await secrets.fields()
    left = without_keys(fields, givers, {"a", "b"})
    reply = await two.set_managed_fields(SECRETS, ref, left, secrets.confirmed)
    assert await secrets.data() == before
    after = await secrets.fields()
    assert [e for e in after if e["manager"] == "somebody"] == theirs
    owned = {e["manager"]: set(e["fieldsV1"]["f:data"]) - {"."} for e in after}
    assert owned == {
        "somebody": {"f:theirs"},
        "secret-sync-merge-1": {"f:c"},
        "secret-sync-merge-2": {"f:a"},
    }
    # The one who had it alone does not delete it any more, and the next one is not refused.
    reply = await one.update(SECRETS, secrets.merge(), secrets.ref(reply), force=False)
    assert set(await secrets.data()) == {"theirs", "a", "b"}
    await two.update(SECRETS, secrets.merge(a="1", b="2"), secrets.ref(reply), force=False)
    assert await secrets.data() == {
        k: encoded(v) for k, v in (("theirs", "0"), ("a", "1"), ("b", "2"))
    }
    with pytest.raises(OutdatedError):
        await two.set_managed_fields(SECRETS, ref, left, secrets.confirmed)


async def test_the_last_owner_of_all_gives_up(client: KubeClient, secrets: Secrets) -> None:
    one = ApplyWriter(client, "secret-sync-merge-1")
    ref = secrets.ref(await secrets.create(secrets.intent(a="1")))
    reset: Any = {"metadata": {"managedFields": [{}]}}
    await client.request(
        "PATCH",
        SECRETS.path(ref.namespace, ref.name),
        body=reset,
        content_type="application/merge-patch+json",
    )
    path = SECRETS.path(ref.namespace, ref.name)
    reply = await client.request("GET", path)
    whole = {**secrets.intent(a="1"), "type": "Opaque"}
    reply = await one.update(SECRETS, whole, secrets.ref(reply), force=True)
    # Of an empty list the server would take no notice.
    reply = await one.set_managed_fields(SECRETS, secrets.ref(reply), [{}], secrets.confirmed)
    assert await secrets.data() == {"a": encoded("1")}
    assert not reply["metadata"].get("managedFields")
