"""ClusterExternalSecrets, their children and namespaces, as the informers keep them."""

from __future__ import annotations

from typing import Any

import orjson

from secret_sync.resources import ExternalSecret, Namespace
from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

SPEC: dict[str, Any] = {"data": [{"key": "db", "name": "password"}]}


def ces_of(metadata: dict[str, Any] | None = None, **spec: Any) -> ClusterExternalSecret:
    given = {"name": "some", "uid": "ces-uid", "resourceVersion": "1", "generation": 1}
    return ClusterExternalSecret.from_dict(
        {
            "metadata": {**given, **(metadata or {})},
            "spec": {"externalSecretSpec": SPEC, **spec},
        }
    )


def namespace_named(name: str, deleting: str = "", **labels: str) -> Namespace:
    metadata = {"name": name, "uid": "n", "resourceVersion": "1", "labels": labels}
    if deleting:
        metadata["deletionTimestamp"] = deleting
    return Namespace.from_metadata({"metadata": metadata})


def child_of(
    ces: ClusterExternalSecret | None,
    *,
    name: str = "some",
    ready: bool = False,
    applied: bool = True,
    **metadata: Any,
) -> ExternalSecret:
    """An ExternalSecret in namespace ``ns``, as an apply of ours has left it."""
    found: dict[str, Any] = {
        "namespace": "ns",
        "name": name,
        "uid": f"{name}-uid",
        "resourceVersion": "7",
        "generation": 1,
        **metadata,
    }
    spec = SPEC
    if ces is not None:
        spec = orjson.loads(ces.spec)
        owner: dict[str, Any] = {
            "apiVersion": "alibabacloud.com/v1alpha1",
            "kind": "ClusterExternalSecret",
        }
        owner |= {"name": ces.name, "uid": ces.uid, "controller": True}
        found.setdefault("ownerReferences", [owner])
        if applied:
            fields: dict[str, Any] = {
                "f:labels": {f"f:{key}": {} for key, _ in ces.labels},
                "f:annotations": {f"f:{key}": {} for key, _ in ces.annotations},
            }
            entry = {"manager": "secret-sync", "operation": "Apply"}
            found["managedFields"] = [{**entry, "fieldsV1": {"f:metadata": fields}}]
            found.setdefault("labels", dict(ces.labels))
            found.setdefault("annotations", dict(ces.annotations))
    status = {}
    if ready:
        condition = {"type": "Ready", "status": "True", "reason": "Synced"}
        status = {"observedGeneration": 1, "conditions": [condition]}
    return ExternalSecret.from_dict({"metadata": found, "spec": spec, "status": status})
