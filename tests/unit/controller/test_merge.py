"""``creationPolicy: Merge``: our keys in a Secret of somebody else, and never by force."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.desired import Desired
from secret_sync.controller.memory import Applied, Memory
from secret_sync.controller.merge import MergeWriter
from secret_sync.controller.ownership import CATCH_UP
from secret_sync.controller.problem import Problem
from secret_sync.kube import (
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ApiUnavailableError,
    ConfirmedOwner,
    OutdatedError,
    Ref,
    Store,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from tests.unit.controller.played import PlayedClient, managed, secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret, SecretMeta

    MakeES = Callable[..., ExternalSecret]

pytestmark = pytest.mark.looptime

PATH = "/api/v1/namespaces/ns/secrets/some"
DESIRED = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())
ME = "secret-sync-merge-es-uid"
MINE = managed(ME, "password", operation="Apply")
THEIRS = managed("kubectl", "username")
CHANGED = ApiConflictError("changed", status=409)
GONE = ApiNotFoundError("gone", status=404)
#: The API server would have to be forced.
CONFLICT = ApiConflictError(
    "conflict", status=409, causes=(Cause(".data.password", "FieldManagerConflict"),)
)


def writing(*answers: Any, living: tuple[str, ...] = ()) -> tuple[MergeWriter, PlayedClient]:
    client: Any = PlayedClient(*answers)
    objects: Store[Any] = Store()
    for uid in living:
        objects.put(f"ns/{uid}", _Living("ns", uid))
    return MergeWriter(client, objects), client


class _Living:
    def __init__(self, namespace: str, uid: str) -> None:
        self.namespace, self.uid, self.name, self.resource_version = namespace, uid, uid, "1"


def cached(*entries: dict[str, Any], **more: Any) -> SecretMeta:
    return secret_from_metadata(secret(*entries, **more))


def memory(
    version: str = "20", *, fingerprint: bytes = b"wanted", uid: str = "secret-uid"
) -> Memory:
    now = asyncio.get_running_loop().time()
    applied = Applied(fingerprint, uid, version, now)
    return Memory(uid="es-uid", applied=applied, written=fingerprint)


async def test_our_keys_are_written_and_nothing_else(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS, MINE, version="21"))
    remembered = Memory()
    assert await merging.ensure(make_es(), DESIRED, remembered, cached(THEIRS)) is True
    (sent,) = client.sent
    assert (sent.method, sent.path, sent.manager, sent.force) == ("PATCH", PATH, ME, False)
    assert sent.version == "secret-uid/20"
    assert set(sent.body) == {"apiVersion", "kind", "metadata", "data"}
    assert set(sent.body["metadata"]) == {"namespace", "name", "uid", "resourceVersion"}
    assert sent.body["data"] == {"password": b64encode(b"v").decode()}
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "21"


async def test_what_the_cache_does_not_have_is_asked_for(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS), secret(THEIRS, MINE, version="21"))
    assert await merging.ensure(make_es(), DESIRED, Memory(), None) is True
    assert client.methods == ["GET", "PATCH"]


async def test_an_apply_that_changes_nothing_is_no_change(make_es: MakeES) -> None:
    # After a restart, say (A9).
    merging, client = writing(secret(THEIRS, MINE))
    assert await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS, MINE)) is False
    assert client.methods == ["PATCH"]


async def test_A8_what_is_right_is_not_written(make_es: MakeES) -> None:
    merging, client = writing()
    current = cached(THEIRS, MINE)
    assert await merging.ensure(make_es(), DESIRED, memory(), current) is False
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
        # S16: the cache has not caught up with our write.
        ([THEIRS], {"version": "21"}, True),
    ],
)
async def test_what_is_right(
    make_es: MakeES, entries: list[dict[str, Any]], remembered: dict[str, Any], *, right: bool
) -> None:
    merging, _ = writing()
    given = memory(**remembered)
    assert merging.is_right(make_es(), DESIRED, given, cached(*entries)) is right


async def test_W15_a_cache_that_is_behind_for_long_is_believed(make_es: MakeES) -> None:
    merging, _ = writing()
    given = memory("21")
    assert merging.is_right(make_es(), DESIRED, given, cached(THEIRS))
    assert merging.is_right(make_es(), DESIRED, given, None)
    await asyncio.sleep(CATCH_UP + 0.1)
    assert not merging.is_right(make_es(), DESIRED, given, cached(THEIRS))
    assert not merging.is_right(make_es(), DESIRED, given, None)
    assert not merging.is_right(make_es(), DESIRED, Memory(), None)


async def test_without_a_secret_nothing_is_made(make_es: MakeES) -> None:
    merging, client = writing(GONE)
    remembered = memory(fingerprint=b"older")
    refused = await merging.ensure(make_es(), DESIRED, remembered, None)
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.TARGET_MISSING
    assert "Secret ns/some does not exist" in refused.message
    assert client.methods == ["GET"]
    assert remembered.applied is None


async def test_what_changes_meanwhile_is_judged_anew(make_es: MakeES) -> None:
    merging, client = writing(CHANGED, secret(THEIRS, version="25"), secret(MINE, version="26"))
    assert await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS)) is True
    assert client.methods == ["PATCH", "GET", "PATCH"]
    assert client.sent[2].version == "secret-uid/25"


async def test_but_not_for_ever(make_es: MakeES) -> None:
    merging, client = writing(*[CHANGED, secret(THEIRS)] * 8)
    with pytest.raises(ApiUnavailableError, match="changes all the time"):
        await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))
    assert client.methods.count("PATCH") == 4


async def test_it_may_be_gone_by_then(make_es: MakeES) -> None:
    merging, _ = writing(GONE, GONE)
    refused = await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.TARGET_MISSING


async def test_A2_whoever_owns_a_key_with_another_value_keeps_it(make_es: MakeES) -> None:
    owned = secret(managed("kubectl", "password"), managed("argocd-controller", "password"))
    merging, client = writing(CONFLICT, owned)
    remembered = Memory()
    refused = await merging.ensure(make_es(), DESIRED, remembered, cached(THEIRS))
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.KEY_CONFLICT
    assert "argocd-controller, kubectl set another value for password" in refused.message
    assert client.methods == ["PATCH", "GET"]
    assert not any(sent.force for sent in client.sent)
    assert remembered.applied is None


async def test_two_objects_do_not_fight_for_a_key(make_es: MakeES) -> None:
    owned = secret(managed("secret-sync-merge-other", "password", operation="Apply"))
    merging, client = writing(CONFLICT, owned, living=("other",))
    refused = await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))
    assert isinstance(refused, Problem)
    assert "secret-sync-merge-other set another value for password" in refused.message
    assert not any(sent.force for sent in client.sent)


@pytest.mark.parametrize(
    ("owners", "taken"),
    [
        (["secret-sync-merge-gone"], True),
        (["secret-sync-merge-gone", "secret-sync-merge-gone-too"], True),
        (["secret-sync-merge-gone", "kubectl"], False),
        (["secret-sync-merge-gone", "secret-sync-merge-other"], False),
        (["secret-sync"], False),
        # Whoever it was has let go of it meanwhile; that wakes us.
        ([], False),
    ],
)
async def test_what_an_object_left_behind_that_is_gone_is_taken(
    make_es: MakeES, owners: list[str], *, taken: bool
) -> None:
    owned = secret(*(managed(owner, "password", operation="Apply") for owner in owners))
    merging, client = writing(CONFLICT, owned, secret(MINE, version="21"), living=("other",))
    made = await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))
    assert (made is True) is taken
    assert client.methods == (["PATCH", "GET", "PATCH"] if taken else ["PATCH", "GET"])
    assert client.sent[-1].force is taken


LEFT = managed("secret-sync-merge-gone", "password", "more", operation="Apply")


async def test_A2_who_is_gone_does_not_go_on_owning_our_keys(make_es: MakeES) -> None:
    # Of the same value there is no conflict, but leaving the key out later would not delete it.
    merging, client = writing(secret(LEFT, MINE, version="21"), secret(MINE, version="22"))
    remembered = Memory()
    assert await merging.ensure(make_es(), DESIRED, remembered, cached(LEFT)) is True
    _, leave = client.sent
    assert (leave.manager, leave.force) == ("secret-sync-merge-gone", False)
    assert leave.version == "secret-uid/21"
    assert "data" not in leave.body
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "22"


async def test_of_several_each_leaves_the_version_that_the_former_one_made(
    make_es: MakeES,
) -> None:
    too = managed("secret-sync-merge-gone-too", "password", operation="Apply")
    replies = [secret(LEFT, too, MINE, version=str(version)) for version in (21, 22, 23)]
    merging, client = writing(*replies)
    await merging.ensure(make_es(), DESIRED, Memory(), cached(LEFT, too))
    assert [sent.version for sent in client.sent] == [f"secret-uid/{n}" for n in (20, 21, 22)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(managed("secret-sync-merge-other", "password", operation="Apply"), id="there"),
        pytest.param(managed("secret-sync-merge-gone", "x", operation="Apply"), id="other keys"),
        pytest.param(managed("kubectl", "password"), id="somebody else"),
    ],
)
async def test_others_keep_what_they_own(make_es: MakeES, other: dict[str, Any]) -> None:
    merging, client = writing(secret(other, MINE, version="21"), living=("other",))
    assert await merging.ensure(make_es(), DESIRED, Memory(), cached(other)) is True
    assert len(client.sent) == 1


async def test_a_secret_of_another_external_secret_is_no_place_to_merge_into(
    make_es: MakeES,
) -> None:
    theirs = managed("secret-sync", "username", operation="Apply", mark=True)
    merging, client = writing()
    current = cached(theirs, mark="other/other-uid")
    refused = await merging.ensure(make_es(), DESIRED, Memory(), current)
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.SECRET_CONFLICT
    assert "belongs to ExternalSecret other" in refused.message
    assert not client.sent


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        (
            ApiError("no", status=422, causes=(Cause("data", "FieldValueForbidden"),)),
            Reason.WRITE_FAILED,
            "it is immutable",
        ),
        (
            ApiError('User "me" cannot patch resource "secrets"', status=403),
            Reason.WRITE_FORBIDDEN,
            "see its RBAC rules",
        ),
        (ApiError("a webhook says no", status=403), Reason.WRITE_FORBIDDEN, "a webhook says no"),
        (ApiError("too much", status=413), Reason.WRITE_FAILED, "refused it: too much"),
    ],
)
async def test_refusals(make_es: MakeES, fault: ApiError, reason: Reason, said: str) -> None:
    merging, _ = writing(fault)
    refused = await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))
    assert isinstance(refused, Problem)
    assert refused.reason is reason
    assert refused.message.startswith("Secret ns/some was not written")
    assert said in refused.message


async def test_an_api_server_that_is_away_is_no_refusal(make_es: MakeES) -> None:
    merging, _ = writing(ApiUnavailableError("away", status=503))
    with pytest.raises(ApiUnavailableError):
        await merging.ensure(make_es(), DESIRED, Memory(), cached(THEIRS))


async def test_a_secret_of_its_own_becomes_one_to_merge_into(make_es: MakeES) -> None:
    merging, client = writing(secret(MINE, version="21"))
    ref = Ref("ns", "some", "secret-uid", "20")
    remembered = Memory()
    await merging.take(make_es(type="example.org/t"), DESIRED, remembered, ref)
    (sent,) = client.sent
    # By force: the keys are still owned by our other manager, with the older value perhaps.
    assert (sent.manager, sent.force, sent.version) == (ME, True, "secret-uid/20")
    assert sent.body["type"] == "example.org/t"
    assert remembered.written == b"wanted"


async def test_keys_are_taken_out_of_a_secret_that_is_no_target_any_more(make_es: MakeES) -> None:
    merging, client = writing(secret(THEIRS, version="21"), CHANGED)
    former = secret_from_metadata(secret(THEIRS, MINE, name="former"))
    assert isinstance(former, ManagedSecret)
    await merging.leave("es-uid", former, ConfirmedOwner("ns", "some", "es-uid"))
    (sent,) = client.sent
    assert sent.path == "/api/v1/namespaces/ns/secrets/former"
    # A3: nothing is wanted of it, so what is ours goes.
    assert (sent.manager, sent.force) == (ME, False)
    assert set(sent.body) == {"apiVersion", "kind", "metadata"}
    assert sent.version == "secret-uid/20"
    with pytest.raises(OutdatedError):
        await merging.leave("es-uid", former, ConfirmedOwner("ns", "some", "es-uid"))
