"""Converters: whatever the API server lets through is read; what cannot work is kept as written."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import (
    Auth,
    Condition,
    DataSyncResult,
    ExternalSecret,
    ExternalSecretStatus,
    SecretStore,
    ServiceAccountRef,
    StoreStatus,
)

METADATA = {"namespace": "ns", "name": "some", "uid": "u", "resourceVersion": "7"}


def es(status: Any) -> ExternalSecret:
    return ExternalSecret.from_dict({"metadata": METADATA, "spec": {}, "status": status})


def store(spec: Any) -> SecretStore:
    return SecretStore.from_dict({"metadata": METADATA, "spec": spec})


AUTH = {
    "accessKey": {"name": "a", "key": "id"},
    "accessKeySecret": {"name": "b", "key": "s", "namespace": "else"},
}


def test_a_store_is_read() -> None:
    found = store({"KMS": {"KMSAuth": AUTH}})
    (auth,) = found.auths.values()
    assert found.auths == {"kms": auth}
    assert auth.access_key is not None
    assert (auth.access_key.namespace, auth.access_key.name) == ("", "a")
    assert auth.access_key_secret is not None
    assert auth.access_key_secret.namespace == "else"
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
    assert ("kms" in found.auths, "oos" in found.auths) == services
    assert set(found.auths.values()) <= {Auth()}


@pytest.mark.parametrize(
    "auth",
    [
        {"accessKey": None, "accessKeySecret": None, "ramRoleARN": ""},
        {"oidcProviderARN": None, "serviceAccountRef": None, "oidcTokenFilePath": ""},
    ],
)
def test_empty_methods_of_a_store_are_absent_ones(auth: dict[str, Any]) -> None:
    assert store({"KMS": {"KMSAuth": auth}}).auths["kms"] == Auth()


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
    assert found.auths["oos"] == Auth(
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
    found = es({"dataSyncResults": results}).status
    assert found.ready is None
    assert [each.status for each in found.results] == ["Warning", ""]
    assert es({"conditions": None, "dataSyncResults": None}).status.results == ()
    assert es(None).status == ExternalSecretStatus.from_dict({})


def test_a_status_survives_the_way_to_the_server_and_back() -> None:
    ready = Condition("Ready", "True", "Synced", "message", "2026-01-01T00:00:00Z", 4)
    result = DataSyncResult("db", "Succeeded", "", "2026-01-01T00:00:00Z", "v1")
    full = ExternalSecretStatus(ready, 4, (result,), "2026-01-01T00:00:00Z", "some")
    assert ExternalSecretStatus.from_dict(full.to_dict()) == full
    assert StoreStatus.from_dict(StoreStatus(ready, 4).to_dict()) == StoreStatus(ready, 4)


def test_object_that_was_never_reported_has_no_generation() -> None:
    """As the CRDs fill it in."""
    status = {"observedGeneration": -1}
    assert StoreStatus.from_dict(status) == StoreStatus(None, -1)
    assert not es(status).in_step
    assert es(status).status.ready is None


def test_nothing_empty_is_sent() -> None:
    ready = Condition("Ready", "False", "Forbidden", "message", "2026-01-01T00:00:00Z", 1)
    sent = ExternalSecretStatus(ready, 1, (), "", "").to_dict()
    assert set(sent) == {"conditions", "observedGeneration"}
    assert "reason" not in DataSyncResult("db", "Succeeded", "", "t", "").to_dict()
