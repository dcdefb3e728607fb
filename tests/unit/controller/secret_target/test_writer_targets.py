"""Writing the Secret: recreated, renamed and foreign targets, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.kube import ApiConflictError, ApiRefusedError, ApiUnavailableError
from secret_sync.kube.errors import Cause
from secret_sync.resources import Reason
from tests.unit.controller.fakes import OWNER, managed, secret
from tests.unit.controller.writing import DESIRED, MERGE, OURS, WriterHarness, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import ApiError
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

# -- What only a recreation can change ----------------------------------------------------

FROZEN = ApiRefusedError("immutable", status=422, causes=(Cause("type", "FieldValueInvalid"),))


async def test_type_is_changed_by_recreating_the_secret(make_es: MakeES) -> None:
    made = own(uid="new", version="30")
    harness = WriterHarness(make_es(type="example.org/t"), FROZEN, own(), own(), {}, made)
    harness.holds(own())
    remembered = state(fingerprint=b"older")
    assert isinstance(await harness.ensure(remembered), Changed)
    apply, look, dry_run, deletion, creation = harness.client.sent
    assert apply.version == "secret-uid/20"
    assert look.method == "GET"
    # It is tried out before the old one goes.
    assert dry_run.path.endswith("/secrets/secret-sync-es-uid")
    assert (deletion.method, deletion.version) == ("DELETE", "secret-uid/20")
    assert creation.body["metadata"]["resourceVersion"] == "1"
    assert creation.body["type"] == "example.org/t"
    assert remembered.applied is not None
    assert remembered.applied.uid == "new"


async def test_secret_that_could_not_be_recreated_is_not_deleted(make_es: MakeES) -> None:
    refusal = ApiRefusedError("tls.crt is missing", status=422, causes=(Cause("data", "Required"),))
    harness = WriterHarness(make_es(type="kubernetes.io/tls"), FROZEN, own(), refusal)
    harness.holds(own())
    refused = await harness.ensure(state(fingerprint=b"older"))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.WRITE_FAILED
    assert harness.client.methods == ["PATCH", "GET", "PATCH"]


MANAGED = {"app.kubernetes.io/managed-by": "secret-sync"}
LABEL = {
    "manager": "kubectl-label",
    "operation": "Update",
    "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:team": {}}}},
}
APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"password":"b25l"}}'}
CONTROLLER = {
    "kind": "App",
    "name": "a",
    "uid": "x",
    "controller": True,
    "blockOwnerDeletion": True,
}


def labelled(version: str = "20", uid: str = "secret-uid", **more: Any) -> dict[str, Any]:
    found = own(OURS, LABEL, version=version, uid=uid, labels={"team": "a"}, **more)
    found["metadata"]["annotations"] |= APPLIED
    return found


async def test_metadata_of_others_is_carried_over_and_owned_by_them(
    make_es: MakeES,
) -> None:
    before = labelled(ownerReferences=[{"uid": "es-uid"}, CONTROLLER])
    made, given = labelled("30", "new"), labelled("31", "new")
    harness = WriterHarness(make_es(type="example.org/t"), FROZEN, before, own(), {}, made, given)
    harness.holds(before)
    remembered = state(fingerprint=b"older")
    assert isinstance(await harness.ensure(remembered), Changed)
    _, _, dry_run, _, creation, handed = harness.client.sent
    for sent in (dry_run, creation):
        metadata = sent.body["metadata"]
        assert metadata["labels"] == {**MANAGED, "team": "a"}
        # kubectl's copy of the values stays behind, and there is one controller at most.
        assert metadata["annotations"] == {OWNER: "some/es-uid"}
        theirs, ours = metadata["ownerReferences"]
        assert theirs == {"kind": "App", "name": "a", "uid": "x", "controller": True}
        assert "controller" not in ours
    assert handed.body[-1]["path"] == "/metadata/managedFields"
    assert LABEL in handed.body[-1]["value"]
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "31"
    assert remembered.carried is None


@pytest.mark.parametrize("lost", ["the create", "the end"])
async def test_a_recreation_that_is_interrupted_is_finished(make_es: MakeES, lost: str) -> None:
    away = ApiUnavailableError("away")
    made, given = labelled("30", "new"), labelled("31", "new")
    rest = [away] if lost == "the create" else [made, away]
    harness = WriterHarness(make_es(type="example.org/t"), FROZEN, labelled(), own(), {}, *rest)
    harness.holds(labelled())
    remembered = state(fingerprint=b"older")
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(remembered)
    harness.client.sent.clear()
    # What was interrupted is applied once more.
    harness.client.answers.extend([made, given] if lost == "the create" else [made, given, given])
    harness.secrets.remove("ns/some") if lost == "the create" else harness.holds(made)
    await harness.ensure(remembered)
    if lost == "the create":
        assert harness.client.sent[0].body["metadata"]["labels"] == {**MANAGED, "team": "a"}
    assert harness.client.sent[1].body[-1]["path"] == "/metadata/managedFields"
    assert remembered.carried is None


async def test_metadata_of_others_is_given_to_no_other_secret(make_es: MakeES) -> None:
    made, away = labelled("30", "new"), ApiUnavailableError("away")
    harness = WriterHarness(
        make_es(type="example.org/t"), FROZEN, labelled(), own(), {}, made, away
    )
    harness.holds(labelled())
    remembered = state(fingerprint=b"older")
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(remembered)
    harness.client.sent.clear()
    # Ours is deleted meanwhile, and another writer creates one of that name.
    theirs = secret(managed("kubectl", "password"), uid="theirs", version="40")
    harness.holds(theirs)
    harness.client.answers.extend([theirs, theirs])
    refused = await harness.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert {sent.method for sent in harness.client.sent} == {"GET"}
    assert remembered.carried is None


# -- Another controller -------------------------------------------------------------------


async def test_beside_another_controller_the_owner_goes_without(make_es: MakeES) -> None:
    es = make_es()
    harness = WriterHarness(es, own(version="21"))
    harness.holds(own(ownerReferences=[CONTROLLER]))
    assert harness.writer.other_controller(harness.context(state())) == "App a"
    assert isinstance(await harness.ensure(state()), Changed)
    (reference,) = harness.client.sent[0].body["metadata"]["ownerReferences"]
    assert reference["uid"] == "es-uid"
    assert "controller" not in reference


async def test_another_controller_is_known_from_the_reply_to_our_write(make_es: MakeES) -> None:
    reply = own(version="21", ownerReferences=[CONTROLLER, {"uid": "es-uid"}])
    harness, remembered = WriterHarness(make_es(), reply), state()
    harness.holds(secret(managed("kubectl", "password")))
    assert isinstance(await harness.ensure(remembered), Changed)
    # The cache still has the Secret as it was before.
    assert harness.writer.other_controller(harness.context(remembered)) == "App a"
    harness.holds(own(version="22"))
    assert harness.writer.other_controller(harness.context(remembered)) == ""


async def test_controller_of_an_unmanaged_secret_is_not_reported(
    make_es: MakeES,
) -> None:
    es = make_es(target=MERGE)
    harness = WriterHarness(es)
    harness.holds(own(ownerReferences=[CONTROLLER]))
    assert harness.writer.other_controller(harness.context(state(merge=True))) == ""


# -- Made once, and continued -------------------------------------------------------------

ONCE = {"refreshPolicy": "CreatedOnce"}
ADOPT = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}


async def test_secret_continued_by_a_created_once_object_keeps_its_values(
    make_es: MakeES,
) -> None:
    restored = secret(managed("velero-server", "password", mark=True), mark="some/older")
    content = {"type": "Opaque", "data": {"password": "b2xk"}, "immutable": True}
    harness = WriterHarness(
        make_es(metadata=ADOPT, **ONCE), restored, {**restored, **content}, own(version="21")
    )
    harness.holds(restored)
    remembered = SyncState(uid="es-uid", target="some")
    assert isinstance(
        await harness.writer.continue_created_once(harness.context(remembered)), Changed
    )
    look, read, mark = harness.client.sent
    assert (look.method, read.method, mark.version) == ("GET", "GET", "secret-uid/20")
    assert mark.body == {**mark.body, **content}
    assert mark.body["metadata"]["annotations"] == {OWNER: "some/es-uid"}
    assert harness.client.confirmed == 1
    assert harness.writer.is_there(harness.context(remembered))


@pytest.mark.parametrize(
    ("metadata", "held"),
    [
        ({}, secret(managed("kubectl", "password"))),
        (ADOPT, own()),
        (ADOPT, None),
    ],
    ids=["not asked to", "its own already", "none there"],
)
async def test_other_secrets_are_not_continued(
    make_es: MakeES, metadata: dict[str, Any], held: dict[str, Any] | None
) -> None:
    harness = WriterHarness(make_es(metadata=metadata, **ONCE))
    if held is not None:
        harness.holds(held)
    assert await harness.writer.continue_created_once(harness.context(SyncState())) == UNCHANGED
    assert harness.client.sent == []


# -- To be retained -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [("Retain", [{"uid": "es-uid"}], None), ("Delete", [], ["es-uid"])],
)
async def test_changed_deletion_policy_updates_the_owner_reference(
    make_es: MakeES, policy: str, before: list[Any], after: list[str] | None
) -> None:
    harness = WriterHarness(make_es(target={"deletionPolicy": policy}), own(version="21"))
    harness.holds(own(ownerReferences=before))
    assert isinstance(await harness.ensure(state(fingerprint=b"older")), Changed)
    references = harness.client.sent[-1].body["metadata"].get("ownerReferences")
    assert (references and [r["uid"] for r in references]) == after


# -- A renamed target ---------------------------------------------------------------------


@pytest.mark.parametrize("age", [1.0, 10.0])
async def test_a_renamed_target_is_made_however_lately_the_former_one_was(
    make_es: MakeES, age: float
) -> None:
    harness = WriterHarness(make_es(target={"name": "other"}), own(name="other", uid="new"))
    harness.holds(own())
    assert isinstance(await harness.ensure(state(age=age)), Changed)
    assert harness.client.sent[0].path.endswith("/secrets/other")
    assert harness.client.sent[0].body["metadata"]["resourceVersion"] == "1"


async def test_older_secret_of_another_writer_is_a_conflict(make_es: MakeES) -> None:
    harness = WriterHarness(make_es(target={"name": "other"}))
    harness.holds(secret(managed("kubectl", "a"), name="other", uid="theirs", version="5"))
    refused = await harness.ensure(state(age=1.0))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT


async def test_renamed_merge_target_is_written(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    target = {**MERGE, "name": "other"}
    theirs = secret(managed("kubectl", "a"), name="other", uid="new", version="5")
    written = secret(merged, name="other", uid="new", version="31")
    harness = WriterHarness(make_es(target=target), theirs, written)
    harness.holds(theirs)
    assert isinstance(await harness.ensure(state(age=1.0)), Changed)


# -- The rest -----------------------------------------------------------------------------


async def test_secret_correct_in_the_cache_needs_no_write(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    for target, given, merge in (({}, own(), False), (MERGE, secret(merged), True)):
        harness = WriterHarness(make_es(target=target))
        harness.holds(given)
        assert harness.writer.is_right(harness.context(state()), DESIRED)
        assert not harness.writer.is_right(harness.context(state(fingerprint=b"older")), DESIRED)
        assert await harness.ensure(state(merge=merge)) == UNCHANGED
        assert not harness.client.sent


async def test_secret_being_deleted_is_waited_for(make_es: MakeES) -> None:
    harness = WriterHarness(make_es())
    harness.holds(own(deletionTimestamp="now"))
    refused = await harness.ensure(state())
    assert isinstance(refused, Refused)
    assert "is being deleted; it is created again as soon as it is gone" in refused.problem.message
    assert not harness.client.sent


async def test_secret_of_ack_secret_manager_is_adopted(make_es: MakeES) -> None:
    finalizer = "finalizer.ack.secrets-manager.alibabacloud.com"
    theirs = secret(managed("ack-secret-manager", "password"))
    handed = secret(managed("secret-sync", "password", operation="Apply"), version="22")
    harness = WriterHarness(
        make_es(metadata={"finalizers": [finalizer]}),
        theirs,
        own(OURS, managed("ack-secret-manager", "password"), version="21"),
        handed,
        own(version="23"),
    )
    harness.holds(theirs)
    assert isinstance(await harness.ensure(SyncState(uid="es-uid")), Changed)
    assert harness.client.methods == ["GET", "PATCH", "PATCH", "PATCH"]


async def test_secret_that_changes_all_the_time_is_left_for_later(make_es: MakeES) -> None:
    changed = ApiConflictError("changed", status=409)
    harness = WriterHarness(make_es(), *[changed, own(version="25")] * 8)
    harness.holds(own())
    with pytest.raises(ApiUnavailableError, match="changes all the time"):
        await harness.ensure(state(fingerprint=b"older"))
    assert harness.client.methods.count("PATCH") == 4


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (
            ApiRefusedError('User "me" cannot patch resource "secrets"', status=403),
            Reason.WRITE_FORBIDDEN,
            "add that to the controller's RBAC rules",
        ),
        (
            ApiRefusedError("a webhook says no", status=403),
            Reason.WRITE_FORBIDDEN,
            "a webhook says no",
        ),
        (ApiRefusedError("too much", status=413), Reason.WRITE_FAILED, "refused it: too much"),
    ],
)
async def test_refusals(make_es: MakeES, fault: ApiError, reason: Reason, said: str) -> None:
    harness = WriterHarness(make_es(), fault)
    refused = await harness.ensure(SyncState(uid="es-uid"))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is reason
    assert refused.problem.message.startswith("Secret ns/some was not written")
    assert said in refused.problem.message


async def test_an_api_server_that_is_away_is_no_refusal(make_es: MakeES) -> None:
    harness = WriterHarness(make_es(), ApiUnavailableError("away", status=503))
    with pytest.raises(ApiUnavailableError):
        await harness.ensure(SyncState(uid="es-uid"))


async def test_a_secret_that_was_just_created_is_there(make_es: MakeES) -> None:
    # Else an object that is fetched once would be fetched again until the cache has it.
    harness = WriterHarness(make_es(refreshPolicy="CreatedOnce"))
    assert harness.writer.is_there(harness.context(state(age=0.1)))
