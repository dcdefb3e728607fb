"""The field of a finding: from the controller's problem, not from the words of its message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secret_sync.cli.check.examine import Options, examine

ROLE = "ack.alibabacloud.com/role-arn"
KEY = {"name": "key", "key": "id"}


def fields(*objects: dict[str, Any]) -> list[str]:
    files = {str(n): json.dumps(value).encode() for n, value in enumerate(objects)}
    report = examine(files, Options())
    return [f.path for f in report.findings if f.severity == "problem"]


def ours(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "db", "namespace": "team"}
    return {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def account(role: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "reader", "namespace": "team", "annotations": {ROLE: role}},
    }


def store(**auth: Any) -> dict[str, Any]:
    return ours("SecretStore", {"KMS": {"KMSAuth": auth}})


def test_key_that_quotes_the_name_of_another_field() -> None:
    # The entry's key is part of the message.
    entry = {"key": "acs:secretStoreRef", "name": "a", "secretStoreRef": {"name": "db"}}
    assert fields(ours("ExternalSecret", {"data": [entry]})) == ["spec.data[0].key"]


def test_annotation_that_quotes_the_name_of_a_field() -> None:
    written = store(
        serviceAccountRef={"name": "reader"},
        accessKey=KEY,
        accessKeySecret=KEY,
    )
    assert fields(written, account("not an ARN but accessKey")) == ["spec.KMS.KMSAuth"]


def test_expression_of_a_condition_that_quotes_a_path() -> None:
    written = ours(
        "ClusterSecretStore",
        {
            "KMS": {"KMSAuth": {}},
            "conditions": [{"namespaces": ["a"]}, {"namespaceRegexes": ["["]}],
        },
    )
    del written["metadata"]["namespace"]
    assert fields(written) == ["spec.conditions[1].namespaceRegexes"]


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ({"accessKey": KEY}, ""),
        ({"accessKeySecret": KEY}, ""),
        ({"accessKey": {"name": "", "key": "id"}, "accessKeySecret": KEY}, ".accessKey"),
        ({"accessKey": KEY, "accessKeySecret": {"name": "key", "key": ""}}, ".accessKeySecret"),
        ({"serviceAccountRef": {"name": ""}}, ".serviceAccountRef"),
        ({"oidcProviderARN": "acs:ram::1:oidc-provider/p"}, ".oidcProviderARN"),
        ({"ramRoleARN": "acs:ram::1:role/r"}, ".ramRoleARN"),
        ({"oidcTokenFilePath": "/token"}, ".oidcTokenFilePath"),
        (
            {"ramRoleARN": "role", "oidcProviderARN": "acs:ram::1:oidc-provider/p"},
            ".ramRoleARN",
        ),
        (
            {"ramRoleARN": "acs:ram::1:role/r", "oidcProviderARN": "ramRoleARN"},
            ".oidcProviderARN",
        ),
        ({"remoteRamRoleARN": "role"}, ".remoteRamRoleARN"),
        (
            {"remoteRamRoleARN": "acs:ram::1:role/r", "remoteRamRoleSessionName": "/"},
            ".remoteRamRoleSessionName",
        ),
        (
            {
                "ramRoleARN": "acs:ram::1:role/r",
                "oidcProviderARN": "acs:ram::1:oidc-provider/p",
                "ramRoleSessionName": "/",
            },
            ".ramRoleSessionName",
        ),
        (
            {
                "ramRoleARN": "acs:ram::1:role/r",
                "oidcProviderARN": "acs:ram::1:oidc-provider/p",
                "roleSessionExpiration": "1",
            },
            ".roleSessionExpiration",
        ),
        (
            {
                "ramRoleARN": "acs:ram::1:role/r",
                "oidcProviderARN": "acs:ram::1:oidc-provider/p",
                "oidcTokenFilePath": "/other",
            },
            ".oidcTokenFilePath",
        ),
    ],
)
def test_field_of_a_store(auth: dict[str, Any], field: str) -> None:
    found = [path for path in fields(store(**auth)) if path.startswith("spec.KMS.KMSAuth")]
    assert found[:1] == [f"spec.KMS.KMSAuth{field}"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"provider": "vault"}, "spec.provider"),
        ({"refreshPolicy": "Never"}, "spec.refreshPolicy"),
        ({"rotationInterval": "1"}, "spec.rotationInterval"),
        ({"rotationInterval": "1ms"}, "spec.rotationInterval"),
        ({"target": {"name": "a/b"}}, "spec.target.name"),
        ({"target": {"creationPolicy": "None"}}, "spec.target.creationPolicy"),
        ({"target": {"immutable": True, "creationPolicy": "Merge"}}, "spec.target.immutable"),
        ({"target": {"template": {"data": {"a": "{{"}}}}, "spec.target.template.data.a"),
        ({"target": {"template": {"mergePolicy": "x"}}}, "spec.target.template.mergePolicy"),
        ({"type": "kubernetes.io/service-account-token"}, "spec.type"),
        ({"data": []}, "spec"),
        ({"data": [{"key": "a", "name": f"k{n}"} for n in range(501)]}, "spec.data"),
    ],
)
def test_field_of_an_external_secret(spec: dict[str, Any], field: str) -> None:
    whole = ours("ExternalSecret", {"data": [{"key": "a"}], **spec})
    assert fields(whole)[:1] == [field]
