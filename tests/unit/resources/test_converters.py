"""Converters: whatever the API server lets through is read; what cannot work is kept as written."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import (
    Auth,
    Condition,
    ExternalSecret,
    ExternalSecretStatus,
    SecretStore,
    ServiceAccountRef,
    StoreStatus,
    SyncResult,
)

METADATA = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "7"}


def es(spec: Any = None, metadata: dict[str, Any] | None = None, **more: Any) -> ExternalSecret:
    return ExternalSecret.from_dict(
        {"metadata": {**METADATA, **(metadata or {})}, "spec": spec, **more}
    )


def store(spec: Any) -> SecretStore:
    return SecretStore.from_dict({"metadata": METADATA, "spec": spec})


def test_an_external_secret_is_read() -> None:
    ref = {"name": "store", "namespace": "else", "kind": "SecretStore"}
    entry = {"key": "db", "name": "password", "versionStage": "S", "versionId": "v1"}
    found = es(
        {"data": [{**entry, "secretStoreRef": ref}], "type": "t", "rotationInterval": "1m"},
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
    assert (found.provider, found.target_name, found.force_sync) == ("kms", "some", "x")
    (read,) = found.data
    assert (read.key, read.name, read.version_stage, read.version_id) == (
        "db",
        "password",
        "S",
        "v1",
    )
    assert read.store is not None
    assert (read.store.kind, read.store.namespace, read.store.name) == (
        "SecretStore",
        "else",
        "store",
    )
    assert found.unsupported == ()


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"data": None, "dataProcess": None, "provider": None, "type": None, "target": None},
        {"data": [], "dataProcess": [], "provider": "", "type": "", "target": {}},
        {"target": {"name": None, "creationPolicy": None, "template": None, "immutable": None}},
        {"rotationInterval": None, "refreshPolicy": None},
        {"data": [{"key": None, "name": None, "versionStage": None, "secretStoreRef": None}]},
        {"data": [{"key": "", "jmesPath": None, "kmsEndpoint": ""}]},
        {"data": [{"key": "a", "secretStoreRef": {"name": None, "namespace": None}}]},
    ],
)
def test_nulls_and_empty_fields_are_absent_ones(spec: Any) -> None:
    found = es(spec)
    assert (found.provider, found.secret_type, found.target_name) == ("kms", "Opaque", "some")
    assert found.unsupported == ()
    for entry in found.data:
        assert (entry.version_stage, entry.version_id) == ("", "")


def test_an_entry_without_a_name_is_called_after_its_key() -> None:
    (entry,) = es({"data": [{"key": "db"}]}).data
    assert entry.name == "db"
    assert entry.store is None


def test_an_empty_store_name_is_not_no_store() -> None:
    (entry,) = es({"data": [{"key": "db", "secretStoreRef": {"name": ""}}]}).data
    assert entry.store is not None
    assert entry.store.name == ""


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"provider": "oos"}, "spec.provider: oos"),
        ({"dataProcess": [{}]}, "spec.dataProcess"),
        ({"refreshPolicy": "OnChange"}, "spec.refreshPolicy"),
        ({"target": {"name": "other"}}, "spec.target.name"),
        ({"target": {"creationPolicy": "Merge"}}, "spec.target.creationPolicy"),
        ({"target": {"deletionPolicy": "Retain"}}, "spec.target.deletionPolicy"),
        ({"target": {"immutable": True}}, "spec.target.immutable"),
        ({"target": {"template": {"type": "x"}}}, "spec.target.template"),
        ({"data": [{"key": "a"}, {"key": "b", "jmesPath": [{}]}]}, "spec.data[1].jmesPath"),
        ({"data": [{"key": "a", "kmsEndpoint": "x"}]}, "spec.data[0].kmsEndpoint"),
    ],
)
def test_fields_to_come_are_named(spec: Any, path: str) -> None:
    assert es(spec).unsupported == (path,)


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
def test_C5_the_revision_moves_with_the_intent(metadata: dict[str, Any], *, moves: bool) -> None:
    assert (es(metadata=metadata).revision != es().revision) == moves
    assert es(metadata=metadata, status={"target": "x"}).revision == es(metadata=metadata).revision


AUTH = {
    "accessKey": {"name": "a", "key": "id"},
    "accessKeySecret": {"name": "b", "key": "s", "namespace": "else"},
}


def test_a_store_is_read() -> None:
    found = store({"KMS": {"KMSAuth": AUTH}})
    assert found.kms is not None
    assert found.kms.access_key is not None
    assert (found.kms.access_key.namespace, found.kms.access_key.name) == ("", "a")
    assert found.kms.access_key_secret is not None
    assert found.kms.access_key_secret.namespace == "else"
    assert found.oos is None
    assert not found.dedicated


@pytest.mark.parametrize(
    ("spec", "services"),
    [
        (None, (True, True)),
        ({}, (True, True)),
        ({"KMS": None, "OOS": None}, (True, True)),
        ({"KMS": {"KMSAuth": None}}, (True, False)),
        ({"KMS": {}, "OOS": {}}, (True, True)),
        ({"OOS": {}}, (False, True)),
    ],
)
def test_a_store_is_written_for_the_services_it_names_or_for_both(
    spec: Any, services: tuple[bool, bool]
) -> None:
    found = store(spec)
    assert (found.kms is not None, found.oos is not None) == services
    assert {found.kms, found.oos} <= {Auth(), None}


@pytest.mark.parametrize(
    "auth",
    [
        {"accessKey": None, "accessKeySecret": None, "ramRoleARN": ""},
        {"oidcProviderARN": None, "serviceAccountRef": None, "oidcTokenFilePath": ""},
    ],
)
def test_empty_methods_of_a_store_are_absent_ones(auth: dict[str, Any]) -> None:
    assert store({"KMS": {"KMSAuth": auth}}).kms == Auth()


def test_every_method_of_a_store_is_read() -> None:
    written = {
        "serviceAccountRef": {"name": "a", "namespace": "b", "audiences": ["c"]},
        "ramRoleARN": "role",
        "ramRoleSessionName": "session",
        "roleSessionExpiration": "900",
        "oidcProviderARN": "provider",
        "oidcTokenFilePath": "file",
        "remoteRamRoleARN": "remote",
        "remoteRamRoleSessionName": "remote session",
    }
    found = store({"OOS": {"OOSAuth": written}})
    assert found.oos == Auth(
        service_account=ServiceAccountRef("b", "a", ("c",)),
        role_arn="role",
        session_name="session",
        session_expiration="900",
        oidc_provider_arn="provider",
        oidc_token_file="file",
        remote_role_arn="remote",
        remote_session_name="remote session",
    )
    assert store({"KMS": {"dedicatedKMSAuth": {"endpoint": "x"}}}).dedicated


def test_the_statuses_of_ack_secret_manager_are_read() -> None:
    # It left no conditions, and words of its own.
    results = [
        {"ExternalSecretKey": "a", "status": "Warning", "reason": None},
        {"ExternalSecretKey": None, "synchronizationTime": "2024-01-01T00:00:00Z"},
    ]
    found = es({}, status={"dataSyncResults": results}).status
    assert found.ready is None
    assert [each.status for each in found.results] == ["Warning", ""]
    assert es({}, status={"conditions": None, "dataSyncResults": None}).status.results == ()
    assert es({}, status=None).status == ExternalSecretStatus.from_dict({})


def test_a_status_survives_the_way_to_the_server_and_back() -> None:
    ready = Condition("Ready", "True", "Synced", "message", "2026-01-01T00:00:00Z", 4)
    result = SyncResult("db", "Succeeded", "", "2026-01-01T00:00:00Z", "v1")
    full = ExternalSecretStatus(ready, 4, (result,), "2026-01-01T00:00:00Z", "some")
    assert ExternalSecretStatus.from_dict(full.to_dict()) == full
    assert StoreStatus.from_dict(StoreStatus(ready).to_dict()) == StoreStatus(ready)


def test_A8_nothing_empty_is_sent() -> None:
    ready = Condition("Ready", "False", "Forbidden", "message", "2026-01-01T00:00:00Z", 1)
    sent = ExternalSecretStatus(ready, 1, (), "", "").to_dict()
    assert set(sent) == {"conditions", "observedGeneration"}
    assert "reason" not in SyncResult("db", "Succeeded", "", "t", "").to_dict()
