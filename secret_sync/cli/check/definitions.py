"""The schemas of our kinds, from the CRDs in the package."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML

from secret_sync.cli.crds import find_crds
from secret_sync.resources.names import VERSION

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = {
    **_TEXT,
    "maxLength": 253,
    "x-kubernetes-validations": [
        {
            "rule": f"self == '' || self.matches('^{_LABEL}([.]{_LABEL})*$')",
            "message": "it must have lower-case letters, digits, '-' and '.' only, with a letter "
            "or digit at both ends of each part",
        }
    ],
}
_NAMESPACE: Final = {
    **_TEXT,
    "maxLength": 63,
    "x-kubernetes-validations": [
        {
            "rule": f"self == '' || self.matches('^{_LABEL}$')",
            "message": "it must have lower-case letters, digits and '-' only, with a letter or "
            "digit at both ends",
        }
    ],
}

#: The metadata of any object; fields that the API server sets are accepted.
METADATA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _NAME,
        "namespace": _NAMESPACE,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {},
        "generateName": {},
        "uid": {},
        "resourceVersion": {},
        "generation": {},
        "creationTimestamp": {},
        "deletionTimestamp": {},
        "deletionGracePeriodSeconds": {},
        "managedFields": {},
        "selfLink": {},
    },
}


@lru_cache(maxsize=1)
def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each of our kinds.

    The status is not checked: the API server ignores it when an object is applied.

    Raises:
        SecretSyncError: The installation is incomplete.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(find_crds().glob("*.yaml")):
        definition = YAML(typ="safe").load(path)
        if definition.get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        (version,) = (v for v in spec["versions"] if v["name"] == VERSION)
        schema = version["schema"]["openAPIV3Schema"]
        own = {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": METADATA,
            **schema["properties"],
            "status": {},
        }
        found[spec["names"]["kind"]] = {**schema, "properties": own, "required": ["metadata"]}
    return found
