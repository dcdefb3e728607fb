"""The one way to an act that cannot be undone: the API server confirms whose act it is.

The informer's copy of an ExternalSecret may be old. What it says is good enough for writes
that the next reconcile corrects, but a Secret that was deleted, recreated or taken over stays
so. Before each such act the API server is asked whether the object is still what the copy
says; where it is not, nothing is done: the watch brings the change, which enqueues the object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.controller.kinds import CLUSTER_EXTERNAL_SECRETS, EXTERNAL_SECRETS
from secret_sync.errors import SecretSyncError
from secret_sync.kube import METADATA, ApiNotFoundError, ConfirmedOwner
from secret_sync.resources.meta import intent_revision

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient, Resource
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret


class OwnerChangedError(SecretSyncError):
    """The object is not what the informer says; that event is on the way."""


class OwnerGoneError(OwnerChangedError):
    """The object is deleted, or about to be."""


async def confirm_owner(client: KubeClient, es: ExternalSecret) -> ConfirmedOwner:
    """Confirm that an ExternalSecret is, at the API server, still what our copy of it says.

    Its uid, generation, labels, annotations, finalizers and deletion decide: all that an act
    can follow from, and nothing of what our own writes change. To be called right before the
    act; what it returns is the permission for it.

    Raises:
        OwnerChangedError: It is not.
        ApiError: The API server refused, or did not answer.
    """
    return await _confirm(client, EXTERNAL_SECRETS, es)


async def confirm_cluster_owner(client: KubeClient, ces: ClusterExternalSecret) -> ConfirmedOwner:
    """Confirm the same of a ClusterExternalSecret, which acts on every namespace.

    Raises:
        OwnerChangedError: It is not.
        ApiError: The API server refused, or did not answer.
    """
    return await _confirm(client, CLUSTER_EXTERNAL_SECRETS, ces)


async def _confirm(
    client: KubeClient, resource: Resource, obj: ExternalSecret | ClusterExternalSecret
) -> ConfirmedOwner:
    where = f"{resource.kind} {obj.namespace}/{obj.name}".replace(" /", " ")
    path = resource.path(obj.namespace, obj.name)
    try:
        metadata = (await client.request("GET", path, accept=METADATA))["metadata"]
    except ApiNotFoundError:
        raise OwnerGoneError(f"{where} is deleted") from None
    if metadata["uid"] != obj.uid or (metadata.get("deletionTimestamp") and not obj.deleting):
        raise OwnerGoneError(f"{where} is deleted")
    if intent_revision(metadata) != obj.revision:
        raise OwnerChangedError(f"{where} has changed meanwhile")
    return ConfirmedOwner(obj.namespace, obj.name, obj.uid)
