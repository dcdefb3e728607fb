"""ack-secret-manager's definitions, and objects in the form in which its program keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP: Final = "alibabacloud.com"
FINALIZER: Final = "finalizer.ack.secrets-manager.alibabacloud.com"
LABEL: Final = "lastUpdatedAt"
RELEASE: Final = "ack-secret-manager"
HOME: Final = "kube-system"
JOB: Final = "ack-cleanup-external-secrets"
#: What Helm puts on everything that it installs.
HELM: Final = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "meta.helm.sh/release-name": RELEASE,
        "meta.helm.sh/release-namespace": HOME,
    },
}


def schemas(version: str) -> dict[str, Any]:
    """The fields of each kind in 0.5 or 0.6."""
    text = (ROOT / "tests" / "data" / "ack" / "schemas" / f"{version}.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def definitions(version: str) -> list[dict[str, Any]]:
    """Its CRDs, as Helm installs them."""
    return [_definition(plural, kind) for plural, kind in schemas(version).items()]


def kept(version: str, kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """An object as its program writes it back: what its types do not have is gone."""
    (fields,) = [each for each in schemas(version).values() if each["kind"] == kind]
    whole = {"spec": fields["spec"], "status": fields["status"]}
    rest = {name: document[name] for name in ("apiVersion", "kind", "metadata")}
    return rest | {name: _pruned(document.get(name) or {}, of) for name, of in whole.items()}


def _pruned(value: Any, fields: Any) -> Any:
    if isinstance(fields, dict):
        known = {name.removeprefix("!"): of for name, of in fields.items()}
        return {n: _pruned(v, known[n]) for n, v in value.items() if n in known}
    if isinstance(fields, list):
        return [_pruned(each, fields[0]) for each in value]
    return value


def _definition(plural: str, kind: Mapping[str, Any]) -> dict[str, Any]:
    singular = kind["kind"].lower()
    properties = {name: _schema(kind[name]) for name in ("spec", "status")}
    schema = {"type": "object", "properties": properties}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", **HELM},
        "spec": {
            "group": GROUP,
            "scope": kind["scope"],
            "names": {
                "kind": kind["kind"],
                "listKind": f"{kind['kind']}List",
                "plural": plural,
                "singular": singular,
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def _schema(fields: Any) -> dict[str, Any]:
    if isinstance(fields, dict):
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {n.removeprefix("!"): _schema(of) for n, of in fields.items()},
        }
        if required := [n.removeprefix("!") for n in fields if n.startswith("!")]:
            schema["required"] = required
        return schema
    if isinstance(fields, list):
        return {"type": "array", "items": _schema(fields[0])}
    if fields == "date-time":
        return {"type": "string", "format": "date-time"}
    return {"type": fields}
