"""Which Secrets of others an ExternalSecret may take over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secret_sync.resources.external_secret import KIND
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import GROUP, LEGACY_LABEL, LEGACY_MANAGERS, OWNER_ANNOTATION

if TYPE_CHECKING:
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.resources import ExternalSecret


def may_adopt(es: ExternalSecret) -> bool:
    """Return whether the ExternalSecret has a claim to a Secret that it did not make."""
    return es.adopt or es.legacy


def adoptable(
    es: ExternalSecret, metadata: dict[str, Any], others: ReadOnlyStore[ExternalSecret]
) -> bool:
    """Return whether a Secret that is not ours is the ExternalSecret's to take over.

    It is if ack-secret-manager made it for this very object, which its finalizer shows, or
    if the author of the object says so. What has a controller is that one's, and what another
    ExternalSecret made is that one's as long as there is one.

    Args:
        es: Who wants it.
        metadata: The Secret's, whole.
        others: All ExternalSecrets.
    """
    if metadata.get("deletionTimestamp") or controller_of(metadata, es, others):
        return False
    mark = (metadata.get("annotations") or {}).get(OWNER_ANNOTATION) or ""
    if es.adopt:
        owner = marked_by(es.namespace, mark, others)
        return owner is None or owner.uid == es.uid
    return es.legacy and not mark and made_by_legacy(metadata) and _made_for(es, others)


def _made_for(es: ExternalSecret, others: ReadOnlyStore[ExternalSecret]) -> bool:
    """Return whether what ack-secret-manager made under that name was for this very object.

    Nothing but the name shows it: the object's own, or since 0.6 ``spec.target.name``, which
    counts only if no other object names it.
    """
    return es.target.name == es.name or not any(
        other.namespace == es.namespace
        and other.uid != es.uid
        and other.target.name == es.target.name
        for other in others.values()
    )


def made_by_legacy(metadata: dict[str, Any]) -> bool:
    """Return whether ack-secret-manager made the Secret: 0.5.x labels it, 0.6.x edited it."""
    return LEGACY_LABEL in (metadata.get("labels") or {}) or bool(legacy_editors(metadata))


def legacy_editors(metadata: dict[str, Any]) -> frozenset[str]:
    """Return the field managers of ack-secret-manager that set data of the Secret."""
    return frozenset(
        entry["manager"]
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") in LEGACY_MANAGERS
        and entry.get("operation") == "Update"
        and "f:data" in (entry.get("fieldsV1") or {})
    )


def data_editors(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Return all field managers that set data of the Secret."""
    return tuple(
        sorted(
            {
                entry.get("manager") or ""
                for entry in metadata.get("managedFields") or ()
                if not {"f:data", "f:stringData"}.isdisjoint(entry.get("fieldsV1") or ())
            }
        )
    )


def marked_by(
    namespace: str, mark: str, others: ReadOnlyStore[ExternalSecret]
) -> ExternalSecret | None:
    """Return the ExternalSecret that the owner annotation of a Secret names, if it exists."""
    name, _, uid = mark.partition("/")
    owner = others.get(object_key(namespace, name)) if name else None
    return owner if owner is not None and owner.uid == uid else None


def controller_of(
    metadata: dict[str, Any], es: ExternalSecret, others: ReadOnlyStore[ExternalSecret]
) -> str:
    """Return kind and name of the Secret's controller, or ``""``.

    Neither the ExternalSecret itself nor one that no longer exists counts.
    """
    for reference in controllers(metadata):
        kind, name = reference.get("kind"), reference.get("name") or ""
        if kind == KIND and (reference.get("apiVersion") or "").startswith(f"{GROUP}/"):
            living = marked_by(es.namespace, f"{name}/{reference.get('uid')}", others)
            if reference.get("uid") == es.uid or living is None:
                continue
        return f"{kind} {name}"
    return ""


def controllers(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ownerReferences of the Secret's controllers; the API server allows one."""
    return [r for r in metadata.get("ownerReferences") or () if r.get("controller")]
