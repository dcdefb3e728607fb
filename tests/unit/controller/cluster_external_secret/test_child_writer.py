"""A child is deleted or adopted only if the API server confirms all that this follows from."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.controller.cluster_external_secret.children import ChildDecision, ChildStep
from secret_sync.controller.cluster_external_secret.state import REPAIRS, ClusterState
from secret_sync.controller.cluster_external_secret.writer import (
    ChangedByOthersError,
    ChildWriter,
)
from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.kube import ApiNotFoundError, ApplyWriter
from secret_sync.resources.schema import FIELDS
from tests.unit.controller.cluster_external_secret.conftest import (
    ces_of,
    child_of,
    namespace_named,
)

pytestmark = pytest.mark.looptime

LABELLED = [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]
CES = ces_of(conditions=LABELLED)
CHILD = child_of(CES)
DEFINITION = "clusterexternalsecrets.alibabacloud.com"


def stored(**changed: Any) -> dict[str, Any]:
    """What the API server has: all as in the caches, but for what is given."""
    version = {"name": "v1alpha1", "served": True, "schema": {}}
    definition = {"metadata": meta(DEFINITION), "spec": {"versions": [version]}}
    return {
        "customresourcedefinitions": definition,
        "clusterexternalsecrets": {"metadata": {**meta("some", "ces-uid"), "generation": 1}},
        "namespaces": {"metadata": {**meta("ns"), "labels": {}}},
        "externalsecrets": {"metadata": {**meta("new", "new-uid"), "namespace": "ns"}},
        **changed,
    }


def meta(name: str, uid: str = "u") -> dict[str, Any]:
    return {"name": name, "uid": uid, "resourceVersion": "1"}


class StoredObjects:
    """An API server with one object of each kind, which answers writes with the last of them."""

    def __init__(self, **changed: Any) -> None:
        self.objects = stored(**changed)
        self.writes: list[tuple[str, Any]] = []
        self.reply: dict[str, Any] = {"metadata": meta("some"), "spec": {}}

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        if method != "GET":
            self.writes.append((method, body))
            return self.reply
        parts = path.split("/")
        found = self.objects[parts[-2]]
        if found is None:
            raise ApiNotFoundError("gone", status=404)
        return found


async def take(client: Any, step: ChildStep, child: Any = CHILD, successor: Any = None) -> None:
    writer = ChildWriter(client, ApplyWriter(client, "secret-sync"))
    decision = ChildDecision(step, child, child=successor)
    await writer.take(CES, namespace_named("ns"), decision, ClusterState())


def crd_without(field: str) -> dict[str, Any]:
    """A definition that has all of our fields but one."""
    schema: dict[str, Any] = {"properties": {}}
    for path in FIELDS[DEFINITION]:
        if path == field:
            continue
        below = schema
        for part in path.replace("[]", ".[]").split("."):
            if part == "[]":
                below = below.setdefault("items", {"properties": {}})
            else:
                below = below.setdefault("properties", {}).setdefault(part, {})
    version = {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": schema}}
    return {"metadata": meta(DEFINITION), "spec": {"versions": [version]}}


async def test_a_confirmed_child_is_deleted_in_its_version() -> None:
    client = StoredObjects()
    await take(client, ChildStep.DELETE)
    ((method, body),) = client.writes
    assert method == "DELETE"
    assert body["preconditions"] == {"uid": "some-uid", "resourceVersion": "7"}


CHANGES: dict[str, dict[str, Any]] = {
    "the object has changed": {
        "clusterexternalsecrets": {"metadata": {**meta("some", "ces-uid"), "generation": 2}}
    },
    "the object is another one": {
        "clusterexternalsecrets": {"metadata": {**meta("some", "new"), "generation": 1}}
    },
    "the object is being deleted": {
        "clusterexternalsecrets": {
            "metadata": {**meta("some", "ces-uid"), "generation": 1, "deletionTimestamp": "now"}
        }
    },
    "the object is gone": {"clusterexternalsecrets": None},
    "the namespace is selected again": {
        "namespaces": {"metadata": {**meta("ns"), "labels": {"team": "a"}}}
    },
    "the namespace is being deleted": {
        "namespaces": {"metadata": {**meta("ns"), "deletionTimestamp": "now"}}
    },
    "the namespace is gone": {"namespaces": None},
    "the definition is outdated": {
        "customresourcedefinitions": crd_without("spec.conditions[].namespaceRegexes")
    },
    "the definition is gone": {"customresourcedefinitions": None},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_child_is_not_deleted_if(change: str) -> None:
    client = StoredObjects(**CHANGES[change])
    with pytest.raises(OwnerChangedError):
        await take(client, ChildStep.DELETE)
    assert client.writes == []


async def test_child_is_deleted_although_the_definition_lacks_a_field_of_the_status() -> None:
    client = StoredObjects(customresourcedefinitions=crd_without("status.failedNamespaces"))
    await take(client, ChildStep.DELETE)
    assert [method for method, _ in client.writes] == ["DELETE"]


@pytest.mark.parametrize(
    "found",
    [
        None,
        {"metadata": meta("new", "another-uid")},
        {"metadata": {**meta("new", "new-uid"), "deletionTimestamp": "now"}},
    ],
)
async def test_former_child_is_not_deleted_without_the_new_one(found: Any) -> None:
    successor = child_of(CES, name="new", ready=True)
    client = StoredObjects(externalsecrets=found)
    with pytest.raises(OwnerChangedError):
        await take(client, ChildStep.DELETE, CHILD, successor)
    assert client.writes == []
    client = StoredObjects()
    await take(client, ChildStep.DELETE, CHILD, successor)
    assert [method for method, _ in client.writes] == ["DELETE"]


async def test_nothing_is_adopted_for_an_object_that_has_changed() -> None:
    client = StoredObjects(**CHANGES["the object is being deleted"])
    with pytest.raises(OwnerChangedError):
        await take(client, ChildStep.ADOPT)
    assert client.writes == []
    client = StoredObjects()
    await take(client, ChildStep.ADOPT)
    assert [method for method, _ in client.writes] == ["PATCH"]


async def test_additions_of_others_are_removed_in_the_version_that_the_apply_made() -> None:
    client = StoredObjects()
    marks = {"secret-sync.alibabacloud.com/replaced-by": "x", "theirs": "y"}
    metadata = {**meta("some"), "resourceVersion": "8", "annotations": marks}
    client.reply = {"metadata": metadata, "spec": {"data": [], "type": "x"}}
    await take(client, ChildStep.APPLY)
    (_, applied), (_, merged) = client.writes
    assert applied["metadata"]["resourceVersion"] == "7"
    assert merged == {
        "spec": {"type": None},
        "metadata": {
            "annotations": {"secret-sync.alibabacloud.com/replaced-by": None},
            "uid": "some-uid",
            "resourceVersion": "8",
        },
    }


async def test_writer_that_keeps_changing_a_child_is_met_slowly() -> None:
    client: Any = StoredObjects()
    writer, state = ChildWriter(client, ApplyWriter(client, "secret-sync")), ClusterState()
    decision = ChildDecision(ChildStep.APPLY, CHILD)
    for _ in range(REPAIRS):
        await writer.take(CES, namespace_named("ns"), decision, state)
    with pytest.raises(ChangedByOthersError) as caught:
        await writer.take(CES, namespace_named("ns"), decision, state)
    assert 50 < caught.value.again_after <= 60
    # Another template is no repair.
    other = ces_of(conditions=LABELLED, externalSecretSpec={"data": [{"key": "other"}]})
    await writer.take(other, namespace_named("ns"), decision, state)
    state.sweep(frozenset(), 1e9)
    await writer.take(CES, namespace_named("ns"), decision, state)
