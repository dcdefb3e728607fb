"""ClusterExternalSecret: one ExternalSecret in each namespace that should have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from secret_sync.resources.controllers import CLUSTER_KIND, template_digest
from secret_sync.resources.external_secret import ExternalSecret
from secret_sync.resources.meta import CustomObject, intent_revision, interned, text
from secret_sync.resources.names import (
    FORCE_SYNC_ANNOTATION,
    LAST_APPLIED_ANNOTATION,
    LEGACY_FINALIZER,
)
from secret_sync.resources.namespace_rule import NamespaceRule
from secret_sync.resources.status import ClusterExternalSecretStatus

if TYPE_CHECKING:
    from collections.abc import Hashable

KIND: Final = CLUSTER_KIND

#: Labels or annotations, as pairs.
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ClusterExternalSecret(CustomObject[ClusterExternalSecretStatus]):
    """A ClusterExternalSecret as the informer keeps it.

    Attributes:
        child_name: Of the ExternalSecrets (default: its own).
        spec: Theirs, as JSON.
        labels: Theirs.
        annotations: Theirs, with the ``force-sync`` of this object.
        target: The Secret that they write.
        digest: Of all of these; see ``ExternalSecret.applied``.
        rules: Which namespaces have one; ``None``: all.
        rule_fields: Where each of the rules is written.
    """

    child_name: str
    spec: bytes
    labels: Pairs
    annotations: Pairs
    target: str
    digest: bytes
    rules: tuple[NamespaceRule, ...] | None
    rule_fields: tuple[str, ...]

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ClusterExternalSecret:
        """Read a ClusterExternalSecret as the API server stores it."""
        metadata = value["metadata"]
        spec = value.get("spec") or {}
        child, extra = spec.get("externalSecretSpec") or {}, spec.get("externalSecretMetadata")
        wish = text((metadata.get("annotations") or {}).get(FORCE_SYNC_ANNOTATION))
        name = interned(spec.get("externalSecretName")) or interned(metadata["name"])
        labels = _pairs((extra or {}).get("labels"))
        annotations = dict(_pairs((extra or {}).get("annotations")))
        annotations.pop(LAST_APPLIED_ANNOTATION, None)
        if wish:
            annotations[FORCE_SYNC_ANNOTATION] = wish
        conditions, selectors = spec.get("conditions") or (), spec.get("namespaceSelectors") or ()
        rules = (
            *map(NamespaceRule.from_dict, conditions),
            *(NamespaceRule.from_dict({"namespaceSelector": s}) for s in selectors),
        )
        return cls(
            namespace="",
            name=interned(metadata["name"]),
            uid=interned(metadata["uid"]),
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            revision=intent_revision(metadata),
            deleting=bool(metadata.get("deletionTimestamp")),
            legacy=LEGACY_FINALIZER in (metadata.get("finalizers") or ()),
            force_sync=wish,
            status=ClusterExternalSecretStatus.from_dict(value.get("status") or {}),
            child_name=name,
            spec=orjson.dumps(child, option=orjson.OPT_SORT_KEYS),
            labels=labels,
            annotations=tuple(sorted(annotations.items())),
            target=interned((child.get("target") or {}).get("name")) or name,
            digest=template_digest(child, dict(labels), annotations),
            rules=rules or None,
            rule_fields=(
                *(f"conditions[{number}]" for number in range(len(conditions))),
                *(f"namespaceSelectors[{number}]" for number in range(len(selectors))),
            ),
        )

    @property
    def intent(self) -> Hashable:
        """All that its author has written in ``spec``."""
        written = tuple(pair for pair in self.annotations if pair[0] != FORCE_SYNC_ANNOTATION)
        return self.child_name, self.spec, self.labels, written, self.rules

    @property
    def kind(self) -> str:
        """``ClusterExternalSecret``."""
        return KIND

    @property
    def template(self) -> ExternalSecret:
        """The ExternalSecret of a namespace, named like this object, to look for mistakes."""
        return ExternalSecret.from_dict(
            {
                "metadata": {
                    "namespace": self.name,
                    "name": self.child_name,
                    "uid": self.uid,
                    "generation": self.generation,
                    "resourceVersion": self.resource_version,
                },
                "spec": orjson.loads(self.spec),
            }
        )


def _pairs(value: dict[str, Any] | None) -> Pairs:
    return tuple(sorted((interned(key), text(v)) for key, v in (value or {}).items()))
