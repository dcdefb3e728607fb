"""``Adoption``: the requests that take a Secret over, and the report where that is refused."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.secret_target.adoption import Adoption
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.sync import Changed, Refused
from secret_sync.kube import (
    ApiConflictError,
    ApiNotFoundError,
    ApiRefusedError,
    ApplyWriter,
    OutdatedError,
    Store,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import Reason, secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.writing import sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.resources import ExternalSecret

    MakeES = Callable[..., ExternalSecret]

PATH = "/api/v1/namespaces/ns/secrets/some"
DESIRED = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())
LEGACY = {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}
ANNOTATION = 'secret-sync.alibabacloud.com/adopt: "true"'
ADOPT = {"annotations": {"secret-sync.alibabacloud.com/adopt": "true"}}
THEIRS = managed("ack-secret-manager", "password", "old")
OURS = managed("secret-sync", "password", operation="Apply", mark=True)
ONLY_OURS = [{"op": "add", "path": "/data", "value": {"password": b64encode(b"v").decode()}}]
BY_STRING_DATA = {
    "manager": "kubectl",
    "operation": "Apply",
    "fieldsV1": {"f:stringData": {"f:password": {}, "f:a": {}}},
}
FROZEN = ApiRefusedError("immutable", status=422, causes=(Cause("type", "FieldValueInvalid"),))


def adoption(client: Any, *others: ExternalSecret) -> Adoption:
    """Beside other ExternalSecrets."""
    writer = ApplyWriter(client, "secret-sync")
    objects: Store[ExternalSecret] = Store()
    for other in others:
        objects.put(f"ns/{other.name}", other)
    return Adoption(SecretClient(client, writer, objects, Store()))


def claims(*answers: Any) -> tuple[Adoption, PlayedClient]:
    client: Any = PlayedClient(*answers)
    return adoption(client), client


async def test_a_secret_of_ack_secret_manager_is_taken_over(make_es: MakeES) -> None:
    es = make_es(metadata=LEGACY)
    ruling, client = claims(
        secret(THEIRS),
        secret(OURS, THEIRS, version="21", mark="some/es-uid"),
        secret(managed("secret-sync", "password", "old", operation="Apply"), version="22"),
        secret(OURS, version="23", mark="some/es-uid"),
    )
    state = SyncState(uid="es-uid")
    assert isinstance(await ruling.adopt(sync_of(es, state), DESIRED, None), Changed)

    look, mark, transfer_field_ownership, apply = client.sent
    assert (look.method, look.path) == ("GET", PATH)
    # The first write has the mark: whatever interrupts the rest, it is ours.
    assert (mark.manager, mark.force, mark.version) == ("secret-sync", True, "secret-uid/20")
    assert mark.body["data"] == {"password": b64encode(b"v").decode()}
    assert mark.body["metadata"]["annotations"] == {
        "secret-sync.alibabacloud.com/owner": "some/es-uid"
    }
    assert [op["path"].rpartition("/")[2] for op in transfer_field_ownership.body] == [
        "uid",
        "resourceVersion",
        "managedFields",
    ]
    assert transfer_field_ownership.body[1]["value"] == "21"
    # What it set and we do not want is omitted from this one.
    assert (apply.version, apply.body["data"]) == ("secret-uid/22", mark.body["data"])
    assert state.applied is not None
    assert (state.applied.resource_version, state.written) == ("23", b"wanted")


async def test_secret_without_legacy_editors_takes_one_write(make_es: MakeES) -> None:
    answers = secret(managed("kubectl", "password")), secret(OURS, version="21")
    ruling, client = claims(*answers)
    assert isinstance(
        await ruling.adopt(sync_of(make_es(metadata=ADOPT), SyncState()), DESIRED, None),
        Changed,
    )
    assert client.methods == ["GET", "PATCH"]


async def test_keys_of_others_go(make_es: MakeES) -> None:
    ruling, client = claims(
        secret(managed("kubectl", "password", "extra", "more")),
        secret(OURS, managed("kubectl", "password", "extra", "more"), version="21"),
        secret(OURS, version="22"),
    )
    state = SyncState()
    assert isinstance(
        await ruling.adopt(sync_of(make_es(metadata=ADOPT), state), DESIRED, None),
        Changed,
    )
    assert client.sent[2].version == "secret-uid/21"
    assert client.sent[2].body[2:] == ONLY_OURS
    assert state.applied is not None
    assert state.applied.resource_version == "22"


@pytest.mark.parametrize(
    ("metadata", "cached", "answers", "said"),
    [
        pytest.param(
            {},
            secret(managed("kubectl", "password")),
            [],
            f"annotate the ExternalSecret with {ANNOTATION} to take it over",
            id="a person's",
        ),
        pytest.param(
            {},
            secret(managed("secret-sync", "a", operation="Apply", mark=True), mark="living/uid"),
            [],
            "belongs to ExternalSecret living, so it was not touched",
            id="another object's",
        ),
        pytest.param(
            {},
            secret(managed("kubectl", mark=True), mark="living/uid"),
            [],
            "belongs to ExternalSecret living, so it was not touched",
            id="another object's, restored",
        ),
        pytest.param(
            {},
            secret(managed("secret-sync", "a", operation="Apply", mark=True), mark="gone/uid"),
            [],
            "was made for ExternalSecret gone, which no longer exists in this namespace, so it was "
            f"not touched; annotate the ExternalSecret with {ANNOTATION} to take it over",
            id="that of an object that is gone",
        ),
        pytest.param(
            {},
            secret(managed("velero-server", mark=True), mark="some/older"),
            [],
            "was made for an ExternalSecret some with another uid, which no longer exists: it most "
            "likely comes from a backup or from another cluster, so it was not touched; "
            f"annotate the ExternalSecret with {ANNOTATION}",
            id="one from a backup",
        ),
        pytest.param(
            {},
            secret(mark="some/es-uid"),
            [],
            "its managedFields were reset, as backup tools do",
            id="its own once",
        ),
        pytest.param(
            ADOPT,
            secret(),
            [secret(deletionTimestamp="now")],
            "is being deleted",
            id="on its way",
        ),
        pytest.param(
            ADOPT,
            secret(),
            [secret(ownerReferences=[{"kind": "Certificate", "name": "c", "controller": True}])],
            "belongs to Certificate c, so it was not touched",
            id="a controller's",
        ),
        pytest.param(
            LEGACY,
            secret(managed("kubectl", "password")),
            [secret(managed("kubectl", "password"))],
            "was not made for this ExternalSecret",
            id="a person's, but with a finalizer",
        ),
    ],
)
async def test_the_rest_is_refused_and_not_touched(
    make_es: MakeES,
    metadata: dict[str, Any],
    cached: dict[str, Any],
    answers: list[Any],
    said: str,
) -> None:
    client: Any = PlayedClient(*answers)
    ruling = adoption(client, make_es(metadata={"name": "living", "uid": "uid"}))
    current = secret_from_metadata(cached)
    state = SyncState()
    refused = await ruling.adopt(sync_of(make_es(metadata=metadata), state), DESIRED, current)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert refused.problem.message.startswith("Secret ns/some ")
    assert said in refused.problem.message
    # Without a claim nobody has to be asked.
    assert client.methods == ["GET"] * len(answers)
    assert state == SyncState()


async def test_type_that_would_need_a_recreation_is_left(make_es: MakeES) -> None:
    ruling, client = claims(secret(THEIRS), FROZEN)
    state = SyncState()
    refused = await ruling.adopt(sync_of(make_es(metadata=LEGACY), state), DESIRED, None)
    assert isinstance(refused, Refused)
    assert refused.problem.reason is Reason.SECRET_CONFLICT
    assert "set spec.type to its type, or delete it" in refused.problem.message
    assert client.methods == ["GET", "PATCH"]
    assert state == SyncState()


@pytest.mark.parametrize(
    ("answers", "ours"),
    [
        ([ApiNotFoundError("gone", status=404)], False),
        ([secret(THEIRS), ApiConflictError("changed", status=409)], False),
        ([secret(THEIRS), secret(OURS, THEIRS), ApiConflictError("changed", status=409)], True),
    ],
    ids=["gone meanwhile", "changed meanwhile", "changed after it was marked"],
)
async def test_secret_changed_meanwhile_is_decided_on_again(
    make_es: MakeES, answers: list[Any], *, ours: bool
) -> None:
    ruling, _ = claims(*answers)
    state = SyncState()
    with pytest.raises(OutdatedError):
        await ruling.adopt(sync_of(make_es(metadata=LEGACY), state), DESIRED, None)
    assert (state.applied is not None) is ours


async def test_a_takeover_that_was_interrupted_is_finished(make_es: MakeES) -> None:
    # After the mark, say: the Secret is ours, and its fields are not.
    ruling, client = claims(
        secret(managed("secret-sync", "password", "old", operation="Apply"), version="22"),
        secret(OURS, version="23"),
    )
    state, es = SyncState(), make_es(metadata=LEGACY)
    reply = await ruling.transfer_field_ownership(
        sync_of(es, state), DESIRED, secret(OURS, THEIRS, version="21")
    )
    assert [sent.method for sent in client.sent] == ["PATCH", "PATCH"]
    assert client.sent[0].body[1]["value"] == "21"
    assert reply["metadata"]["resourceVersion"] == "23"
    assert state.applied is not None
    assert state.applied.resource_version == "23"
    # Once that is done there is nothing more to take.
    assert await ruling.transfer_field_ownership(sync_of(es, state), DESIRED, reply) is reply
    assert len(client.sent) == 2


@pytest.mark.parametrize(
    ("reply", "after", "removed"),
    [
        (secret(OURS), None, 0),
        (secret(OURS, managed("kubectl", "password")), None, 0),
        (secret(OURS, managed("kubectl", "b", "a")), "21", 2),
        # Reduced to three words, since nothing of ours is left in it.
        (secret(managed("kubectl", "a")), None, 0),
        # Which keys that set shows only in whether their removal changes anything.
        (secret(OURS, BY_STRING_DATA), "21", 1),
        (secret(OURS, BY_STRING_DATA), "20", 0),
        (secret(OURS, BY_STRING_DATA, managed("helm", "a", "b")), "21", 2),
    ],
)
async def test_keys_beside_the_desired_ones(
    make_es: MakeES, reply: dict[str, Any], after: str | None, removed: int
) -> None:
    client: Any = PlayedClient(secret(OURS, version=after or ""))
    claims = adoption(client)
    assert (
        await claims.remove_other_keys(sync_of(make_es(), SyncState()), DESIRED, reply) == removed
    )
    assert client.confirmed == (after is not None)
    assert [sent.body[2:] for sent in client.sent] == ([ONLY_OURS] if after else [])
