"""``creationPolicy: Merge``: our keys in a Secret of somebody else, and never by force."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.extraction import Desired
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.controller.view import CATCH_UP
from secret_sync.kube import (
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    ApplyWriter,
    ConfirmedOwner,
    OutdatedError,
    Ref,
    Store,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.writing import merge_writer, sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.secret_target.merge import MergeWriter
    from secret_sync.kube import (
        ApiError,
    )
    from secret_sync.resources import ExternalSecret, SecretMeta

    MakeES = Callable[..., ExternalSecret]

MERGE = {"creationPolicy": "Merge"}
LATER = "2026-12-01T00:00:00Z"

pytestmark = pytest.mark.looptime

PATH = "/api/v1/namespaces/ns/secrets/some"
DESIRED = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())
ME = "secret-sync-merge-es-uid"
MINE = managed(ME, "password", operation="Apply")
THEIRS = managed("kubectl", "username")
#: With it the cache keeps who owns what of the Secret.
NEIGHBOUR = managed("secret-sync-merge-neighbour", "unrelated", operation="Apply")
CHANGED = ApiConflictError("changed", status=409)
GONE = ApiNotFoundError("gone", status=404)
#: The API server would have to be forced.
CONFLICT = ApiConflictError(
    "conflict", status=409, causes=(Cause(".data.password", "FieldManagerConflict"),)
)


def writing(
    *answers: Any, living: tuple[ExternalSecret, ...] = ()
) -> tuple[MergeWriter, PlayedClient]:
    client: Any = PlayedClient(*answers)
    objects: Store[Any] = Store(INDEXES)
    for es in living:
        objects.put(f"ns/{es.name}", es)
    writer = ApplyWriter(client, "secret-sync")
    return merge_writer(SecretClient(client, writer, objects, Store())), client


def sibling(
    make_es: MakeES,
    name: str,
    created: str = "2026-01-01T00:00:00Z",
    *,
    target: dict[str, Any] | None = None,
    **metadata: Any,
) -> ExternalSecret:
    """Another ExternalSecret; by default it merges into the same Secret, and comes first."""
    more = {"name": name, "uid": name, "creationTimestamp": created, **metadata}
    return make_es(
        metadata=more, target={"name": "some", "creationPolicy": "Merge", **(target or {})}
    )


@pytest.fixture
def es(make_es: MakeES) -> ExternalSecret:
    """The one whose keys are written, of the middle of the year."""
    return make_es(metadata={"creationTimestamp": "2026-06-01T00:00:00Z"}, target=MERGE)


def cached(*entries: dict[str, Any], **more: Any) -> SecretMeta:
    return secret_from_metadata(secret(*entries, **more))


def state(
    version: str = "20", *, fingerprint: bytes = b"wanted", uid: str = "secret-uid"
) -> SyncState:
    now = asyncio.get_running_loop().time()
    applied = Applied(fingerprint, uid, version, now)
    return SyncState(uid="es-uid", applied=applied, written=fingerprint)


async def test_desired_keys_are_written_and_nothing_else(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS, MINE, version="21"))
    remembered = SyncState()
    current = cached(THEIRS, NEIGHBOUR)
    assert isinstance(
        await merging.ensure(sync_of(make_es(), remembered), DESIRED, current),
        Changed,
    )
    (sent,) = client.sent
    assert (sent.method, sent.path, sent.manager, sent.force) == ("PATCH", PATH, ME, False)
    assert sent.version == "secret-uid/20"
    assert set(sent.body) == {"apiVersion", "kind", "metadata", "data"}
    assert set(sent.body["metadata"]) == {"namespace", "name", "uid", "resourceVersion"}
    assert sent.body["data"] == {"password": b64encode(b"v").decode()}
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "21"


async def test_secret_missing_from_the_cache_is_read(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS, NEIGHBOUR), secret(THEIRS, MINE, version="21"))
    assert isinstance(await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, None), Changed)
    assert client.methods == ["GET", "PATCH"]


async def test_owners_of_an_unmarked_secret_are_read(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS), secret(THEIRS, MINE, version="21"))
    assert isinstance(
        await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS)),
        Changed,
    )
    assert client.methods == ["GET", "PATCH"]


async def test_an_apply_that_changes_nothing_is_no_change(make_es: MakeES) -> None:
    # After a restart, say.
    merging, client = writing(secret(THEIRS, MINE))
    assert (
        await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS, MINE))
        == UNCHANGED
    )
    assert client.methods == ["PATCH"]


async def test_correct_secret_is_not_written(make_es: MakeES) -> None:
    merging, client = writing()
    current = cached(THEIRS, MINE)
    assert await merging.ensure(sync_of(make_es(), state()), DESIRED, current) == UNCHANGED
    assert not client.sent


@pytest.mark.parametrize(
    ("entries", "remembered", "right"),
    [
        ([THEIRS, MINE], {}, True),
        # What others do with keys of theirs is theirs.
        ([managed("kubectl", "other"), MINE], {}, True),
        ([THEIRS, MINE], {"fingerprint": b"older"}, False),
        ([THEIRS, MINE], {"uid": "another"}, False),
        ([THEIRS], {}, False),
        ([THEIRS, managed(ME, "password", "more", operation="Apply")], {}, False),
        ([THEIRS, managed("secret-sync-merge-else", "password", operation="Apply")], {}, False),
        # The cache has not caught up with our write.
        ([THEIRS], {"version": "21"}, True),
    ],
)
async def test_correct_secrets(
    make_es: MakeES, entries: list[dict[str, Any]], remembered: dict[str, Any], *, right: bool
) -> None:
    merging, _ = writing()
    given = state(**remembered)
    assert merging.is_right(sync_of(make_es(), given), DESIRED, cached(*entries)) is right


async def test_a_cache_that_is_behind_for_long_is_believed(make_es: MakeES) -> None:
    merging, _ = writing()
    given = state("21")
    assert merging.is_right(sync_of(make_es(), given), DESIRED, cached(THEIRS))
    assert merging.is_right(sync_of(make_es(), given), DESIRED, None)
    await asyncio.sleep(CATCH_UP + 0.1)
    assert not merging.is_right(sync_of(make_es(), given), DESIRED, cached(THEIRS))
    assert not merging.is_right(sync_of(make_es(), given), DESIRED, None)
    assert not merging.is_right(sync_of(make_es(), SyncState()), DESIRED, None)


async def test_without_a_secret_nothing_is_made(make_es: MakeES) -> None:
    merging, client = writing(GONE)
    remembered = state(fingerprint=b"older")
    refused = await merging.ensure(sync_of(make_es(), remembered), DESIRED, None)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.TARGET_MISSING
    assert "Secret ns/some does not exist" in refused.problem.message
    assert client.methods == ["GET"]
    assert remembered.applied is None


async def test_secret_changed_meanwhile_is_decided_on_again(make_es: MakeES) -> None:
    merging, client = writing(
        CHANGED, secret(THEIRS, NEIGHBOUR, version="25"), secret(MINE, version="26")
    )
    assert isinstance(
        await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS, NEIGHBOUR)),
        Changed,
    )
    assert client.methods == ["PATCH", "GET", "PATCH"]
    assert client.sent[2].version == "secret-uid/25"


async def test_secret_that_changes_all_the_time_is_given_up(make_es: MakeES) -> None:
    merging, client = writing(*[CHANGED, secret(THEIRS, NEIGHBOUR)] * 8)
    with pytest.raises(ApiUnavailableError, match="changes all the time"):
        await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS, NEIGHBOUR))
    assert client.methods.count("PATCH") == 4


async def test_target_deleted_meanwhile_is_missing(make_es: MakeES) -> None:
    merging, _ = writing(GONE, GONE)
    refused = await merging.ensure(
        sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS, NEIGHBOUR)
    )
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.TARGET_MISSING


async def test_other_owner_of_a_key_with_another_value_keeps_it(make_es: MakeES) -> None:
    owned = secret(managed("kubectl", "password"), managed("argocd-controller", "password"))
    merging, client = writing(CONFLICT, owned)
    remembered = SyncState()
    refused = await merging.ensure(
        sync_of(make_es(), remembered), DESIRED, cached(THEIRS, NEIGHBOUR)
    )
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.KEY_CONFLICT
    assert "argocd-controller, kubectl set another value for password" in refused.problem.message
    assert client.methods == ["PATCH", "GET"]
    assert not any(sent.force for sent in client.sent)
    assert remembered.applied is None


# -- Several that merge one key -------------------------------------------------------


def held(*uids: str, key: str = "password") -> list[dict[str, Any]]:
    return [managed(f"secret-sync-merge-{uid}", key, operation="Apply") for uid in uids]


@pytest.mark.parametrize("written", [False, True], ids=["never written", "shared before"])
async def test_key_of_an_older_sibling_is_not_written(
    make_es: MakeES, es: ExternalSecret, *, written: bool
) -> None:
    first = sibling(make_es, "first")
    merging, client = writing(living=(es, first))
    current = cached(THEIRS, *held("first"), *([MINE] if written else []))
    refused = await merging.ensure(
        sync_of(es, state("19") if written else SyncState()), DESIRED, current
    )
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.KEY_CONFLICT
    assert (
        "ExternalSecret first, created before this one, merges password" in refused.problem.message
    )
    assert "secret-sync" not in refused.problem.message
    assert not client.sent


async def test_of_two_of_one_second_the_uid_decides(make_es: MakeES, es: ExternalSecret) -> None:
    for uid, comes_first in (("a", True), ("z", False)):
        other = sibling(make_es, uid, es.created)
        merging, client = writing(
            secret(MINE, *held(uid), version="21"), secret(MINE), living=(es, other)
        )
        made = await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(THEIRS, *held(uid)))
        assert isinstance(made, Refused) is comes_first
        assert bool(client.sent) is not comes_first


#: Those who have the key and give way.
GIVES_WAY: dict[str, dict[str, Any] | None] = {
    "gone": None,
    "later": {"created": LATER},
    "being deleted": {"deletionTimestamp": "now"},
    "merges elsewhere": {"target": {"name": "elsewhere"}},
    "merges no more": {"target": {"creationPolicy": "Owner"}},
}


@pytest.mark.parametrize("how", GIVES_WAY)
async def test_key_of_a_yielding_sibling_is_taken_without_a_change_of_data(
    make_es: MakeES, es: ExternalSecret, how: str
) -> None:
    given = GIVES_WAY[how]
    living = (es,) if given is None else (es, sibling(make_es, "other", **given))
    other = managed("secret-sync-merge-other", "password", "more", operation="Apply")
    left = managed("secret-sync-merge-other", "more", operation="Apply")
    reply = secret(other, MINE, THEIRS, version="21")
    merging, client = writing(reply, secret(left, MINE, version="22"), living=living)
    remembered = SyncState()
    assert isinstance(
        await merging.ensure(sync_of(es, remembered), DESIRED, cached(other)),
        Changed,
    )
    write, giving_up = client.sent
    assert (write.manager, write.force) == (ME, False)
    # What it alone had merged is not ours to delete.
    assert {op["path"]: op["value"] for op in giving_up.body} == {
        "/metadata/uid": "secret-uid",
        "/metadata/resourceVersion": "21",
        "/metadata/managedFields": [left, MINE, THEIRS],
    }
    assert client.confirmed == 1
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "22"
    assert remembered.shared == ()


@pytest.mark.parametrize("how", GIVES_WAY)
async def test_key_of_a_yielding_sibling_is_taken_with_another_value(
    make_es: MakeES, es: ExternalSecret, how: str
) -> None:
    given = GIVES_WAY[how]
    living = (es,) if given is None else (es, sibling(make_es, "other", **given))
    stored = secret(*held("other"))
    merging, client = writing(CONFLICT, stored, secret(MINE, version="21"), living=living)
    assert isinstance(
        await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(*held("other"))),
        Changed,
    )
    assert [sent.force for sent in client.sent] == [False, False, True]
    assert client.confirmed == 1


@pytest.mark.parametrize(
    ("owners", "named"),
    [
        (["secret-sync-merge-gone", "kubectl"], "kubectl set"),
        ([ME, "kubectl"], "kubectl set"),
        # That owner has let go of it meanwhile, which enqueues the object.
        ([], "another writer set"),
    ],
)
async def test_key_of_a_foreign_owner_is_not_taken(
    es: ExternalSecret, owners: list[str], named: str
) -> None:
    owned = [managed(owner, "password", operation="Apply") for owner in owners]
    merging, client = writing(CONFLICT, secret(*owned))
    refused = await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(*owned, NEIGHBOUR))
    assert isinstance(refused, Refused)
    assert f"Secret ns/some: {named} another value for password" in refused.problem.message
    assert "secret-sync" not in refused.problem.message
    assert not any(sent.force for sent in client.sent)


async def test_several_siblings_yield_at_once(es: ExternalSecret) -> None:
    stored = secret(*held("gone", "gone-too"), MINE, version="21")
    merging, client = writing(stored, secret(MINE, version="22"), living=(es,))
    await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(*held("gone", "gone-too")))
    assert client.methods == ["PATCH", "PATCH"]
    assert client.sent[-1].body[-1]["value"] == [MINE]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(managed("secret-sync-merge-gone", "x", operation="Apply"), id="other keys"),
        pytest.param(managed("kubectl", "username"), id="somebody else"),
    ],
)
async def test_others_keep_what_they_own(es: ExternalSecret, other: dict[str, Any]) -> None:
    merging, client = writing(secret(other, MINE, version="21"))
    assert isinstance(
        await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(other, NEIGHBOUR)),
        Changed,
    )
    assert len(client.sent) == 1


async def test_co_owner_of_an_equal_value_is_remembered(es: ExternalSecret) -> None:
    too = managed("gitops", "password", "username", operation="Apply")
    merging, client = writing(secret(too, MINE))
    remembered = state("19")
    # Seen in the cache, but not who it is.
    assert not merging.is_right(sync_of(es, remembered), DESIRED, cached(too, MINE))
    assert await merging.ensure(sync_of(es, remembered), DESIRED, cached(too, MINE)) == UNCHANGED
    assert client.methods == ["PATCH"]
    assert remembered.shared == (("password", ("gitops",)),)
    assert merging.is_right(sync_of(es, remembered), DESIRED, cached(too, MINE, version="25"))
    # Gone again:
    assert not merging.is_right(
        sync_of(es, remembered), DESIRED, cached(THEIRS, MINE, version="26")
    )


async def test_a_secret_that_was_once_made_by_us_is_taken_from_ourselves(
    make_es: MakeES, es: ExternalSecret
) -> None:
    once = managed("secret-sync", "password", operation="Apply")
    merging, client = writing(secret(once, MINE, version="21"), secret(MINE), living=(es,))
    assert isinstance(
        await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(once)),
        Changed,
    )
    assert client.sent[-1].body[-1]["value"] == [MINE]
    # Unless another one makes it, who is about to put its mark back.
    owner = make_es(metadata={"name": "owner", "uid": "owner"}, target={"name": "some"})
    merging, client = writing(living=(es, owner))
    refused = await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(once))
    assert isinstance(refused, Refused)
    assert "belongs to ExternalSecret owner" in refused.problem.message
    assert not client.sent


# -- stringData -----------------------------------------------------------------------


def by_string_data(*keys: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:stringData": {f"f:{key}": {} for key in keys}}
    return {"manager": "gitops", "operation": "Apply", "fieldsV1": fields, "time": "now"}


def whole(value: bytes | None) -> dict[str, Any]:
    data = {} if value is None else {"password": b64encode(value).decode()}
    return {**secret(THEIRS), "data": data}


@pytest.mark.parametrize("marked", [True, False], ids=["merged before", "without our marks"])
@pytest.mark.parametrize(
    ("value", "theirs"), [(b"x", True), (b"", True), (b"v", False), (None, False)]
)
async def test_a_key_that_string_data_set_is_theirs(
    es: ExternalSecret, value: bytes | None, *, theirs: bool, marked: bool
) -> None:
    edited = by_string_data("password")
    current = [edited, MINE] if marked else [edited]
    answers = [] if marked else [secret(edited)]
    merging, client = writing(*answers, whole(value), secret(MINE, edited))
    remembered = state("19") if marked else SyncState()
    made = await merging.ensure(sync_of(es, remembered), DESIRED, cached(*current))
    if theirs:
        assert isinstance(made, Refused)
        assert made.problem.reason is Reason.KEY_CONFLICT
        assert "gitops set another value for password" in made.problem.message
        assert "PATCH" not in client.methods
    else:
        assert made == UNCHANGED
        assert remembered.shared == (("password", ("gitops",)),)
        # Not compared again until the Secret changes.
        assert merging.is_right(sync_of(es, remembered), DESIRED, cached(edited, MINE))
        assert not merging.is_right(
            sync_of(es, remembered), DESIRED, cached(edited, MINE, version="21")
        )


async def test_change_since_the_last_decision_is_decided_on_again(es: ExternalSecret) -> None:
    edited = by_string_data("password")
    changed = {**whole(b"v"), **secret(edited, MINE, version="25")}
    merging, client = writing(changed, GONE)
    made = await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(edited, MINE))
    assert isinstance(made, Refused)
    assert made.problem.reason is Reason.TARGET_MISSING
    assert client.methods == ["GET", "GET"]


async def test_a_key_that_string_data_set_stays_when_we_leave_it_out(
    es: ExternalSecret,
) -> None:
    edited = by_string_data("old")
    mine = managed(ME, "old", "older", "password", operation="Apply")
    left = managed(ME, "older", "password", operation="Apply")
    replies = secret(edited, left, version="21"), secret(edited, MINE, version="22")
    merging, client = writing(secret(edited, mine), *replies)
    made = await merging.ensure(
        sync_of(es, state(fingerprint=b"old")), DESIRED, cached(edited, mine)
    )
    assert isinstance(made, Changed)
    asked, giving_up, write = client.sent
    assert asked.method == "GET"
    assert giving_up.body[-1]["value"] == [edited, left]
    assert write.version == "secret-uid/21"
    assert client.confirmed == 1


async def test_a_key_that_another_one_waits_for_stays_when_we_leave_it_out(
    make_es: MakeES, es: ExternalSecret
) -> None:
    waiting = sibling(make_es, "waiting", LATER)
    mine = managed(ME, "password", operation="Apply")
    desired = Desired(b"new", frozenset({"new"}), {"new": b"v"}, (), ())
    fresh = managed(ME, "new", operation="Apply")
    replies = secret(THEIRS, version="21"), secret(THEIRS, fresh, version="22")
    merging, client = writing(secret(THEIRS, mine), *replies, living=(es, waiting))
    assert isinstance(
        await merging.ensure(sync_of(es, state()), desired, cached(THEIRS, mine)),
        Changed,
    )
    assert client.sent[1].body[-1]["value"] == [THEIRS]


async def test_a_secret_of_another_external_secret_is_no_place_to_merge_into(
    make_es: MakeES,
) -> None:
    theirs = managed("secret-sync", "username", operation="Apply", mark=True)
    other = sibling(make_es, "other", target={"creationPolicy": "Owner"})
    merging, client = writing(living=(other,))
    current = cached(theirs, mark="other/other")
    refused = await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, current)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert "belongs to ExternalSecret other" in refused.problem.message
    assert not client.sent


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (
            ApiRefusedError("no", status=422, causes=(Cause("data", "FieldValueForbidden"),)),
            Reason.WRITE_FAILED,
            "it is immutable",
        ),
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
async def test_refusals(es: ExternalSecret, fault: ApiError, reason: Reason, said: str) -> None:
    merging, _ = writing(fault)
    refused = await merging.ensure(sync_of(es, SyncState()), DESIRED, cached(THEIRS, NEIGHBOUR))
    assert isinstance(refused, Refused)
    assert refused.problem.reason is reason
    assert refused.problem.message.startswith("Secret ns/some was not written")
    assert said in refused.problem.message


async def test_an_api_server_that_is_away_is_no_refusal(make_es: MakeES) -> None:
    merging, _ = writing(ApiUnavailableError("away", status=503))
    with pytest.raises(ApiUnavailableError):
        await merging.ensure(sync_of(make_es(), SyncState()), DESIRED, cached(THEIRS, NEIGHBOUR))


async def test_a_secret_of_its_own_becomes_one_to_merge_into(make_es: MakeES) -> None:
    merging, client = writing(secret(MINE, version="21"))
    ref = Ref("ns", "some", "secret-uid", "20")
    remembered = SyncState()
    await merging.take(sync_of(make_es(type="example.org/t"), remembered), DESIRED, ref)
    (sent,) = client.sent
    # By force: the keys are still owned by our other manager, with the older value perhaps.
    assert (sent.manager, sent.force, sent.version) == (ME, True, "secret-uid/20")
    assert sent.body["type"] == "example.org/t"
    assert remembered.written == b"wanted"


async def test_keys_are_taken_out_of_a_secret_that_is_no_target_any_more(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS, version="21"), CHANGED)
    former = secret_from_metadata(secret(THEIRS, MINE, name="former"))
    assert isinstance(former, ManagedSecret)
    await merging.leave(make_es(), former, ConfirmedOwner("ns", "some", "es-uid"))
    (sent,) = client.sent
    assert sent.path == "/api/v1/namespaces/ns/secrets/former"
    # Nothing is wanted of it, so what is ours goes.
    assert (sent.manager, sent.force) == (ME, False)
    assert set(sent.body) == {"apiVersion", "kind", "metadata"}
    assert sent.version == "secret-uid/20"
    with pytest.raises(OutdatedError):
        await merging.leave(make_es(), former, ConfirmedOwner("ns", "some", "es-uid"))


@pytest.mark.parametrize("more", [(), ("more",)], ids=["all of them", "one of two"])
async def test_keys_that_others_have_set_since_stay(make_es: MakeES, more: tuple[str, ...]) -> None:
    edited = by_string_data("password")
    mine = managed(ME, "password", *more, operation="Apply")
    stored = secret(edited, mine, name="former")
    merging, client = writing(stored, secret(edited, version="21"), secret(edited, version="22"))
    former = secret_from_metadata(stored)
    assert isinstance(former, ManagedSecret)
    await merging.leave(make_es(), former, ConfirmedOwner("ns", "some", "es-uid"))
    assert client.methods == (["GET", "PATCH", "PATCH"] if more else ["GET", "PATCH"])
    left = [managed(ME, *more, operation="Apply")] if more else []
    assert client.sent[1].body[-1]["value"] == [edited, *left]
