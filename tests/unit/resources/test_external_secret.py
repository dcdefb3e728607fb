"""``ExternalSecret.from_dict``: YAML in, what the controller works with out."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import DataEntry, ExternalSecret, StoreRef
from secret_sync.resources.external_secret import Target

METADATA = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "7"}


def es(spec: Any = None, metadata: dict[str, Any] | None = None, **more: Any) -> ExternalSecret:
    return ExternalSecret.from_dict(
        {"metadata": {**METADATA, **(metadata or {})}, "spec": spec, **more}
    )


def entry(key: str = "db", name: str = "", **more: Any) -> DataEntry:
    fields = {"version_stage": "", "version_id": "", "store": None, **more}
    return DataEntry(key, name or key, **fields)


def test_an_external_secret_is_read() -> None:
    ref = {"name": "store", "namespace": "else", "kind": "SecretStore"}
    data = {"key": "db", "name": "password", "versionStage": "S", "versionId": "v1"}
    found = es(
        {"data": [{**data, "secretStoreRef": ref}], "type": "t", "rotationInterval": "1m"},
        {
            "generation": 3,
            "annotations": {"secret-sync.alibabacloud.com/force-sync": "x"},
        },
    )
    assert (found.namespace, found.name, found.uid, found.resource_version) == (
        "ns",
        "some",
        "u",
        "7",
    )
    assert (found.generation, found.secret_type, found.rotation_interval) == (3, "t", "1m")
    assert (found.provider, found.target.name, found.force_sync) == ("kms", "some", "x")
    assert (found.refresh_policy, found.adopt, found.legacy) == ("Periodic", False, False)
    assert found.entries == (
        DataEntry("db", "password", "S", "v1", StoreRef("SecretStore", "else", "store")),
    )
    assert found.invalid is None


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"data": None, "dataProcess": None, "provider": None, "type": None, "target": None},
        {"data": [], "dataProcess": [], "provider": "", "type": "", "target": {}},
        {"target": {"name": None, "creationPolicy": None, "template": None, "immutable": None}},
        {"target": {"name": "", "creationPolicy": "", "deletionPolicy": None, "template": {}}},
        {"rotationInterval": None, "refreshPolicy": None},
        {"data": [{"key": None, "name": None, "versionStage": None, "secretStoreRef": None}]},
        {"data": [{"key": "", "jmesPath": None, "kmsEndpoint": ""}]},
        {"data": [{"key": "a", "secretStoreRef": {"name": None, "namespace": None}}]},
    ],
)
def test_nulls_and_empty_fields_are_absent_ones(spec: Any) -> None:
    found = es(spec)
    assert (found.provider, found.secret_type, found.target) == ("kms", "Opaque", Target("some"))
    assert found.refresh_policy == "Periodic"
    assert found.invalid is None
    for each in found.entries:
        assert (each.version_stage, each.version_id, each.endpoint) == ("", "", "")
        assert each.plain


def test_an_entry_without_a_name_is_called_after_its_key() -> None:
    assert es({"data": [{"key": "db"}]}).entries == (entry("db"),)


def test_an_empty_store_name_is_not_no_store() -> None:
    (found,) = es({"data": [{"key": "db", "secretStoreRef": {"name": ""}}]}).entries
    assert found.store == StoreRef("SecretStore", "", "")


@pytest.mark.parametrize(
    ("spec", "entries"),
    [
        pytest.param(
            {"data": [{"key": "db", "kmsEndpoint": "kms.cn-hangzhou.aliyuncs.com"}]},
            (entry(endpoint="kms.cn-hangzhou.aliyuncs.com"),),
            id="an endpoint of its own",
        ),
        pytest.param(
            {
                "data": [
                    {
                        "key": "db",
                        "name": "ignored",
                        "jmesPath": [
                            {"path": "users[0].name", "objectAlias": "user"},
                            {"path": '"a.b"', "objectAlias": "ab"},
                        ],
                    }
                ]
            },
            (entry(name="ignored", picks=(("users[0].name", "user"), ('"a.b"', "ab"))),),
            id="picked out of a document",
        ),
        pytest.param(
            {"data": [{"key": "db", "jmesPath": [{"path": "a"}, {"objectAlias": None}, {}]}]},
            (entry(picks=(("a", "db"), ("", "db"), ("", "db"))),),
            id="half a pick is kept, to be told of, and has the alias of ack-secret-manager",
        ),
        pytest.param(
            {"data": [{"key": "db", "jmesPath": []}]},
            (entry(),),
            id="no picks at all",
        ),
        pytest.param(
            {
                "dataProcess": [
                    {
                        "extract": {
                            "key": "db",
                            "versionStage": "S",
                            "versionId": "v",
                            "secretStoreRef": {"name": "store"},
                            "kmsEndpoint": "host",
                            "jmesPath": [{"path": "a", "objectAlias": "b"}],
                        },
                        "replaceRule": [
                            {"source": "^a/", "target": ""},
                            {"source": "-", "target": "_"},
                        ],
                    }
                ]
            },
            (
                DataEntry(
                    "db",
                    "db",
                    "S",
                    "v",
                    StoreRef("SecretStore", "", "store"),
                    "host",
                    picks=(("a", "b"),),
                    extract=True,
                    rules=(("^a/", ""), ("-", "_")),
                ),
            ),
            id="all keys of a document, renamed",
        ),
        pytest.param(
            {
                "dataProcess": [
                    {"extract": {"key": "a"}},
                    {"extract": {"key": "b"}, "replaceRule": None},
                    {"extract": None, "replaceRule": [{"source": "x"}]},
                    {},
                ]
            },
            (
                entry("a", extract=True),
                entry("b", extract=True),
                entry("", extract=True, rules=(("x", ""),)),
                entry("", extract=True),
            ),
            id="an extract of nothing is kept, to be told of",
        ),
        pytest.param(
            {"dataProcess": [{"extract": {"key": "a"}}], "data": [{"key": "b"}, {"key": "c"}]},
            (entry("b"), entry("c"), entry("a", extract=True)),
            id="data first, so that dataProcess wins",
        ),
    ],
)
def test_entries(spec: dict[str, Any], entries: tuple[DataEntry, ...]) -> None:
    assert es(spec).entries == entries


@pytest.mark.parametrize(
    ("found", "plain"),
    [
        (entry(), True),
        (entry(rules=(("a", "b"),)), True),
        (entry(picks=(("a", "b"),)), False),
        (entry(extract=True), False),
    ],
)
def test_a_plain_entry_is_written_byte_for_byte(found: DataEntry, *, plain: bool) -> None:
    assert found.plain is plain


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ({}, Target("some")),
        ({"name": "other"}, Target("other")),
        ({"creationPolicy": "Owner", "deletionPolicy": "Delete"}, Target("some")),
        ({"creationPolicy": "Merge"}, Target("some", merge=True)),
        ({"deletionPolicy": "Retain"}, Target("some", retain=True)),
        ({"immutable": True}, Target("some", immutable=True)),
        ({"immutable": False}, Target("some")),
        (
            {"name": "x", "creationPolicy": "Merge", "deletionPolicy": "Retain", "immutable": True},
            Target("x", merge=True, retain=True, immutable=True),
        ),
    ],
)
def test_targets(written: dict[str, Any], target: Target) -> None:
    found = es({"target": written})
    assert found.target == target
    assert found.invalid is None


def test_a_target_of_the_objects_own_name_is_the_same_text() -> None:
    # As a decoder would: two texts, of which the second is not kept.
    found = es({"target": {"name": b"some".decode()}})
    assert found.target.name is found.name


@pytest.mark.parametrize("policy", ["Periodic", "OnChange", "CreatedOnce"])
def test_refresh_policies(policy: str) -> None:
    found = es({"refreshPolicy": policy})
    assert (found.refresh_policy, found.invalid) == (policy, None)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"refreshPolicy": "Sometimes"},
            "spec.refreshPolicy is 'Sometimes'; it can be Periodic, OnChange or CreatedOnce",
        ),
        (
            {"target": {"creationPolicy": "Orphan"}},
            "spec.target.creationPolicy is 'Orphan'; it can be Owner or Merge",
        ),
        (
            {"target": {"deletionPolicy": "retain"}},
            "spec.target.deletionPolicy is 'retain'; it can be Delete or Retain",
        ),
    ],
)
def test_invalid_words_let_through_by_an_old_schema_are_reported(
    spec: dict[str, Any], said: str
) -> None:
    invalid = es(spec).invalid
    assert invalid is not None
    assert invalid.message == said
    assert said.startswith(f"{'.'.join(map(str, invalid.field))} is ")


def test_an_unknown_provider_is_kept_as_written() -> None:
    assert es({"provider": "vault"}).provider == "vault"
    assert es({"provider": "oos"}).provider == "oos"


@pytest.mark.parametrize(
    ("value", "adopt"),
    [("true", True), ("True", False), ("yes", False), ("", False), (None, False)],
)
def test_only_true_is_a_wish_to_take_over(value: str | None, *, adopt: bool) -> None:
    annotations = {"secret-sync.alibabacloud.com/adopt": value}
    assert es(metadata={"annotations": annotations}).adopt is adopt


@pytest.mark.parametrize(
    ("finalizers", "legacy"),
    [
        (None, False),
        ([], False),
        (["example.org/other"], False),
        (["finalizer.ack.secrets-manager.alibabacloud.com"], True),
        (["example.org/other", "finalizer.ack.secrets-manager.alibabacloud.com"], True),
    ],
)
def test_the_finalizer_of_ack_secret_manager_is_seen(
    finalizers: list[str] | None, *, legacy: bool
) -> None:
    assert es(metadata={"finalizers": finalizers}).legacy is legacy


@pytest.mark.parametrize(
    ("status", "in_step"),
    [
        (None, False),
        ({"observedGeneration": 2}, False),
        ({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}, False),
        ({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"observedGeneration": 2, "conditions": [{"type": "Other", "status": "True"}]}, False),
    ],
)
def test_object_is_synced_if_its_status_says_so(status: Any, *, in_step: bool) -> None:
    assert es(metadata={"generation": 2}, status=status).in_step is in_step


@pytest.mark.parametrize(
    ("metadata", "moves"),
    [
        ({"resourceVersion": "8"}, False),
        ({"managedFields": [{}]}, False),
        ({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}}, False),
        ({"labels": {}, "annotations": None, "finalizers": None}, False),
        ({"generation": 2}, True),
        ({"labels": {"a": "b"}}, True),
        ({"annotations": {"a": "b"}}, True),
        ({"finalizers": ["a"]}, True),
        ({"deletionTimestamp": "t"}, True),
    ],
)
def test_the_revision_moves_with_the_intent(metadata: dict[str, Any], *, moves: bool) -> None:
    assert (es(metadata=metadata).revision != es().revision) == moves
    assert es(metadata=metadata, status={"target": "x"}).revision == es(metadata=metadata).revision


SPEC = {"data": [{"key": "db"}], "target": {"name": "other"}}
LATER = {"generation": 2, "resourceVersion": "8"}


def test_a_write_of_the_status_renews_nothing_else() -> None:
    known = es(SPEC, {"generation": 2})
    status = {"observedGeneration": 2, "lastSyncTime": "2026-01-01T00:00:00Z"}
    value = {"metadata": {**METADATA, **LATER}, "spec": SPEC, "status": status}
    found = known.renewed(value)
    assert found == ExternalSecret.from_dict(value)
    assert found.entries is known.entries


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"generation": 3}, "spec": {"data": [{"key": "another"}]}},
        {"metadata": {"uid": "v"}, "spec": {"data": [{"key": "another"}]}},
        {"metadata": {"annotations": {"secret-sync.alibabacloud.com/force-sync": "x"}}},
        {"metadata": {"finalizers": ["finalizer.ack.secrets-manager.alibabacloud.com"]}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
    ids=["edited", "another object", "annotation", "finalizer", "deletion"],
)
def test_all_of_a_changed_object_is_read_again(changed: dict[str, Any]) -> None:
    known = es(SPEC, {"generation": 2})
    metadata = {**METADATA, **LATER, **changed["metadata"]}
    value = {"metadata": metadata, "spec": changed.get("spec", SPEC)}
    assert known.renewed(value) == ExternalSecret.from_dict(value)


def test_all_of_an_object_without_a_generation_is_read_again() -> None:
    value = {"metadata": METADATA, "spec": {"data": [{"key": "another"}]}}
    assert es(SPEC).renewed(value) == ExternalSecret.from_dict(value)
