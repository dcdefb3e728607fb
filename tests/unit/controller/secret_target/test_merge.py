"""``creationPolicy: Merge``: our keys in a Secret of somebody else, and never by force."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.controller.view import CATCH_UP
from secret_sync.kube import (
    ApiRefusedError,
    ApiUnavailableError,
    ConfirmedOwner,
    OutdatedError,
    Ref,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.merging import (
    CHANGED,
    DESIRED,
    GONE,
    ME,
    MINE,
    NEIGHBOUR,
    PATH,
    THEIRS,
    cached,
    sibling,
    state,
    writing,
)
from tests.unit.controller.writing import sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import (
        ApiError,
    )
    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime


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
