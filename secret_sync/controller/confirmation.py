"""The one way to an act that cannot be undone: the API server confirms whose act it is.

The informer's copy of an ExternalSecret may be old. What it says is good enough for writes
that the next reconcile corrects, but a Secret that was deleted, recreated or taken over stays
so. Before each such act the API server is asked whether the object is still what the copy
says; where it is not, nothing is done: the watch brings the change, which enqueues the object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.errors import SecretSyncError
from secret_sync.kube import METADATA, ApiNotFoundError, ConfirmedOwner
from secret_sync.resources.meta import intent_revision

if TYPE_CHECKING:
    from secret_sync.kube import KubeClient
    from secret_sync.resources import ExternalSecret


class OwnerChangedError(SecretSyncError):
    """The ExternalSecret is not what the informer says; that event is on the way."""


class OwnerGoneError(OwnerChangedError):
    """The ExternalSecret is deleted, or about to be."""


async def confirm_owner(client: KubeClient, es: ExternalSecret) -> ConfirmedOwner:
    """Confirm that an ExternalSecret is, at the API server, still what our copy of it says.

    Its uid, generation, labels, annotations, finalizers and deletion decide: all that an act
    can follow from, and nothing of what our own writes change. To be called right before the
    act; what it returns is the permission for it.

    Raises:
        OwnerChangedError: It is not.
        ApiError: The API server refused, or did not answer.
    """
    where = f"ExternalSecret {es.namespace}/{es.name}"
    path = EXTERNAL_SECRETS.path(es.namespace, es.name)
    try:
        metadata = (await client.request("GET", path, accept=METADATA))["metadata"]
    except ApiNotFoundError:
        raise OwnerGoneError(f"{where} is deleted") from None
    if metadata["uid"] != es.uid or (metadata.get("deletionTimestamp") and not es.deleting):
        raise OwnerGoneError(f"{where} is deleted")
    if intent_revision(metadata) != es.revision:
        raise OwnerChangedError(f"{where} has changed meanwhile")
    return ConfirmedOwner(es.namespace, es.name, es.uid)
