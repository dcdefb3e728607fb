"""The definitions of our kinds, as far as it matters that they are ours.

Another installer may put an older definition of the same kinds back. The API server then prunes
the fields it does not know from every object it hands out: a ``Retain`` becomes a ``Delete``.
So the fields that this controller relies on are looked for in what is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.resources.meta import ObjectMeta
from secret_sync.resources.names import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"


def _below(path: str, fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{path}.{field}" for field in fields)


_KEY_REF: Final = ("name", "namespace", "key")

_SOURCE: Final = (
    "key",
    "name",
    "versionStage",
    "versionId",
    "kmsEndpoint",
    *_below("secretStoreRef", ("name", "namespace", "kind")),
    *_below("jmesPath[]", ("path", "objectAlias")),
)

_TEMPLATE_ITEMS: Final = ("name", *_below("items[]", ("key", "templateAs")))

_EXTERNAL_SECRET: Final = (
    *_below("spec", ("provider", "type", "rotationInterval", "refreshPolicy")),
    *_below("spec.data[]", _SOURCE),
    *_below("spec.dataProcess[].extract", _SOURCE),
    *_below("spec.dataProcess[].replaceRule[]", ("source", "target")),
    *_below("spec.target", ("name", "creationPolicy", "deletionPolicy", "immutable")),
    *_below("spec.target.rolloutRestart[]", ("kind", "name")),
    *_below("spec.target.template", ("type", "mergePolicy", "data")),
    *_below("spec.target.template.metadata", ("labels", "annotations")),
    *_below("spec.target.template.templateFrom[].configMap", _TEMPLATE_ITEMS),
    *_below("spec.target.template.templateFrom[].secret", _TEMPLATE_ITEMS),
    *_below("spec.target.template.templateFrom[]", ("literal", "target")),
    *_below(
        "status",
        (
            "observedGeneration",
            "conditions",
            "target",
            "lastSyncTime",
            "dataSyncResults",
            "observedForceSync",
            "restart",
        ),
    ),
)

_AUTH: Final = (
    *_below("accessKey", _KEY_REF),
    *_below("accessKeySecret", _KEY_REF),
    "ramRoleARN",
    "ramRoleSessionName",
    "roleSessionExpiration",
    "oidcProviderARN",
    "oidcTokenFilePath",
    "remoteRamRoleARN",
    "remoteRamRoleSessionName",
    *_below("serviceAccountRef", ("name", "namespace", "audiences")),
)

_SECRET_STORE: Final = (
    *_below("spec.KMS.KMSAuth", _AUTH),
    *_below("spec.KMS.dedicatedKMSAuth", ("protocol", "endpoint", "ca", "ignoreSSL")),
    *_below("spec.KMS.dedicatedKMSAuth.clientKeyContent", _KEY_REF),
    *_below("spec.KMS.dedicatedKMSAuth.password", _KEY_REF),
    *_below("spec.OOS.OOSAuth", _AUTH),
    *_below("status", ("observedGeneration", "conditions", "capabilities")),
)

_SELECTOR: Final = "spec.conditions[].namespaceSelector"

_NAMESPACES: Final = (
    *_below("spec.conditions[]", ("namespaces", "namespaceRegexes")),
    f"{_SELECTOR}.matchLabels",
    *_below(f"{_SELECTOR}.matchExpressions[]", ("key", "operator", "values")),
)

_CLUSTER_SECRET_STORE: Final = (
    *_SECRET_STORE,
    *_NAMESPACES,
)

_CLUSTER_EXTERNAL_SECRET: Final = (
    *(
        field.replace("spec", "spec.externalSecretSpec", 1)
        for field in _EXTERNAL_SECRET
        if field.startswith("spec")
    ),
    *_below("spec", ("externalSecretName", "rotationInterval")),
    *_below("spec.externalSecretMetadata", ("labels", "annotations")),
    *_NAMESPACES,
    "spec.namespaceSelectors[].matchLabels",
    *_below("spec.namespaceSelectors[].matchExpressions[]", ("key", "operator", "values")),
    *_below(
        "status",
        (
            "observedGeneration",
            "conditions",
            "namespaces",
            "externalSecretName",
            "provisionedNamespaces",
            "failedNamespaces",
        ),
    ),
)

#: By the name of the definition, the fields that this controller reads and writes; ``[]`` stands
#: for each item of a list. A test holds them against ``crds/``.
FIELDS: Final = {
    f"externalsecrets.{GROUP}": _EXTERNAL_SECRET,
    f"secretstores.{GROUP}": _SECRET_STORE,
    f"clustersecretstores.{GROUP}": _CLUSTER_SECRET_STORE,
    f"clusterexternalsecrets.{GROUP}": _CLUSTER_EXTERNAL_SECRET,
}


@dataclass(frozen=True, slots=True)
class Crd(ObjectMeta):
    """The definition of a kind of ours.

    Attributes:
        namespace: Always ``""``.
        name: ``<plural>.<group>``.
        missing: Fields of ours that it does not have, or that it does not serve our version.
            Where all of an object is missing, the object.
    """

    missing: tuple[str, ...]

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Crd | None:
        """Read a CustomResourceDefinition; ``None`` for one that is not of our kinds."""
        metadata = value["metadata"]
        fields = FIELDS.get(metadata["name"])
        if fields is None:
            return None
        return cls(
            namespace="",
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            missing=tuple(dict.fromkeys(_missing(value.get("spec") or {}, fields))),
        )


def _missing(spec: dict[str, Any], fields: Iterable[str]) -> Iterator[str]:
    for version in spec.get("versions") or ():
        if version.get("name") == VERSION and version.get("served"):
            break
    else:
        yield f"version {VERSION}"
        return
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    # Without a schema, or with this remnant of v1beta1, nothing is pruned.
    if not schema or spec.get("preserveUnknownFields"):
        return
    for field in fields:
        gap = _gap(schema, field)
        if gap:
            yield gap


def _gap(schema: dict[str, Any], field: str) -> str:
    """Return the part of a path up to where the schema ends; ``""`` if it contains all of it."""
    steps = field.replace("[]", ".[]").split(".")
    for number, step in enumerate(steps, start=1):
        below = schema.get("items") if step == "[]" else _property(schema, step)
        if below is None:
            # What is written below a schema that preserves is kept, unless it is defined there.
            if schema.get(_PRESERVE):
                return ""
            return ".".join(steps[:number]).replace(".[]", "[]")
        schema = below
    return ""


def _property(schema: dict[str, Any], name: str) -> dict[str, Any] | None:
    found = (schema.get("properties") or {}).get(name)
    if found is None:
        found = schema.get("additionalProperties") or None
    # Anything goes.
    return {_PRESERVE: True} if found is True else found
