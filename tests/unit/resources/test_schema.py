"""Which of our fields an installed definition would prune."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from secret_sync.resources.schema import FIELDS, Crd

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[3] / "crds"
EXTERNAL_SECRETS = "externalsecrets.alibabacloud.com"


def definitions() -> dict[str, dict[str, Any]]:
    files = (p for p in CRDS.glob("*.yaml") if p.name != "kustomization.yaml")
    documents = [yaml.safe_load(path.read_text()) for path in files]
    return {document["metadata"]["name"]: document for document in documents}


OURS = definitions()


def schema_of(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of everything that has nothing below it."""
    if "properties" in schema:
        for name, below in schema["properties"].items():
            yield from leaves(below, f"{path}.{name}".lstrip("."))
    elif "properties" in schema.get("items", {}):
        yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path


def read(definition: dict[str, Any]) -> Crd:
    metadata = {"uid": "u", "resourceVersion": "7"} | definition["metadata"]
    crd = Crd.from_dict({**definition, "metadata": metadata})
    assert crd is not None
    return crd


def without(definition: dict[str, Any], path: str) -> dict[str, Any]:
    """The definition with one field, and all below it, taken out of its schema."""
    changed = deepcopy(definition)
    schema = schema_of(changed)
    *parents, last = path.split(".")
    for parent in parents:
        schema = schema["properties"][parent.removesuffix("[]")]
        schema = schema["items"] if parent.endswith("[]") else schema
    del schema["properties"][last]
    return changed


def test_every_definition_of_ours_is_looked_at() -> None:
    assert FIELDS.keys() == OURS.keys()


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_field_of_a_spec_is_in_the_table(name: str) -> None:
    spec = schema_of(OURS[name])["properties"]["spec"]
    assert set(leaves(spec, "spec")) == {f for f in FIELDS[name] if f.startswith("spec.")}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_field_of_a_status_is_in_the_table(name: str) -> None:
    status = schema_of(OURS[name])["properties"]["status"]["properties"]
    assert {f"status.{field}" for field in status} == {
        f for f in FIELDS[name] if f.startswith("status.")
    }


@pytest.mark.parametrize("name", sorted(OURS))
def test_definitions_of_this_package_are_complete(name: str) -> None:
    assert read(OURS[name]) == Crd("", name, "u", "7", missing=())


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name in sorted(FIELDS) for field in FIELDS[name]]
)
def test_a_field_that_is_not_there_is_named(name: str, field: str) -> None:
    assert read(without(OURS[name], field)).missing == (field,)


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("spec.target", ("spec.target",)),
        ("spec.data[].secretStoreRef", ("spec.data[].secretStoreRef",)),
        ("spec.dataProcess", ("spec.dataProcess",)),
        ("status", ("status",)),
    ],
)
def test_an_object_that_is_not_there_is_named_once(path: str, missing: tuple[str, ...]) -> None:
    assert read(without(OURS[EXTERNAL_SECRETS], path)).missing == missing


def test_an_older_schema_as_ack_secret_manager_installs_it() -> None:
    older = OURS[EXTERNAL_SECRETS]
    for field in ("spec.target", "spec.refreshPolicy", "spec.data[].kmsEndpoint"):
        older = without(older, field)
    assert set(read(older).missing) == {
        "spec.target",
        "spec.refreshPolicy",
        "spec.data[].kmsEndpoint",
    }


def with_schema(schema: Any, **spec: Any) -> dict[str, Any]:
    version = {"name": "v1alpha1", "served": True, "schema": schema}
    return {"metadata": {"name": EXTERNAL_SECRETS}, "spec": {"versions": [version], **spec}}


@pytest.mark.parametrize("schema", [None, {}, {"openAPIV3Schema": None}])
def test_without_a_schema_nothing_is_pruned(schema: Any) -> None:
    assert read(with_schema(schema)).missing == ()


def test_definition_that_preserves_everything_prunes_nothing() -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    assert read(with_schema(schema)).missing == ("spec", "status")
    assert read(with_schema(schema, preserveUnknownFields=True)).missing == ()


def test_fields_below_a_preserving_schema_are_not_missing() -> None:
    changed = deepcopy(OURS[EXTERNAL_SECRETS])
    properties = schema_of(changed)["properties"]["spec"]["properties"]
    properties["target"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties["dataProcess"]["items"] = {"x-kubernetes-preserve-unknown-fields": True}
    assert read(changed).missing == ()


def test_schema_below_a_preserving_one_prunes_by_itself() -> None:
    changed = without(OURS[EXTERNAL_SECRETS], "spec.target.immutable")
    spec = schema_of(changed)["properties"]["spec"]
    spec["x-kubernetes-preserve-unknown-fields"] = True
    del spec["properties"]["refreshPolicy"]
    assert read(changed).missing == ("spec.target.immutable",)


@pytest.mark.parametrize("values", [True, {"x-kubernetes-preserve-unknown-fields": True}])
def test_a_map_of_anything_has_every_field(values: Any) -> None:
    changed = deepcopy(OURS[EXTERNAL_SECRETS])
    properties = schema_of(changed)["properties"]["spec"]["properties"]
    properties["target"] = {"type": "object", "additionalProperties": values}
    assert read(changed).missing == ()


@pytest.mark.parametrize(
    "versions",
    [
        None,
        [],
        [{"name": "v1beta1", "served": True}],
        [{"name": "v1alpha1", "served": False}],
    ],
)
def test_a_version_that_is_not_served_is_missing(versions: Any) -> None:
    definition = {"metadata": {"name": EXTERNAL_SECRETS}, "spec": {"versions": versions}}
    assert read(definition).missing == ("version v1alpha1",)


@pytest.mark.parametrize("more", ["later", "earlier"])
def test_other_versions_do_not_matter(more: str) -> None:
    other = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    changed = deepcopy(OURS[EXTERNAL_SECRETS])
    versions = changed["spec"]["versions"]
    changed["spec"]["versions"] = [*versions, other] if more == "later" else [other, *versions]
    assert read(changed).missing == ()


def test_definitions_of_others_are_omitted() -> None:
    """Nothing is read of one but its name, and nothing kept."""
    assert Crd.from_dict({"metadata": {"name": "certificates.cert-manager.io"}}) is None
