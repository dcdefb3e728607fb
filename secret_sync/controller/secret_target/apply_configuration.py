"""The apply configurations of a Secret, in full: no timestamps, nothing empty."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from secret_sync.controller.secret_target.ownership import owner_mark
from secret_sync.errors import TransientError
from secret_sync.kube import SECRETS
from secret_sync.resources.external_secret import KIND
from secret_sync.resources.names import (
    API_VERSION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_ANNOTATION,
    RENDERED_ANNOTATION,
)
from secret_sync.resources.secret import rendered_metadata

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.resources import ExternalSecret


def owner_apply_configuration(
    es: ExternalSecret, desired: Desired, *, controlled: bool = False, labelled: bool = False
) -> dict[str, Any]:
    """Return the Secret as the ExternalSecret's own.

    Args:
        es: Whose it is.
        desired: What it should hold.
        controlled: Whether it has another controller; the API server refuses a second one.
        labelled: Whether another writer has set the label ``managed-by``; our apply would take it.
    """
    whole = {
        **mark_apply_configuration(es, controlled=controlled, labelled=labelled),
        "type": es.secret_type,
        "data": encoded(desired),
    }
    if desired.named:
        _add_rendered(whole["metadata"], desired)
        rendered = " ".join(sorted(desired.named))
        whole["metadata"]["annotations"][RENDERED_ANNOTATION] = rendered
    if es.target.immutable:
        whole["immutable"] = True
    return whole


def is_applied(configuration: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether a Secret is as an apply of its owner would make it.

    Args:
        configuration: What would be applied.
        found: The Secret, with its values.
    """
    metadata, wanted = found["metadata"], configuration["metadata"]
    annotations = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    references = {r["uid"]: r for r in metadata.get("ownerReferences") or ()}
    return (
        found.get("type") == configuration["type"]
        and found.get("data") == configuration["data"]
        and bool(found.get("immutable")) == bool(configuration.get("immutable"))
        and wanted["annotations"].items() <= annotations.items()
        # Older versions did not set our label: it comes with the next change.
        and wanted.get("labels", {}).items() <= {MANAGED_BY_LABEL: MANAGED_BY, **labels}.items()
        and all(
            reference.items() <= references.get(reference["uid"], {}).items()
            for reference in wanted.get("ownerReferences") or ()
        )
    )


def mark_apply_configuration(
    es: ExternalSecret, *, controlled: bool = False, labelled: bool = False
) -> dict[str, Any]:
    """Return the marks of a Secret as the ExternalSecret's own, without its content."""
    whole = empty_apply_configuration(es)
    whole["metadata"]["annotations"] = {OWNER_ANNOTATION: owner_mark(es)}
    if not labelled:
        whole["metadata"]["labels"] = {MANAGED_BY_LABEL: MANAGED_BY}
    if not es.target.retain:
        # The garbage collector deletes the Secret with its ExternalSecret; no finalizer.
        reference: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": es.name,
            "uid": es.uid,
        }
        if not controlled:
            reference["controller"] = True
        whole["metadata"]["ownerReferences"] = [reference]
    return whole


def merge_apply_configuration(es: ExternalSecret, desired: Desired) -> dict[str, Any]:
    """Return our keys in a Secret that is not managed by secret-sync, and nothing else."""
    whole = {**empty_apply_configuration(es), "data": encoded(desired)}
    if desired.named:
        _add_rendered(whole["metadata"], desired)
    return whole


def _add_rendered(metadata: dict[str, Any], desired: Desired) -> None:
    if desired.metadata.labels:
        metadata["labels"] = {**metadata.get("labels", {}), **desired.metadata.labels}
    if desired.metadata.annotations:
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            **desired.metadata.annotations,
        }


def empty_apply_configuration(es: ExternalSecret, name: str = "") -> dict[str, Any]:
    """Return nothing of a Secret (default: the target): applied, it gives up what is ours."""
    return {
        "apiVersion": "v1",
        "kind": SECRETS.kind,
        "metadata": {"namespace": es.namespace, "name": name or es.target.name},
    }


def keep_rendered(metadata: dict[str, Any], found: dict[str, Any]) -> None:
    """Add the labels and annotations that a template has rendered into a Secret, as they are."""
    rendered = rendered_metadata(found)
    if not rendered:
        return
    for field in ("labels", "annotations"):
        kept = {k: v for k, v in (found.get(field) or {}).items() if f"{field}/{k}" in rendered}
        if kept:
            metadata[field] = {**metadata.get(field, {}), **kept}
    metadata["annotations"][RENDERED_ANNOTATION] = found["annotations"][RENDERED_ANNOTATION]


def values_needed(es: ExternalSecret) -> TransientError:
    """Return what to raise where a write has no values.

    The Secret needed no write when they were not asked for, a moment ago: time has passed.
    """
    return TransientError(
        f"Secret {es.namespace}/{es.target.name} has to be written, and its values are not at hand"
    )


def encoded(desired: Desired) -> dict[str, str]:
    """Return the data of a Secret as it is written; the values have to be there."""
    if desired.data is None:
        raise AssertionError  # the caller has seen to it that the values are there
    return {key: b64encode(value).decode() for key, value in desired.data.items()}
