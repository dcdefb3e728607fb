"""What is deleted: only what is this very ExternalSecret's, by uid and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.cleanup import BY_WRITER, SecretCleanup, writers_of
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.kube import (
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ApiRefusedError,
    ApplyWriter,
    OutdatedError,
    Store,
)
from secret_sync.resources import ExternalSecret, secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.writing import merge_writer, sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import SecretMeta
    from tests.unit.controller.fakes import SentRequest

    MakeES = Callable[..., ExternalSecret]

LEGACY = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}
ADOPT = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
OURS = managed("secret-sync", "password", operation="Apply", mark=True)
MERGED = managed("secret-sync-merge-es-uid", "password", operation="Apply")
THEIRS = managed("ack-secret-manager", "password")
CHANGED = ApiConflictError("changed", status=409)
DELETED: dict[str, Any] = {}


def removing(
    *answers: Any, held: tuple[dict[str, Any], ...] = ()
) -> tuple[SecretCleanup, PlayedClient]:
    client: Any = PlayedClient(*answers)
    secrets: Store[SecretMeta] = Store({BY_WRITER: writers_of})
    for given in held:
        found = secret_from_metadata(given)
        secrets.put(f"{found.namespace}/{found.name}", found)
    objects: Store[ExternalSecret] = Store(INDEXES)
    writer = ApplyWriter(client, "secret-sync")
    made = SecretClient(client, writer, objects, secrets)
    return SecretCleanup(made, merge_writer(made)), client


def stored(metadata: dict[str, Any], target: dict[str, Any] | None = None) -> dict[str, Any]:
    """An ExternalSecret as the API server has it."""
    where = {"namespace": "ns", "name": "some", "uid": "es-uid", "resourceVersion": "10"}
    return {"metadata": {**where, **metadata}, "spec": {"target": target or {}}}


def own(name: str = "some", **more: Any) -> dict[str, Any]:
    return secret(OURS, mark="some/es-uid", name=name, **more)


def deletion(sent: SentRequest) -> tuple[str, str]:
    """Which Secret, and in what version."""
    assert sent.method == "DELETE"
    return sent.path.rpartition("/")[2], sent.version


@pytest.mark.parametrize(
    ("given", "uids"),
    [
        (own(), {"es-uid"}),
        (secret(MERGED), {"es-uid"}),
        (
            secret(MERGED, managed("secret-sync-merge-other", "a", operation="Apply")),
            {"es-uid", "other"},
        ),
        (
            secret(OURS, managed("secret-sync-merge-other", "a", operation="Apply"), mark="a/b"),
            {"b", "other"},
        ),
        # Its keys are gone, or its mark is a copy.
        (secret(managed("secret-sync-merge-es-uid", operation="Apply")), set()),
        (secret(managed("kubectl", mark=True), mark="some/es-uid"), set()),
        (secret(managed("kubectl", "a")), set()),
    ],
)
def test_writers_of_a_secret(given: dict[str, Any], uids: set[str]) -> None:
    assert set(writers_of(secret_from_metadata(given))) == uids


# -- Former targets -----------------------------------------------------------------------


async def test_the_former_secret_goes_after_a_rename(make_es: MakeES) -> None:
    secret_cleanup, client = removing(DELETED, held=(own("former"), own("target", version="30")))
    assert await secret_cleanup.prune_previous_targets(make_es(target={"name": "target"})) == (
        ("former",),
        False,
    )
    (sent,) = client.sent
    assert deletion(sent) == ("former", "secret-uid/20")


@pytest.mark.parametrize(
    "given",
    [
        secret(MERGED, managed("kubectl", "username"), name="former"),
        # Retained by an older object of that name: not ours to delete.
        secret(OURS, MERGED, mark="some/older", name="former"),
    ],
)
async def test_keys_that_were_merged_are_taken_out_of_the_former_one(
    make_es: MakeES, given: dict[str, Any]
) -> None:
    secret_cleanup, client = removing(secret(name="former", version="21"), held=(given,))
    # It was not deleted, so there is nothing to report.
    assert await secret_cleanup.prune_previous_targets(make_es(target={"name": "target"})) == (
        (),
        False,
    )
    (sent,) = client.sent
    assert (sent.method, sent.manager, sent.force) == (
        "PATCH",
        "secret-sync-merge-es-uid",
        False,
    )
    assert "data" not in sent.body


@pytest.mark.parametrize(
    ("held", "target"),
    [
        pytest.param(own(), {}, id="the target itself"),
        pytest.param(secret(MERGED), {"creationPolicy": "Merge"}, id="the target of a merge"),
        pytest.param(
            own("former", deletionTimestamp="now"), {"name": "target"}, id="on its way already"
        ),
        pytest.param(
            own("former"), {"name": "target", "deletionPolicy": "Retain"}, id="to be retained"
        ),
        pytest.param(
            secret(OURS, mark="some/older", name="former"), {"name": "target"}, id="an older one's"
        ),
        pytest.param(
            secret(OURS, mark="other/other-uid", name="former"),
            {"name": "target"},
            id="another object's",
        ),
        pytest.param(
            secret(managed("kubectl", "a", mark=True), mark="some/es-uid", name="former"),
            {"name": "target"},
            id="a copied mark",
        ),
        pytest.param(
            own(namespace="copies"), {}, id="what a backup tool made of it in another namespace"
        ),
    ],
)
async def test_nothing_else_goes(
    make_es: MakeES, held: dict[str, Any], target: dict[str, Any]
) -> None:
    secret_cleanup, client = removing(held=(held,))
    assert await secret_cleanup.prune_previous_targets(make_es(target=target)) == ((), False)
    assert not client.sent


async def test_previous_target_that_changed_is_left_and_reported(make_es: MakeES) -> None:
    secret_cleanup, client = removing(CHANGED, DELETED, held=(own("a"), own("b")))
    former = await secret_cleanup.prune_previous_targets(make_es(target={"name": "target"}))
    assert len(former.deleted) == 1
    assert former.changed
    assert len(client.sent) == 2


async def test_merged_previous_target_that_changed_is_left_and_reported(make_es: MakeES) -> None:
    secret_cleanup, _ = removing(CHANGED, held=(secret(MERGED, name="former"),))
    assert await secret_cleanup.prune_previous_targets(make_es(target={"name": "target"})) == (
        (),
        True,
    )


async def test_refusal_is_reported(make_es: MakeES) -> None:
    secret_cleanup, _ = removing(ApiRefusedError("no", status=403), held=(own("former"),))
    with pytest.raises(ApiError):
        await secret_cleanup.prune_previous_targets(make_es(target={"name": "target"}))


# -- Values that are gone -----------------------------------------------------------------


async def test_the_secret_goes_with_its_last_value(make_es: MakeES) -> None:
    secret_cleanup, client = removing(DELETED, held=(own(),))
    state = SyncState(uid="es-uid", applied=Applied(b"x", "secret-uid", "20", 0.0), written=b"x")
    assert await secret_cleanup.clean_up(sync_of(make_es(), state)) is True
    assert deletion(client.sent[0]) == ("some", "secret-uid/20")
    assert state.applied is None
    assert state.written is None


@pytest.mark.parametrize(
    ("held", "target"),
    [
        pytest.param((), {}, id="not there"),
        pytest.param((own(),), {"deletionPolicy": "Retain"}, id="to be retained"),
        pytest.param((secret(MERGED),), {"creationPolicy": "Merge"}, id="merged into"),
        pytest.param((own(deletionTimestamp="now"),), {}, id="on its way"),
        pytest.param((secret(OURS, mark="some/older"),), {}, id="an older object's"),
        pytest.param((secret(OURS, mark="other/x"),), {}, id="another object's"),
        pytest.param((secret(THEIRS),), {}, id="not ours"),
    ],
)
async def test_only_its_own(
    make_es: MakeES, held: tuple[dict[str, Any], ...], target: dict[str, Any]
) -> None:
    secret_cleanup, client = removing(held=held)
    assert await secret_cleanup.clean_up(sync_of(make_es(target=target), SyncState())) is False
    assert not client.sent


async def test_secret_that_changed_is_not_cleaned_up(make_es: MakeES) -> None:
    secret_cleanup, _ = removing(CHANGED, held=(own(),))
    state = SyncState(uid="es-uid", applied=Applied(b"x", "secret-uid", "20", 0.0), written=b"x")
    assert await secret_cleanup.clean_up(sync_of(make_es(), state)) is False
    assert state.applied is not None


# -- Objects that go ----------------------------------------------------------------------


def dying(*, metadata: dict[str, Any] | None = None, **target: Any) -> dict[str, Any]:
    """An ExternalSecret with the finalizer that is being deleted, as the API server has it."""
    given = {"uid": "es-uid", "deletionTimestamp": "now", **LEGACY, **(metadata or {})}
    return {
        "metadata": {"namespace": "ns", "name": "some", "resourceVersion": "12", **given},
        "spec": {"data": [{"key": "db"}], "target": target},
    }


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        pytest.param({}, own(), id="ours"),
        pytest.param({}, secret(THEIRS), id="made by ack-secret-manager for it"),
        pytest.param({}, secret(labels={"lastUpdatedAt": "x"}), id="made by 0.5.x for it"),
        pytest.param(ADOPT, secret(THEIRS), id="also where more was asked for"),
    ],
)
async def test_the_secret_of_an_object_that_goes_is_deleted(
    metadata: dict[str, Any], found: dict[str, Any]
) -> None:
    given = dying(metadata=metadata)
    secret_cleanup, client = removing(given, found, DELETED)
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(given))
    # What the cache has may be old, of both.
    asked, look, sent = client.sent
    assert asked.path.endswith("/namespaces/ns/externalsecrets/some")
    assert look.path.endswith("/namespaces/ns/secrets/some")
    assert deletion(sent) == ("some", "secret-uid/20")


@pytest.mark.parametrize(
    ("target", "answers"),
    [
        pytest.param({"deletionPolicy": "Retain"}, [], id="to be retained"),
        pytest.param({"creationPolicy": "Merge"}, [], id="merged into"),
        pytest.param({}, [ApiNotFoundError("gone", status=404)], id="gone"),
        pytest.param({}, [secret(managed("kubectl", "a"))], id="a person's"),
        pytest.param({}, [secret(OURS, mark="some/older")], id="an older object's"),
        pytest.param({}, [secret(OURS, mark="other/x")], id="another object's"),
        pytest.param(
            {},
            [secret(THEIRS, ownerReferences=[{"kind": "A", "name": "a", "controller": True}])],
            id="a controller's",
        ),
        pytest.param({}, [secret(THEIRS, deletionTimestamp="now")], id="on its way"),
    ],
)
async def test_the_rest_stays(target: dict[str, Any], answers: list[Any]) -> None:
    given = dying(**target)
    secret_cleanup, client = removing(given, *answers)
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(given))
    assert client.methods == ["GET"] * (1 + len(answers))


async def test_deletion_policy_is_read_again_with_the_current_schema() -> None:
    # The informer has it as an outdated schema showed it, without its deletionPolicy.
    secret_cleanup, client = removing(dying(deletionPolicy="Retain"))
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(dying()))
    assert client.methods == ["GET"]


async def test_object_that_is_gone_is_not_finalized() -> None:
    secret_cleanup, client = removing(ApiNotFoundError("gone", status=404))
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(dying()))
    assert client.methods == ["GET"]


async def test_another_object_of_that_name_is_not_finalized() -> None:
    # Gone and created again, with what ack-secret-manager, still running, gave the new one.
    living = dying(metadata={"uid": "newer", "deletionTimestamp": None})
    secret_cleanup, client = removing(living, secret(THEIRS), DELETED)
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(dying()))
    assert client.methods == ["GET"]


async def test_secret_of_an_orphaning_deletion_stays() -> None:
    # kubectl delete --cascade=orphan
    given = dying(metadata={"finalizers": [*LEGACY["finalizers"], "orphan"]})
    secret_cleanup, client = removing(given, own(), DELETED)
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(given))
    assert client.methods == ["GET"]


async def test_object_whose_secret_changed_is_not_finalized() -> None:
    # The finalizer stays until it is known.
    secret_cleanup, _ = removing(dying(), own(), CHANGED)
    with pytest.raises(OutdatedError):
        await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(dying()))


async def test_secret_that_was_never_adopted_stays() -> None:
    # A person's Secret, and an object that asked for it but never synced.
    given = dying(metadata=ADOPT)
    secret_cleanup, client = removing(given, secret(managed("kubectl", "password")), DELETED)
    await secret_cleanup.delete_on_finalize(ExternalSecret.from_dict(given))
    assert client.methods == ["GET", "GET"]
