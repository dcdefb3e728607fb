"""Outdated CRDs: nothing that is read of their objects can be trusted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from secret_sync.controller import kinds
from secret_sync.controller.crd_schema import (
    OUR_DEFINITIONS,
    SchemaReconciler,
    Schemas,
    definition_of,
    read_missing,
)
from secret_sync.kube import (
    ApiError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
    Resource,
)
from secret_sync.queue import Done, RequeueAfter, Retry
from secret_sync.resources import Condition, Reason
from secret_sync.resources.schema import FIELDS
from tests.unit.controller.fakes import PlayedClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret, SecretStore

    MakeES = Callable[..., ExternalSecret]
    MakeStore = Callable[..., SecretStore]

NAME = "externalsecrets.alibabacloud.com"
STORES = "secretstores.alibabacloud.com"
SHARED = "clustersecretstores.alibabacloud.com"
CLUSTER = "clusterexternalsecrets.alibabacloud.com"


def crd(*fields: str, name: str = NAME) -> dict[str, Any]:
    """A CRD whose spec keeps everything, or has only these fields."""
    anything = {"x-kubernetes-preserve-unknown-fields": True}
    spec = {"properties": dict.fromkeys(fields, anything)} if fields else anything
    schema = {"properties": {"spec": spec, "status": anything}}
    version = {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": name, "uid": "u", "resourceVersion": "1"},
        "spec": {"versions": [version]},
    }


def test_each_kind_has_its_definition() -> None:
    assert set(OUR_DEFINITIONS) == FIELDS.keys() == {NAME, STORES, SHARED, CLUSTER}
    assert definition_of(Resource("example.org", "v1", "things", "Thing")) == "things.example.org"


# -- What is known ------------------------------------------------------------------------


def test_unknown_schema_is_trusted(make_es: MakeES, make_store: MakeStore) -> None:
    schemas = Schemas()
    assert schemas.refusal(make_es()) is None
    assert schemas.store_refusal(make_store()) is None
    assert schemas.missing == 0


def test_only_a_difference_is_reported() -> None:
    schemas = Schemas()
    assert schemas.put(NAME, ()) is False
    assert schemas.put(NAME, ("spec.target",)) is True
    assert schemas.put(NAME, ("spec.target",)) is False
    assert schemas.put(STORES, ("spec.OOS", "status.conditions")) is True
    assert schemas.missing == 3
    assert schemas.put(NAME, ()) is True
    assert schemas.missing == 2


def test_missing_fields_are_named_with_what_to_do(make_es: MakeES) -> None:
    schemas = Schemas()
    schemas.put(NAME, ("spec.target", "spec.refreshPolicy"))
    problem = schemas.refusal(make_es())
    assert problem is not None
    assert problem.reason is Reason.CRD_OUTDATED
    assert f"the CRD {NAME} lacks spec.target, spec.refreshPolicy: " in problem.message
    assert "nothing is written or deleted meanwhile" in problem.message
    assert "crds | kubectl apply --server-side -f - --force-conflicts" in problem.message


@pytest.mark.parametrize(
    ("number", "said"),
    [(5, "spec.f3, spec.f4: "), (6, "spec.f4 and 1 more: "), (40, "and 35 more")],
)
def test_of_many_a_few_are_named(make_es: MakeES, number: int, said: str) -> None:
    schemas = Schemas()
    schemas.put(NAME, tuple(f"spec.f{n}" for n in range(number)))
    problem = schemas.refusal(make_es())
    assert problem is not None
    assert said in problem.message


def test_the_objects_own_kind_is_named_before_that_of_its_stores(make_es: MakeES) -> None:
    schemas = Schemas()
    schemas.put(STORES, ("spec.OOS",))
    problem = schemas.refusal(make_es())
    assert problem is not None
    assert STORES in problem.message
    schemas.put(NAME, ("spec.target",))
    problem = schemas.refusal(make_es())
    assert problem is not None
    assert NAME in problem.message


@pytest.mark.parametrize(
    ("outdated", "fields", "namespaced", "refused"),
    [
        (STORES, ("spec.OOS",), True, True),
        (STORES, ("spec.OOS",), False, False),
        (SHARED, ("spec.conditions",), False, True),
        (SHARED, ("spec.conditions",), True, False),
        (STORES, ("status.capabilities",), True, False),
        (NAME, ("spec.target",), True, False),
    ],
)
def test_stores_of_either_kind(
    make_store: MakeStore,
    outdated: str,
    fields: tuple[str, ...],
    *,
    namespaced: bool,
    refused: bool,
) -> None:
    schemas = Schemas()
    schemas.put(outdated, fields)
    store = make_store() if namespaced else make_store(namespace="")
    problem = schemas.store_refusal(store)
    assert (problem and problem.reason) is (Reason.CRD_OUTDATED if refused else None)


# -- The loop -----------------------------------------------------------------------------


class SchemaHarness:
    """A loop whose deeds are logged, each with the number of fields that were missing then."""

    def __init__(self, *answers: Any) -> None:
        self.client = PlayedClient(*answers)
        self.schemas = Schemas()
        self.held: list[Any] = []
        self.log: list[tuple[str, bool]] = []
        client: Any = self.client
        self.loop = SchemaReconciler(
            client, self.schemas, lambda _: self.held, self._relist, self._enqueue
        )

    async def _relist(self, name: str) -> None:
        self.log.append((f"relist {name}", self.schemas.missing > 0))

    def _enqueue(self) -> None:
        self.log.append(("wake", self.schemas.missing > 0))

    async def reconcile(self, name: str = NAME) -> Outcome:
        return await self.loop.reconcile(name)


def test_status_is_written_without_the_fields_missing_from_the_crd() -> None:
    schemas = Schemas()
    status = {"conditions": [], "observedForceSync": "monday"}
    assert schemas.storable(kinds.EXTERNAL_SECRETS, status) == status
    schemas.put(definition_of(kinds.EXTERNAL_SECRETS), ("status.observedForceSync",))
    assert schemas.storable(kinds.EXTERNAL_SECRETS, status) == {"conditions": []}
    assert schemas.storable(kinds.SECRET_STORES, status) == status


async def test_changed_definition_enqueues_everything() -> None:
    harness = SchemaHarness(crd(), crd("data"), crd("data"), crd("data", "target"))
    assert await harness.reconcile() == Done()
    assert harness.log == []
    assert await harness.reconcile() == Done()
    assert harness.log == [("wake", True)]
    # Touched, but it lacks the same.
    assert await harness.reconcile() == Done()
    assert harness.log == [("wake", True)]
    # Something else.
    assert await harness.reconcile() == Done()
    assert harness.log == [("wake", True)] * 2
    assert harness.client.sent[0].path == (
        f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}"
    )


@pytest.mark.looptime
async def test_objects_of_a_fixed_definition_are_read_again_before_they_are_trusted() -> None:
    # Those held were read through the old schema, and no version of theirs has moved.
    harness = SchemaHarness(crd("data"), crd(), crd())
    for _ in range(3):
        assert await harness.reconcile() == Done()
    assert harness.log == [("wake", True), (f"relist {NAME}", True), ("wake", False)]
    # The API server takes a moment to read by the new one.
    assert asyncio.get_running_loop().time() >= 2.0


async def test_definitions_of_others_are_not_read() -> None:
    harness = SchemaHarness()
    assert await harness.reconcile("things.alibabacloud.com") == Done()
    assert not harness.client.sent


async def test_deleted_definition_changes_nothing() -> None:
    harness = SchemaHarness(crd("data"), ApiNotFoundError("gone", status=404))
    await harness.reconcile()
    missing = harness.schemas.missing
    assert await harness.reconcile() == Done()
    assert harness.schemas.missing == missing
    assert harness.log == [("wake", True)]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (ApiUnavailableError("away", status=503), Retry()),
        (ApiUnavailableError("busy", status=429, retry_after=20.0), Retry(after=20.0)),
        (ApiRefusedError("no such right", status=403), RequeueAfter(300.0)),
    ],
)
async def test_unreadable_definition_is_read_again(fault: ApiError, outcome: Outcome) -> None:
    harness = SchemaHarness(fault)
    assert await harness.reconcile() == outcome
    assert harness.schemas.missing == 0
    assert harness.log == []


async def test_at_start_definitions_are_read_one_by_one() -> None:
    client: Any = PlayedClient(
        crd(),
        crd("data"),
        crd(name="things.alibabacloud.com"),
        ApiNotFoundError("gone", status=404),
        ApiRefusedError("no such right", status=403),
    )
    assert await read_missing(client, NAME) == ()
    missing = await read_missing(client, NAME)
    assert missing
    assert "spec.target" in missing
    assert "spec.data" not in missing
    assert await read_missing(client, "things.alibabacloud.com") == ()
    assert await read_missing(client, NAME) is None
    with pytest.raises(ApiError):
        await read_missing(client, NAME)


# -- What was written through an outdated CRD ---------------------------------------------


def reported(es: Any, *, generation: int = 1) -> Any:
    """The object with the condition that its CRD is outdated."""
    ready = Condition("Ready", "Unknown", "CRDOutdated", "", "", generation)
    return replace(es, status=replace(es.status, ready=ready))


def fixed(*objects: Any) -> Schemas:
    """The CRD lacked fields for a while; what these objects said before is known."""
    schemas = Schemas()
    schemas.note(objects)
    schemas.put(NAME, ("spec.target",))
    schemas.put(NAME, ())
    return schemas


def test_an_object_that_says_less_than_before_is_not_believed(make_es: MakeES) -> None:
    # Our own status write has made the API server store it without its target.
    before = make_es(target={"deletionPolicy": "Retain"})
    schemas = fixed(before)
    problem = schemas.refusal(reported(make_es()))
    assert problem is not None
    assert problem.reason is Reason.CRD_OUTDATED
    assert "apply it again" in problem.message


def test_an_object_that_says_what_it_said_is_believed(make_es: MakeES) -> None:
    schemas = fixed(make_es())
    assert schemas.refusal(reported(make_es())) is None


def test_an_object_that_was_edited_since_is_believed(make_es: MakeES) -> None:
    schemas = fixed(make_es(target={"deletionPolicy": "Retain"}))
    edited = make_es(metadata={"generation": 2})
    assert schemas.refusal(reported(edited, generation=1)) is None


def test_after_a_restart_nothing_is_known_of_before_and_its_author_has_the_word(
    make_es: MakeES,
) -> None:
    schemas = Schemas()
    assert schemas.refusal(reported(make_es())) is not None
    word = {"secret-sync.alibabacloud.com/force-sync": "it is whole"}
    assert schemas.refusal(reported(make_es(metadata={"annotations": word}))) is None


def test_status_before_the_first_write_is_noted(make_es: MakeES) -> None:
    schemas = Schemas()
    schemas.note([make_es(target={"deletionPolicy": "Retain"})])
    schemas.note([reported(make_es())])
    assert schemas.refusal(reported(make_es())) is not None


def test_the_same_goes_for_a_store(make_store: MakeStore) -> None:
    schemas = fixed(make_store())
    assert schemas.store_refusal(reported(make_store())) is None
    problem = schemas.store_refusal(reported(make_store(auth={})))
    assert problem is not None
    assert problem.reason is Reason.CRD_OUTDATED
