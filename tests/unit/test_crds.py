"""The definitions of our kinds, read as data. What a server makes of them: tests/integration."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[2] / "crds"
KINDS = {
    "externalsecrets": "ExternalSecret",
    "secretstores": "SecretStore",
    "clustersecretstores": "ClusterSecretStore",
    "clusterexternalsecrets": "ClusterExternalSecret",
}

#: Keywords of a schema that hold other schemas by name; "items" and the like hold one.
NAMED = ("properties", "patternProperties")
SINGLE = ("items", "additionalProperties")


def load(plural: str) -> dict[str, Any]:
    """A definition; it may be changed."""
    return deepcopy(_parsed(plural))


@cache
def _parsed(plural: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    return document


def version(plural: str) -> dict[str, Any]:
    (only,) = load(plural)["spec"]["versions"]
    assert isinstance(only, dict)
    return only


def root(plural: str) -> dict[str, Any]:
    schema: dict[str, Any] = version(plural)["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below ``schema``, itself first, each with its dotted path."""
    yield path, schema
    for keyword in NAMED:
        for name, below in schema.get(keyword, {}).items():
            yield from walk(below, f"{path}.{name}")
    for keyword in SINGLE:
        if isinstance(below := schema.get(keyword), dict):
            yield from walk(below, f"{path}[]")


def find(plural: str, path: str) -> dict[str, Any]:
    return dict(walk(root(plural)))[path]


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without its words, to compare two that must stay alike."""
    return {
        key: {name: shape(below) for name, below in value.items()}
        if key in NAMED
        else shape(value)
        if key in SINGLE
        else value
        for key, value in schema.items()
        if key != "description"
    }


@pytest.fixture(params=sorted(KINDS))
def plural(request: pytest.FixtureRequest) -> str:
    name = request.param
    assert isinstance(name, str)
    return name


def test_all_definitions_are_listed_for_kustomize() -> None:
    listed = yaml.safe_load((CRDS / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(
        path.name for path in CRDS.glob("*.yaml") if path.name != "kustomization.yaml"
    )


def test_the_definitions_for_old_servers_lack_the_rules_in_cel_and_nothing_else() -> None:
    """`make legacy` writes them."""
    kustomization = yaml.safe_load((CRDS / "legacy" / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(f"{plural}.yaml" for plural in KINDS)
    ours = {plural: load(plural) for plural in KINDS}
    legacy = {
        plural: yaml.safe_load((CRDS / "legacy" / f"{plural}.yaml").read_text()) for plural in KINDS
    }
    assert without_rules(ours) != ours
    assert legacy == without_rules(ours)


def without_rules(part: Any) -> Any:
    if isinstance(part, dict):
        return {k: without_rules(v) for k, v in part.items() if k != "x-kubernetes-validations"}
    return [without_rules(value) for value in part] if isinstance(part, list) else part


def test_group_kind_and_scope(plural: str) -> None:
    document = load(plural)
    spec = document["spec"]
    assert document["apiVersion"] == "apiextensions.k8s.io/v1"
    assert document["metadata"]["name"] == f"{plural}.alibabacloud.com"
    assert spec["group"] == "alibabacloud.com"
    assert spec["scope"] == ("Cluster" if plural.startswith("cluster") else "Namespaced")
    assert spec["names"]["kind"] == KINDS[plural]
    assert spec["names"]["listKind"] == f"{KINDS[plural]}List"


def test_single_version_is_served_and_stored(plural: str) -> None:
    only = version(plural)
    assert only["name"] == "v1alpha1"
    assert only["served"]
    assert only["storage"]


def test_status_is_a_subresource(plural: str) -> None:
    assert version(plural)["subresources"] == {"status": {}}


@pytest.mark.parametrize(
    ("plural", "short_names"),
    [
        ("externalsecrets", ["aes"]),
        ("secretstores", ["ass"]),
        ("clustersecretstores", ["acss", "css"]),
        ("clusterexternalsecrets", ["aces", "ces"]),
    ],
)
def test_short_names_leave_those_of_other_operators_alone(
    plural: str, short_names: list[str]
) -> None:
    assert load(plural)["spec"]["names"]["shortNames"] == short_names


@pytest.mark.parametrize(
    ("plural", "columns"),
    [
        ("externalsecrets", ["Store", "Target", "Ready", "Reason", "Last Sync", "Message", "Age"]),
        ("secretstores", ["Ready", "Reason", "Message", "Age"]),
        ("clustersecretstores", ["Ready", "Reason", "Message", "Age"]),
        ("clusterexternalsecrets", ["Ready", "Reason", "Namespaces", "Message", "Age"]),
    ],
)
def test_columns(plural: str, columns: list[str]) -> None:
    found = version(plural)["additionalPrinterColumns"]
    assert [column["name"] for column in found] == columns
    # As wide as a terminal by itself, so that only -o wide shows it.
    assert [column["name"] for column in found if column.get("priority")] == ["Message"]


def test_every_field_is_described(plural: str) -> None:
    bare = [path for path, schema in walk(root(plural)) if not describes(path, schema)]
    assert not bare


def describes(path: str, schema: dict[str, Any]) -> bool:
    # The elements of a list or map of texts have no name to explain.
    if path.endswith("[]") and schema["type"] != "object":
        return True
    text = schema.get("description", "")
    return bool(text) and text == text.strip() and text.endswith(".")


def test_only_the_status_of_a_new_object_has_a_default(plural: str) -> None:
    defaults = {p: schema["default"] for p, schema in walk(root(plural)) if "default" in schema}
    assert defaults == {".status": {"observedGeneration": -1}}


def test_structural_each_schema_has_a_type(plural: str) -> None:
    assert not [path for path, schema in walk(root(plural)) if "type" not in schema]


def test_nothing_unknown_is_kept(plural: str) -> None:
    keyword = "x-kubernetes-preserve-unknown-fields"
    assert not [path for path, schema in walk(root(plural)) if keyword in schema]


def test_every_list_says_how_applies_merge_it(plural: str) -> None:
    lists = {
        path: schema.get("x-kubernetes-list-type")
        for path, schema in walk(root(plural))
        if schema["type"] == "array"
    }
    assert lists.pop(".status.conditions") == "map"
    assert find(plural, ".status.conditions")["x-kubernetes-list-map-keys"] == ["type"]
    assert set(lists.values()) == {"atomic"}


def test_rules_run_on_texts_of_bounded_length_and_have_a_message(plural: str) -> None:
    rules = [
        (path, schema, rule)
        for path, schema in walk(root(plural))
        for rule in schema.get("x-kubernetes-validations", ())
    ]
    assert bool(rules) is plural.endswith("externalsecrets")
    for path, schema, rule in rules:
        assert rule["message"], path
        assert schema["maxLength"] <= 253, path


def test_every_list_and_text_of_a_spec_is_bounded_and_none_of_a_status(plural: str) -> None:
    # A status is validated with each write of the whole object, by whoever wrote it: a limit there
    # would keep the controller from saying what is the matter.
    for path, schema in walk(root(plural)):
        keyword = {"array": "maxItems", "string": "maxLength"}.get(schema["type"], "")
        bounded = path.startswith(".spec") and "enum" not in schema and keyword != ""
        assert (keyword in schema) is bounded, path


@pytest.mark.parametrize(
    ("path", "keyword", "budget"),
    [
        (".spec.data", "maxItems", 500),
        (".spec.dataProcess", "maxItems", 500),
        (".spec.data[].jmesPath", "maxItems", 2_000),
        (".spec.dataProcess[].replaceRule", "maxItems", 2_000),
        (".spec.data[].jmesPath[].path", "maxLength", 64 * 1024),
        (".spec.dataProcess[].replaceRule[].source", "maxLength", 64 * 1024),
        (".spec.dataProcess[].replaceRule[].target", "maxLength", 64 * 1024),
    ],
)
def test_budget_overrun_is_explained_by_a_condition_first(
    path: str, keyword: str, budget: int
) -> None:
    assert find("externalsecrets", path)[keyword] >= 2 * budget


def test_an_entry_of_data_and_an_extract_are_alike() -> None:
    entry = shape(find("externalsecrets", ".spec.data[]"))
    extract = shape(find("externalsecrets", ".spec.dataProcess[].extract"))
    assert entry == extract


@pytest.mark.parametrize("plural", ["secretstores", "clustersecretstores"])
def test_both_services_authenticate_alike(plural: str) -> None:
    kms = shape(find(plural, ".spec.KMS.KMSAuth"))
    oos = shape(find(plural, ".spec.OOS.OOSAuth"))
    assert kms == oos


def test_both_kinds_of_store_are_alike_but_for_the_conditions() -> None:
    cluster_wide = shape(find("clustersecretstores", ".spec"))
    assert cluster_wide["properties"].pop("conditions")["type"] == "array"
    assert cluster_wide == shape(find("secretstores", ".spec"))
    assert shape(find("clustersecretstores", ".status")) == shape(find("secretstores", ".status"))


def test_children_have_the_spec_of_an_external_secret() -> None:
    """`make crds` copies it."""
    children = find("clusterexternalsecrets", ".spec.externalSecretSpec")
    assert children["properties"] == find("externalsecrets", ".spec")["properties"]


def test_both_cluster_scoped_kinds_select_namespaces_alike() -> None:
    ours = shape(find("clusterexternalsecrets", ".spec.conditions"))
    assert ours == shape(find("clustersecretstores", ".spec.conditions"))
    selector = find("clusterexternalsecrets", ".spec.conditions[].namespaceSelector")
    older = find("clusterexternalsecrets", ".spec.namespaceSelectors[]")
    assert shape(older) == shape(selector)


@pytest.mark.parametrize(
    "path",
    [
        ".spec.provider",  # an unknown one gets a condition
        ".spec.data[].key",  # ack-secret-manager skipped an empty one and synced the rest
        ".spec.data[].kmsEndpoint",
        ".status.dataSyncResults[].status",  # ack-secret-manager leaves "Warning" in stored objects
    ],
)
def test_case_left_to_the_controller_to_decide(path: str) -> None:
    schema = find("externalsecrets", path)
    judging = {"enum", "pattern", "minLength", "x-kubernetes-validations"}
    assert not judging & schema.keys()


def test_status_asks_for_no_more_than_ack_secret_manager_wrote(plural: str) -> None:
    required = {
        path: schema["required"]
        for path, schema in walk(find(plural, ".status"), ".status")
        if "required" in schema
    }
    assert required == {".status.conditions[]": ["type", "status"]}
