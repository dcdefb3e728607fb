"""``creationPolicy: Merge``: whose a key is that several want."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.resources import Reason
from tests.unit.controller.fakes import managed, secret
from tests.unit.controller.merging import (
    CONFLICT,
    DESIRED,
    LATER,
    ME,
    MINE,
    NEIGHBOUR,
    THEIRS,
    cached,
    sibling,
    state,
    writing,
)
from tests.unit.controller.writing import sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime


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
