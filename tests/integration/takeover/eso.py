"""The External Secrets Operator 1.3 as far as the API server notices it."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from tests.support.operator import path_of, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.operator import Api

GROUP: Final = "external-secrets.io"
HOME: Final = "external-secrets"
KINDS: Final = {
    "SecretStore": "Namespaced",
    "ClusterSecretStore": "Cluster",
    "ExternalSecret": "Namespaced",
    "ClusterExternalSecret": "Cluster",
}
MANAGED: Final = "reconcile.external-secrets.io/managed"
CREATED_BY: Final = "reconcile.external-secrets.io/created-by"
DATA_HASH: Final = "reconcile.external-secrets.io/data-hash"
FINALIZER: Final = "externalsecrets.external-secrets.io/externalsecret-cleanup"
CLUSTER_FINALIZER: Final = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"
NAMESPACE_FINALIZER: Final = "externalsecrets.external-secrets.io/ces-"


def definitions() -> list[dict[str, Any]]:
    """Its CRDs, without a schema."""
    return [_definition(kind, scope) for kind, scope in KINDS.items()]


def _definition(kind: str, scope: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {**anything, "properties": {"spec": anything, "status": anything}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "plural": f"{kind.lower()}s", "listKind": f"{kind}List"},
            "versions": [
                {"name": name, "served": True, "storage": name == "v1", "schema": schema}
                for name in ("v1", "v1beta1")
            ],
        },
    }


def path_to(kind: str, namespace: str, name: str = "") -> str:
    """The path of one of its objects."""
    place = f"/namespaces/{namespace}" if KINDS[kind] == "Namespaced" else ""
    return f"/apis/{GROUP}/v1{place}/{kind.lower()}s/{name}".rstrip("/")


def deployment(name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    pod = {"containers": [{"name": name, "image": f"example.org/{name}"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _hash(text: str) -> str:
    return hashlib.sha3_224(text.encode()).hexdigest()


def _data_hash(values: Mapping[str, str]) -> str:
    """Of a ``map[string][]byte`` as Go prints it."""
    printed = (f"{k}:[{' '.join(map(str, v.encode()))}]" for k, v in sorted(values.items()))
    return _hash(f"map[{' '.join(printed)}]")


class Eso:
    """Its controller at work in one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace

    async def create(self, document: dict[str, Any]) -> dict[str, Any]:
        """Creates an object as its author, with what the API server fills in of the schema."""
        path = path_to(document["kind"], self.namespace)
        status, body = await self.api.request("POST", path, document)
        assert status == 201, body
        return dict(body)

    async def sync(self, document: dict[str, Any], values: Mapping[str, str]) -> None:
        """Reconciles an ExternalSecret for which it fetched these values."""
        target = document["spec"].setdefault("target", {})
        policy = target.setdefault("creationPolicy", "Owner")
        target.setdefault("deletionPolicy", "Retain")
        document["metadata"]["finalizers"] = [FINALIZER]
        found = await self.create(document)
        name = found["metadata"]["name"]
        secret: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": target.get("name", name),
                "labels": {MANAGED: "true"},
                "annotations": {DATA_HASH: _data_hash(values)},
            },
            "type": target.get("template", {}).get("type", "Opaque"),
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in values.items()},
        }
        if target.get("immutable"):
            secret["immutable"] = True
        if policy == "Owner":
            secret["metadata"]["labels"][CREATED_BY] = _hash(f"{self.namespace}/{name}")
            secret["metadata"]["ownerReferences"] = [controller_reference(found)]
        await self._write(secret, f"externalsecrets.external-secrets.io/{name}")

    async def _write(self, secret: dict[str, Any], manager: str) -> None:
        name = secret["metadata"]["name"]
        path = path_of("Secret", self.namespace)
        existing = await self.api.find("Secret", self.namespace, name)
        if existing is None:
            status, body = await self.api.request("POST", f"{path}?fieldManager={manager}", secret)
            assert status == 201, body
            return
        metadata = existing["metadata"]
        for part in ("labels", "annotations"):
            metadata[part] = {**metadata.get(part, {}), **secret["metadata"][part]}
        whole = {**existing, "data": {**existing["data"], **secret["data"]}}
        whole["metadata"]["annotations"][DATA_HASH] = _data_hash(values_of(whole))
        status, body = await self.api.request("PUT", f"{path}/{name}?fieldManager={manager}", whole)
        assert status == 200, body


def controller_reference(owner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
