"""Which Secrets are managed, and the patch that releases one, from metadata alone.

Values are never read: the command has to work without seeing any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secret_sync.resources.controllers import CLUSTER_KIND
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.meta import ObjectMeta
from secret_sync.resources.names import (
    FIELD_MANAGER,
    GROUP,
    MANAGED_BY_LABEL,
    OWNER_ANNOTATION,
    RENDERED_ANNOTATION,
)
from secret_sync.resources.secret import is_labelled_by_another, own_label, rendered_metadata

#: The field manager of a released Secret. It must not be our own: an apply of that one, after a
#: new installation, would delete the keys that it omits.
RELEASED_MANAGER: Final = "secret-sync-released"
_MARKS: Final = (OWNER_ANNOTATION, RENDERED_ANNOTATION)
#: The only field that it owns. Keys without an owner can be taken over without a conflict, also
#: with ``kubectl apply --server-side``, and without us as a second owner. But without any entry the
#: API server would add an owner of all fields (``before-first-apply``), which conflicts again.
_RELEASED_FIELDS: Final[dict[str, Any]] = {"f:type": {}}


@dataclass(frozen=True, slots=True)
class ReleasableSecret:
    """A Secret that secret-sync manages.

    Attributes:
        deleting: Whether it is already being deleted.
        patch: A merge patch that releases this Secret in exactly this version.
    """

    namespace: str
    name: str
    uid: str
    deleting: bool
    patch: dict[str, Any]

    @property
    def title(self) -> str:
        """Return the name for a report."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class OrphanRisk:
    """An unmanaged Secret that would be deleted with an ExternalSecret nevertheless."""

    namespace: str
    name: str
    owner: str

    @property
    def title(self) -> str:
        """Return the name for a report."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class OwnedChild(ObjectMeta):
    """An ExternalSecret that would be deleted with its ClusterExternalSecret.

    Attributes:
        patch: A merge patch that prevents that, for exactly this version.
    """

    patch: dict[str, Any]


def classify_child(value: dict[str, Any]) -> OwnedChild | None:
    """Return an ExternalSecret that a ClusterExternalSecret owns, by its metadata."""
    metadata = value["metadata"]
    references = metadata.get("ownerReferences") or []
    kept = [r for r in references if not _refers_to(r, CLUSTER_KIND)]
    if len(kept) == len(references):
        return None
    version = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return OwnedChild(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        patch={"metadata": {**version, "ownerReferences": kept or None}},
    )


def classify(value: dict[str, Any]) -> ReleasableSecret | OrphanRisk | None:
    """Return whether a Secret is managed, at risk of being deleted, or neither.

    A Secret is managed if our field manager set its owner annotation; a copied annotation does not
    count. It is also managed if our field manager wrote it and an ExternalSecret owns it: without
    the annotation the garbage collector would still delete it.

    Args:
        value: The Secret's metadata, as ``{"metadata": {...}}``.
    """
    metadata = value["metadata"]
    references = metadata.get("ownerReferences") or []
    owners = [reference for reference in references if _refers_to(reference, KIND)]
    entries = metadata.get("managedFields") or []
    written = [entry for entry in entries if _is_apply_of_ours(entry)]
    if not (written and owners) and not any(map(_owns_annotation, written)):
        if owners:
            return OrphanRisk(metadata["namespace"], metadata["name"], owners[0]["name"])
        return None
    return ReleasableSecret(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        deleting=bool(metadata.get("deletionTimestamp")),
        patch={
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "annotations": dict.fromkeys(
                    name for name in _MARKS if name in (metadata.get("annotations") or {})
                ),
                **({"labels": {MANAGED_BY_LABEL: None}} if _has_our_label(metadata) else {}),
                "ownerReferences": [r for r in references if r not in owners] or None,
                "managedFields": _released_managed_fields(entries, written[-1]),
            }
        },
    )


def _has_our_label(metadata: dict[str, Any]) -> bool:
    """Return whether the label ``managed-by`` is our mark, neither rendered nor another's."""
    ours = own_label(metadata) - rendered_metadata(metadata)
    return bool(ours) and not is_labelled_by_another(metadata)


def _refers_to(reference: dict[str, Any], kind: str) -> bool:
    group = str(reference.get("apiVersion")).partition("/")[0]
    return group == GROUP and reference.get("kind") == kind


def _is_ours(entry: dict[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def _is_apply_of_ours(entry: dict[str, Any]) -> bool:
    return _is_ours(entry) and entry.get("operation") == "Apply"


def _owns_annotation(entry: dict[str, Any]) -> bool:
    metadata = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    return f"f:{OWNER_ANNOTATION}" in (metadata.get("f:annotations") or {})


def _released_managed_fields(
    entries: list[dict[str, Any]], last: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return ``managedFields`` without our field manager; other entries are unchanged."""
    others = [
        entry
        for entry in entries
        if not _is_ours(entry) and entry.get("manager") != RELEASED_MANAGER
    ]
    released = {
        **last,
        "manager": RELEASED_MANAGER,
        "operation": "Update",
        "fieldsV1": _RELEASED_FIELDS,
    }
    return [*others, released]
