"""Writing the Secret: write conflicts, renamed targets, and what only a recreation can change."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.extraction import Desired
from secret_sync.controller.external_secret.state import SyncState, SyncStateStore
from secret_sync.controller.secret_target.write_conflicts import (
    CONFLICT_SECONDS,
    REPAIRS,
    RepairBudget,
)
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.kube import ApiConflictError, ApiRefusedError, ApiUnavailableError
from secret_sync.kube.errors import Cause
from secret_sync.resources import Reason
from tests.unit.controller.played import OWNER, managed, secret
from tests.unit.controller.writing import DESIRED, MARK, MERGE, OURS, World, own, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.sync import Pending, WriteResult
    from secret_sync.kube import ApiError
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

# -- Write conflicts ----------------------------------------------------------------------


async def repair_after_edit(
    world: World, remembered: SyncState, *, by: str = "argocd"
) -> WriteResult | Pending:
    """Somebody takes our key over, and the control loop sees it."""
    assert remembered.applied is not None
    version = int(remembered.applied.resource_version) + 1
    world.holds(own(MARK, managed(by, "password"), version=str(version)))
    world.client.answers.append(own(OURS, version=str(version + 1)))
    return await world.ensure(remembered)


async def test_a_change_is_undone_three_times_a_minute_then_it_takes_two_to_stop(
    make_es: MakeES,
) -> None:
    world, remembered = World(make_es()), state()
    made = [await repair_after_edit(world, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)
    for _ in range(2):
        refused = await repair_after_edit(world, remembered, by="ack-secret-manager")
        assert isinstance(refused, Refused)
        assert refused.problem.reason is Reason.WRITE_CONFLICT
        assert "3 times within 60 s by ack-secret-manager" in refused.problem.message
    assert len(world.client.sent) == REPAIRS


async def test_loss_by_a_restored_api_server_is_no_write_conflict(make_es: MakeES) -> None:
    world, states = World(make_es()), SyncStateStore()
    remembered = states.of("ns/some")
    for field in fields(remembered):
        setattr(remembered, field.name, getattr(state(), field.name))
    states.mark_restored("ns/some")
    world.holds(own(OURS, version="12"))
    world.client.answers.append(own(OURS, version="13"))
    assert isinstance(await world.ensure(remembered), Changed)
    # All three that others have are still theirs.
    made = [await repair_after_edit(world, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)


async def test_from_then_on_there_is_one_write_a_minute_and_no_word_of_peace(
    make_es: MakeES,
) -> None:
    world, remembered = World(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(world, remembered)
    for _ in range(5):
        await asyncio.sleep(CONFLICT_SECONDS)
        reported = [await repair_after_edit(world, remembered) for _ in range(4)]
        assert all(
            isinstance(t, Refused) and t.problem.reason is Reason.WRITE_CONFLICT for t in reported
        )
    assert len(world.client.sent) == REPAIRS + 5


async def test_write_that_has_stood_for_a_minute_ends_the_conflict(make_es: MakeES) -> None:
    world, remembered = World(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(world, remembered)
    await asyncio.sleep(CONFLICT_SECONDS)
    refused = await repair_after_edit(world, remembered)
    assert isinstance(refused, Refused)
    # The write of this minute is still one for the log.
    assert refused.written == Changed("secret updated", 1, 0)
    assert remembered.applied is not None
    world.holds(own(version=remembered.applied.resource_version))
    # It is right, but for how long?
    assert isinstance(await world.ensure(remembered), Refused)
    await asyncio.sleep(CONFLICT_SECONDS)
    assert await world.ensure(remembered) == UNCHANGED
    made = [await repair_after_edit(world, remembered) for _ in range(REPAIRS)]
    assert all(isinstance(result, Changed) for result in made)


async def test_repeated_deletion_ends_the_repairs(make_es: MakeES) -> None:
    world, remembered = World(make_es()), SyncState(uid="es-uid", target="some", written=b"wanted")
    made: list[WriteResult | Pending] = []
    for number in range(REPAIRS + 2):
        world.client.answers.append(own(version=str(30 + number), uid=f"uid-{number}"))
        made.append(await world.ensure(remembered))
        remembered.applied = None
    assert all(isinstance(result, Changed) for result in made[:REPAIRS])
    assert all(isinstance(m, Refused) and "deleted" in m.problem.message for m in made[REPAIRS:])
    assert world.client.methods.count("PATCH") == REPAIRS


async def test_write_in_a_conflict_is_reported_although_its_reason_cannot_be_read(
    make_es: MakeES,
) -> None:
    world, remembered = World(make_es()), SyncState(uid="es-uid", target="some", written=b"wanted")
    for number in range(REPAIRS + 1):
        world.client.answers.append(own(version=str(30 + number), uid=f"uid-{number}"))
        await world.ensure(remembered)
        remembered.applied = None
    await asyncio.sleep(CONFLICT_SECONDS)
    world.client.answers.extend([own(version="50", uid="uid-50"), ApiUnavailableError("away")])
    refused = await world.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.written == Changed("secret created", 1)


async def test_occasional_edit_is_reverted_each_time(make_es: MakeES) -> None:
    world, remembered = World(make_es()), state()
    for _ in range(10):
        assert isinstance(await repair_after_edit(world, remembered), Changed)
        await asyncio.sleep(CONFLICT_SECONDS / REPAIRS + 1)


async def test_new_values_are_no_write_conflict(make_es: MakeES) -> None:
    world, remembered = World(make_es()), state()
    for number in range(6):
        world.client.answers.append(own(version=str(30 + number)))
        fresh = Desired(b"%d" % number, DESIRED.keys, DESIRED.data, (), ())
        assert isinstance(await world.ensure(remembered, fresh), Changed)
    assert remembered.repairs is None


async def test_new_value_is_written_during_a_write_conflict(make_es: MakeES) -> None:
    world, remembered = World(make_es()), state()
    for _ in range(REPAIRS):
        await repair_after_edit(world, remembered)
    world.client.answers.append(own(version="50"))
    fresh = Desired(b"fresh", DESIRED.keys, DESIRED.data, (), ())
    assert isinstance(await world.ensure(remembered, fresh), Changed)


async def test_an_apply_that_changes_nothing_is_no_blow(make_es: MakeES) -> None:
    # After a restart nothing is known of the values.
    world = World(make_es())
    world.holds(own())
    remembered = SyncState(uid="es-uid", target="some", written=b"wanted")
    for _ in range(5):
        remembered.applied = None
        world.client.answers.append(own())
        assert await world.ensure(remembered) == UNCHANGED
    assert remembered.repairs is not None
    assert remembered.repairs.repairs == ()


# -- What only a recreation can change ----------------------------------------------------

FROZEN = ApiRefusedError("immutable", status=422, causes=(Cause("type", "FieldValueInvalid"),))


async def test_type_is_changed_by_recreating_the_secret(make_es: MakeES) -> None:
    made = own(uid="new", version="30")
    world = World(make_es(type="example.org/t"), FROZEN, own(), own(), {}, made)
    world.holds(own())
    remembered = state(fingerprint=b"older")
    assert isinstance(await world.ensure(remembered), Changed)
    apply, look, dry_run, deletion, creation = world.client.sent
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
    world = World(make_es(type="kubernetes.io/tls"), FROZEN, own(), refusal)
    world.holds(own())
    refused = await world.ensure(state(fingerprint=b"older"))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.WRITE_FAILED
    assert world.client.methods == ["PATCH", "GET", "PATCH"]


async def test_conflict_is_over_when_a_write_finds_nothing_to_change(make_es: MakeES) -> None:
    world, remembered = World(make_es()), state()
    for _ in range(REPAIRS + 1):
        await repair_after_edit(world, remembered, by="flux")
    await asyncio.sleep(CONFLICT_SECONDS)
    # The entry of such a writer stays, and others write labels all the time.
    by_flux = {**managed("flux", operation="Apply"), "fieldsV1": {"f:stringData": {"f:a": {}}}}
    found = own(OURS, by_flux, version="60")
    world.holds(found)
    world.client.answers.clear()
    world.client.answers.extend([found, found])
    assert await world.ensure(remembered) == UNCHANGED
    assert remembered.repairs == RepairBudget()


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
    world = World(make_es(type="example.org/t"), FROZEN, before, own(), {}, made, given)
    world.holds(before)
    remembered = state(fingerprint=b"older")
    assert isinstance(await world.ensure(remembered), Changed)
    _, _, dry_run, _, creation, handed = world.client.sent
    for sent in (dry_run, creation):
        metadata = sent.body["metadata"]
        assert metadata["labels"] == {"team": "a"}
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
    world = World(make_es(type="example.org/t"), FROZEN, labelled(), own(), {}, *rest)
    world.holds(labelled())
    remembered = state(fingerprint=b"older")
    with pytest.raises(ApiUnavailableError):
        await world.ensure(remembered)
    world.client.sent.clear()
    # What was interrupted is applied once more.
    world.client.answers.extend([made, given] if lost == "the create" else [made, given, given])
    world.secrets.remove("ns/some") if lost == "the create" else world.holds(made)
    await world.ensure(remembered)
    if lost == "the create":
        assert world.client.sent[0].body["metadata"]["labels"] == {"team": "a"}
    assert world.client.sent[1].body[-1]["path"] == "/metadata/managedFields"
    assert remembered.carried is None


async def test_metadata_of_others_is_given_to_no_other_secret(make_es: MakeES) -> None:
    made, away = labelled("30", "new"), ApiUnavailableError("away")
    world = World(make_es(type="example.org/t"), FROZEN, labelled(), own(), {}, made, away)
    world.holds(labelled())
    remembered = state(fingerprint=b"older")
    with pytest.raises(ApiUnavailableError):
        await world.ensure(remembered)
    world.client.sent.clear()
    # Ours is deleted meanwhile, and another writer creates one of that name.
    theirs = secret(managed("kubectl", "password"), uid="theirs", version="40")
    world.holds(theirs)
    world.client.answers.extend([theirs, theirs])
    refused = await world.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert {sent.method for sent in world.client.sent} == {"GET"}
    assert remembered.carried is None


# -- Another controller -------------------------------------------------------------------


async def test_beside_another_controller_the_owner_goes_without(make_es: MakeES) -> None:
    es = make_es()
    world = World(es, own(version="21"))
    world.holds(own(ownerReferences=[CONTROLLER]))
    assert world.writer.other_controller(world.context(state())) == "App a"
    assert isinstance(await world.ensure(state()), Changed)
    (reference,) = world.client.sent[0].body["metadata"]["ownerReferences"]
    assert reference["uid"] == "es-uid"
    assert "controller" not in reference


async def test_another_controller_is_known_from_the_reply_to_our_write(make_es: MakeES) -> None:
    reply = own(version="21", ownerReferences=[CONTROLLER, {"uid": "es-uid"}])
    world, remembered = World(make_es(), reply), state()
    world.holds(secret(managed("kubectl", "password")))
    assert isinstance(await world.ensure(remembered), Changed)
    # The cache still has the Secret as it was before.
    assert world.writer.other_controller(world.context(remembered)) == "App a"
    world.holds(own(version="22"))
    assert world.writer.other_controller(world.context(remembered)) == ""


async def test_controller_of_an_unmanaged_secret_is_not_reported(
    make_es: MakeES,
) -> None:
    es = make_es(target=MERGE)
    world = World(es)
    world.holds(own(ownerReferences=[CONTROLLER]))
    assert world.writer.other_controller(world.context(state(merge=True))) == ""


# -- Made once, and continued -------------------------------------------------------------

ONCE = {"refreshPolicy": "CreatedOnce"}
ADOPT = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}


async def test_secret_continued_by_a_created_once_object_keeps_its_values(
    make_es: MakeES,
) -> None:
    restored = secret(managed("velero-server", "password", mark=True), mark="some/older")
    content = {"type": "Opaque", "data": {"password": "b2xk"}, "immutable": True}
    world = World(
        make_es(metadata=ADOPT, **ONCE), restored, {**restored, **content}, own(version="21")
    )
    world.holds(restored)
    remembered = SyncState(uid="es-uid", target="some")
    assert isinstance(await world.writer.continue_created_once(world.context(remembered)), Changed)
    look, read, mark = world.client.sent
    assert (look.method, read.method, mark.version) == ("GET", "GET", "secret-uid/20")
    assert mark.body == {**mark.body, **content}
    assert mark.body["metadata"]["annotations"] == {OWNER: "some/es-uid"}
    assert world.client.confirmed == 1
    assert world.writer.is_there(world.context(remembered))


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
    world = World(make_es(metadata=metadata, **ONCE))
    if held is not None:
        world.holds(held)
    assert await world.writer.continue_created_once(world.context(SyncState())) == UNCHANGED
    assert world.client.sent == []


# -- To be retained -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [("Retain", [{"uid": "es-uid"}], None), ("Delete", [], ["es-uid"])],
)
async def test_changed_deletion_policy_updates_the_owner_reference(
    make_es: MakeES, policy: str, before: list[Any], after: list[str] | None
) -> None:
    world = World(make_es(target={"deletionPolicy": policy}), own(version="21"))
    world.holds(own(ownerReferences=before))
    assert isinstance(await world.ensure(state(fingerprint=b"older")), Changed)
    references = world.client.sent[-1].body["metadata"].get("ownerReferences")
    assert (references and [r["uid"] for r in references]) == after


# -- A renamed target ---------------------------------------------------------------------


@pytest.mark.parametrize("age", [1.0, 10.0])
async def test_a_renamed_target_is_made_however_lately_the_former_one_was(
    make_es: MakeES, age: float
) -> None:
    world = World(make_es(target={"name": "other"}), own(name="other", uid="new"))
    world.holds(own())
    assert isinstance(await world.ensure(state(age=age)), Changed)
    assert world.client.sent[0].path.endswith("/secrets/other")
    assert world.client.sent[0].body["metadata"]["resourceVersion"] == "1"


async def test_older_secret_of_another_writer_is_a_conflict(make_es: MakeES) -> None:
    world = World(make_es(target={"name": "other"}))
    world.holds(secret(managed("kubectl", "a"), name="other", uid="theirs", version="5"))
    refused = await world.ensure(state(age=1.0))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT


async def test_renamed_merge_target_is_written(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    target = {**MERGE, "name": "other"}
    theirs = secret(managed("kubectl", "a"), name="other", uid="new", version="5")
    written = secret(merged, name="other", uid="new", version="31")
    world = World(make_es(target=target), theirs, written)
    world.holds(theirs)
    assert isinstance(await world.ensure(state(age=1.0)), Changed)


# -- The rest -----------------------------------------------------------------------------


async def test_secret_correct_in_the_cache_needs_no_write(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    for target, given, merge in (({}, own(), False), (MERGE, secret(merged), True)):
        world = World(make_es(target=target))
        world.holds(given)
        assert world.writer.is_right(world.context(state()), DESIRED)
        assert not world.writer.is_right(world.context(state(fingerprint=b"older")), DESIRED)
        assert await world.ensure(state(merge=merge)) == UNCHANGED
        assert not world.client.sent


async def test_secret_being_deleted_is_waited_for(make_es: MakeES) -> None:
    world = World(make_es())
    world.holds(own(deletionTimestamp="now"))
    refused = await world.ensure(state())
    assert isinstance(refused, Refused)
    assert "is being deleted; it is created again as soon as it is gone" in refused.problem.message
    assert not world.client.sent


async def test_secret_of_ack_secret_manager_is_adopted(make_es: MakeES) -> None:
    finalizer = "finalizer.ack.secrets-manager.alibabacloud.com"
    theirs = secret(managed("ack-secret-manager", "password"))
    handed = secret(managed("secret-sync", "password", operation="Apply"), version="22")
    world = World(
        make_es(metadata={"finalizers": [finalizer]}),
        theirs,
        own(OURS, managed("ack-secret-manager", "password"), version="21"),
        handed,
        own(version="23"),
    )
    world.holds(theirs)
    assert isinstance(await world.ensure(SyncState(uid="es-uid")), Changed)
    assert world.client.methods == ["GET", "PATCH", "PATCH", "PATCH"]


async def test_secret_that_changes_all_the_time_is_left_for_later(make_es: MakeES) -> None:
    changed = ApiConflictError("changed", status=409)
    world = World(make_es(), *[changed, own(version="25")] * 8)
    world.holds(own())
    with pytest.raises(ApiUnavailableError, match="changes all the time"):
        await world.ensure(state(fingerprint=b"older"))
    assert world.client.methods.count("PATCH") == 4


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (
            ApiRefusedError('User "me" cannot patch resource "secrets"', status=403),
            Reason.WRITE_FORBIDDEN,
            "see its RBAC rules",
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
    world = World(make_es(), fault)
    refused = await world.ensure(SyncState(uid="es-uid"))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is reason
    assert refused.problem.message.startswith("Secret ns/some was not written")
    assert said in refused.problem.message


async def test_an_api_server_that_is_away_is_no_refusal(make_es: MakeES) -> None:
    world = World(make_es(), ApiUnavailableError("away", status=503))
    with pytest.raises(ApiUnavailableError):
        await world.ensure(SyncState(uid="es-uid"))


async def test_merged_keys_are_given_up_after_repeated_conflicts(make_es: MakeES) -> None:
    merged = managed("secret-sync-merge-es-uid", "password", operation="Apply")
    world = World(make_es(target=MERGE))
    made: list[WriteResult | Pending] = []
    remembered = state(merge=True)
    for number in range(REPAIRS + 1):
        # Somebody replaces the whole Secret, our key with it.
        replaced = secret(managed("argocd", "username"), version=str(30 + 2 * number))
        world.holds(replaced)
        world.client.answers.extend([replaced, secret(merged, version=str(31 + 2 * number))])
        made.append(await world.ensure(remembered))
    assert all(isinstance(result, Changed) for result in made[:REPAIRS])
    last = made[-1]
    assert isinstance(last, Refused)
    assert last.problem.reason is Reason.WRITE_CONFLICT


@pytest.mark.parametrize("target", [{}, MERGE], ids=["own", "merged into"])
async def test_writer_that_replaces_the_whole_secret_is_named(
    make_es: MakeES, target: dict[str, Any]
) -> None:
    world = World(make_es(target=target))
    remembered = state(merge=bool(target))
    now = asyncio.get_running_loop().time()
    remembered.repairs = RepairBudget(repairs=(now,) * REPAIRS)
    theirs = secret(managed("argocd", "password"), version="30")
    world.holds(theirs)
    world.client.answers.append(theirs)
    refused = await world.ensure(remembered)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.WRITE_CONFLICT
    assert "argocd" in refused.problem.message


async def test_a_secret_that_was_just_created_is_there(make_es: MakeES) -> None:
    # Else an object that is fetched once would be fetched again until the cache has it.
    world = World(make_es(refreshPolicy="CreatedOnce"))
    assert world.writer.is_there(world.context(state(age=0.1)))
