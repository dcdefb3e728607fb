"""What manages an ExternalSecret: its controller, and what that applied to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from secret_sync.resources.meta import interned
from secret_sync.resources.names import FIELD_MANAGER, GROUP, REPLACED_BY_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER_KIND: Final = "ClusterExternalSecret"


class ControllerRef(NamedTuple):
    """The controller that the ownerReferences of an object name.

    Attributes:
        is_cluster: Whether it is a ClusterExternalSecret.
    """

    uid: str
    kind: str
    name: str
    is_cluster: bool

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.kind} {self.name}"


def controller_of(metadata: dict[str, Any]) -> ControllerRef | None:
    """Return the controller of an object, if it has one."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            kind = interned(reference.get("kind"))
            group = str(reference.get("apiVersion") or "").partition("/")[0]
            return ControllerRef(
                uid=interned(reference.get("uid")),
                kind=kind,
                name=interned(reference.get("name")),
                is_cluster=kind == CLUSTER_KIND and group == GROUP,
            )
    return None


def applied_digest(value: dict[str, Any]) -> bytes:
    """Return the digest of what our field manager applied to a child, as it is by now.

    It is that of :func:`template_digest` unless another writer changed the object. ``b""`` for an
    object that no ClusterExternalSecret manages, or to which nothing was applied yet.
    """
    metadata = value["metadata"]
    # Of most objects this is all that is looked at.
    if not metadata.get("ownerReferences"):
        return b""
    controller = controller_of(metadata)
    if controller is None or not controller.is_cluster:
        return b""
    applied = _applied_fields(metadata)
    if applied is None:
        return b""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    ours = set(applied.get("f:annotations") or ()) | {f"f:{REPLACED_BY_ANNOTATION}"}
    return template_digest(
        value.get("spec") or {},
        {k: v for k, v in labels.items() if f"f:{k}" in (applied.get("f:labels") or ())},
        {k: v for k, v in annotations.items() if f"f:{k}" in ours},
    )


def template_digest(
    spec: Mapping[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> bytes:
    """Return what identifies what a child should be."""
    parts = [spec, labels, annotations]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()


def _applied_fields(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Return which fields of the metadata our apply owns; ``None`` where there was none."""
    for entry in metadata.get("managedFields") or ():
        if (
            entry.get("manager") == FIELD_MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
            return fields if isinstance(fields, dict) else {}
    return None
