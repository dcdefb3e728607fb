"""Writing the Secret: decided again before each write, and never against its owner's will."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller.confirmation import OwnerGoneError
from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.controller.sync import Changed, Refused
from secret_sync.kube import ApiNotFoundError, OutdatedError, Store
from tests.unit.controller.writing import secret_writer, sync_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.secret_target.writer import SecretWriter
    from secret_sync.kube import Ref, Resource
    from secret_sync.resources import ExternalSecret, SecretMeta

    MakeES = Callable[..., ExternalSecret]
    MakeSecret = Callable[..., SecretMeta]

KEY = "ns/some"
DESIRED = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())


@dataclass
class PlayedSecretApi:
    """Answers with what it was told to hold; one Secret, one ExternalSecret."""

    owner: dict[str, Any] | None = field(default_factory=lambda: {"uid": "es-uid", "generation": 1})
    secret: dict[str, Any] | None = None
    version: str = "20"
    extra: tuple[str, ...] = ()
    writes: list[str] = field(default_factory=list)

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        assert method == "GET"
        held = self.owner if "/externalsecrets/" in path else self.secret
        if held is None:
            raise ApiNotFoundError("gone", status=404)
        return {"metadata": held}

    async def create(self, _resource: Resource, _intent: dict[str, Any]) -> dict[str, Any]:
        return self._written("create")

    async def update(
        self, _resource: Resource, _intent: dict[str, Any], ref: Ref, *, force: bool
    ) -> dict[str, Any]:
        assert force
        if ref.resource_version != self.version:
            raise OutdatedError("changed since", status=409)
        return self._written("update")

    async def set_data(
        self, _resource: Resource, _ref: Ref, data: dict[str, str], _owner: object
    ) -> dict[str, Any]:
        return self._written(f"nothing but {', '.join(data)}")

    def _written(self, how: str) -> dict[str, Any]:
        self.writes.append(how)
        ours: dict[str, Any] = {"f:data": {"f:password": {}}}
        theirs: dict[str, Any] = {"f:data": {f"f:{key}": {} for key in self.extra}}
        return {
            "metadata": {
                "namespace": "ns",
                "name": "some",
                "uid": "secret-uid",
                "resourceVersion": "31",
                "managedFields": [
                    {"manager": "secret-sync", "operation": "Apply", "fieldsV1": ours},
                    {"manager": "kubectl-replace", "operation": "Update", "fieldsV1": theirs},
                ],
            }
        }


@dataclass
class PlayedWriterHarness:
    api: PlayedSecretApi
    objects: Store[ExternalSecret]
    secrets: Store[SecretMeta]
    writer: SecretWriter


@pytest.fixture
def harness(make_es: MakeES, make_secret: MakeSecret) -> PlayedWriterHarness:
    """With an ExternalSecret and its Secret, as the informers have them."""
    api, objects, secrets = PlayedSecretApi(), Store[Any](INDEXES), Store[Any]()
    objects.put(KEY, make_es())
    secrets.put(KEY, make_secret())
    played: Any = api
    writer = secret_writer(SecretClient(played, played, objects, secrets))
    return PlayedWriterHarness(api, objects, secrets, writer)


def state(version: str = "20", fingerprint: bytes = b"wanted") -> SyncState:
    return SyncState(
        uid="es-uid", applied=Applied(fingerprint, "secret-uid", version, 0.0), written=fingerprint
    )


async def test_an_owner_reference_that_is_missing_is_put_back(
    harness: PlayedWriterHarness, make_es: MakeES, make_secret: MakeSecret
) -> None:
    harness.secrets.put(KEY, make_secret(owners=()))
    assert isinstance(await harness.writer.ensure(sync_of(make_es(), state()), DESIRED), Changed)
    assert harness.api.writes == ["update"]


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param({"uid": "es-uid", "deletionTimestamp": "now"}, id="being orphaned"),
        pytest.param({"uid": "another"}, id="another one of that name"),
        pytest.param(None, id="gone"),
    ],
)
async def test_owner_reference_is_not_put_back_for_a_deleted_owner(
    harness: PlayedWriterHarness,
    make_es: MakeES,
    make_secret: MakeSecret,
    owner: dict[str, Any] | None,
) -> None:
    # kubectl delete --cascade=orphan: the garbage collector took the reference away, and would
    # delete a Secret that refers to an owner which is gone. The informer has not heard yet.
    harness.secrets.put(KEY, make_secret(owners=()))
    harness.api.owner = owner
    with pytest.raises(OwnerGoneError):
        await harness.writer.ensure(sync_of(make_es(), state()), DESIRED)
    assert not harness.api.writes


async def test_owner_reference_is_not_put_back_after_a_conflict_with_the_orphaning(
    harness: PlayedWriterHarness, make_es: MakeES
) -> None:
    # The cache has the reference; a write by its version is refused, and the read has not.
    harness.api.secret = {**METADATA_OF_OURS, "ownerReferences": []}
    harness.api.version = "30"
    harness.api.owner = {"uid": "es-uid", "deletionTimestamp": "now"}
    with pytest.raises(OwnerGoneError):
        await harness.writer.ensure(sync_of(make_es(), state(fingerprint=b"older")), DESIRED)
    assert not harness.api.writes


@pytest.mark.parametrize("change", ["gone", "deleting", "another"])
async def test_nothing_is_written_for_an_owner_that_is_deleted_meanwhile(
    harness: PlayedWriterHarness, make_es: MakeES, change: str
) -> None:
    es = make_es()
    if change == "gone":
        harness.objects.remove(KEY)
    elif change == "deleting":
        harness.objects.put(KEY, replace(es, deleting=True))
    else:
        harness.objects.put(KEY, replace(es, uid="another"))
    harness.secrets.remove(KEY)
    with pytest.raises(OwnerGoneError):
        await harness.writer.ensure(sync_of(es, SyncState(uid="es-uid")), DESIRED)
    assert not harness.api.writes


METADATA_OF_OURS: dict[str, Any] = {
    "namespace": "ns",
    "name": "some",
    "uid": "secret-uid",
    "resourceVersion": "30",
    "ownerReferences": [{"uid": "es-uid"}],
    "managedFields": [
        {
            "manager": "kubectl-replace",
            "operation": "Update",
            "fieldsV1": {"f:data": {"f:password": {}}},
        }
    ],
}


async def test_a_secret_of_ours_stays_ours_when_a_stale_cache_hid_that_its_marks_are_gone(
    harness: PlayedWriterHarness, make_es: MakeES
) -> None:
    harness.api.secret = {**METADATA_OF_OURS, "ownerReferences": []}
    harness.api.version = "30"
    harness.api.extra = ("extra",)
    remembered = state(fingerprint=b"older")
    assert isinstance(await harness.writer.ensure(sync_of(make_es(), remembered), DESIRED), Changed)
    assert harness.api.writes == ["update", "nothing but password"]
    assert remembered.applied is not None
    assert remembered.applied.resource_version == "31"


async def test_a_secret_that_went_and_came_again_is_not_ours(
    harness: PlayedWriterHarness, make_es: MakeES
) -> None:
    harness.api.secret = {**METADATA_OF_OURS, "uid": "theirs", "ownerReferences": []}
    harness.api.version = "30"
    refused = await harness.writer.ensure(sync_of(make_es(), state(fingerprint=b"older")), DESIRED)
    assert isinstance(refused, Refused)
    assert refused.problem.reason == "SecretConflict"


async def test_deleted_secret_is_created_again(
    harness: PlayedWriterHarness, make_es: MakeES
) -> None:
    harness.api.version = "30"
    assert isinstance(
        await harness.writer.ensure(sync_of(make_es(), state(fingerprint=b"older")), DESIRED),
        Changed,
    )
    assert harness.api.writes == ["create"]


@pytest.mark.parametrize(
    ("secret", "drifted"),
    [
        ({}, False),
        ({"others": ("password",)}, False),
        (None, True),
        ({"ours": ()}, True),
        ({"others": ("extra",)}, True),
        ({"mark": ""}, True),
        ({"owners": ()}, True),
        ({"deletionTimestamp": "now"}, True),
    ],
)
def test_restart_enqueues_an_out_of_sync_secret_with_high_priority(
    harness: PlayedWriterHarness,
    make_es: MakeES,
    make_secret: MakeSecret,
    secret: dict[str, Any] | None,
    drifted: bool,  # noqa: FBT001 (of the table above)
) -> None:
    if secret is None:
        harness.secrets.remove(KEY)
    else:
        harness.secrets.put(KEY, make_secret(**secret))
    assert harness.writer.has_drifted(sync_of(make_es(), SyncState(uid="es-uid"))) is drifted
    # What was written since the start is compared with what is remembered of it.
    assert not harness.writer.has_drifted(sync_of(make_es(), state()))
