"""What is deleted.

Only what is this very ExternalSecret's is ever deleted, by uid and version.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.controller.secret_target.ownership import adoptable
from secret_sync.controller.secret_target.secret_client import any_version
from secret_sync.kube import SECRETS, ApiNotFoundError, OutdatedError, Ref, converted
from secret_sync.resources import ExternalSecret, ManagedSecret, secret_from_metadata
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from secret_sync.controller.secret_target.merge import MergeWriter
    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.sync import SyncContext
    from secret_sync.resources import SecretMeta

_log = structlog.get_logger(__name__)

#: Index of the Secrets by the ExternalSecrets that write them.
BY_WRITER: Final = "writer"

#: Deletions that are remembered until the cache has them.
_REMEMBERED: Final = 256
#: The garbage collector's, on an object whose dependents are to be kept.
_ORPHAN: Final = "orphan"


def writers_of(secret: SecretMeta) -> tuple[str, ...]:
    """Index a Secret by the uids of the ExternalSecrets that have written it."""
    if not isinstance(secret, ManagedSecret):
        return ()
    _, uid = owner_of(secret)
    merged = (merger for merger, keys in secret.merged.items() if keys)
    return tuple({uid, *merged} - {""})


class PrunedTargets(NamedTuple):
    """What became of the Secrets that an ExternalSecret wrote under other names.

    Attributes:
        deleted: The names of those that were deleted.
        changed: Whether one is left because it is not what the cache says.
    """

    deleted: tuple[str, ...] = ()
    changed: bool = False


class SecretCleanup:
    """Deletes what an ExternalSecret made and needs no more.

    Args:
        client: Reads and deletes it.
        merging: Removes keys from what is not its own.
    """

    def __init__(self, client: SecretClient, merging: MergeWriter) -> None:
        self._client = client
        self._merging = merging
        # Uids of the latest ones; the cache knows of them within seconds.
        self._deleted: deque[str] = deque(maxlen=_REMEMBERED)

    async def prune_previous_targets(self, es: ExternalSecret) -> PrunedTargets:
        """Remove what the ExternalSecret wrote under other names; its target holds it now.

        A Secret of its own is deleted, unless it is to be retained. Keys that were merged into
        one that is not managed by secret-sync are removed from it.

        Raises:
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
            ApiError: The API server refused, or did not answer.
        """
        target = object_key(es.namespace, es.target.name)
        deleted = []
        changed = False
        secrets = self._client.secrets
        for key in tuple(secrets.by_index(BY_WRITER, es.uid)):
            secret = secrets.get(key)
            if key == target or not isinstance(secret, ManagedSecret) or secret.deleting:
                continue
            if secret.uid in self._deleted:
                # The event is on the way.
                continue
            if secret.namespace != es.namespace:
                # A copy that a backup tool made of it, marks and all.
                continue
            try:
                if owner_of(secret) != (es.name, es.uid):
                    owner = await confirm_owner(self._client.kube, es)
                    await self._merging.leave(es, secret, owner)
                elif not es.target.retain:
                    await self._delete(es, secret)
                    deleted.append(secret.name)
            except OutdatedError:
                changed = True
        return PrunedTargets(tuple(deleted), changed)

    async def clean_up(self, ctx: SyncContext) -> bool:
        """Delete the Secret of an ExternalSecret none of whose values exists any more.

        Returns:
            Whether there was one that is its own.

        Raises:
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
            ApiError: The API server refused, or did not answer.
        """
        es, secret = ctx.es, self._client.cached(ctx.es)
        if (
            es.target.merge
            or es.target.retain
            or not isinstance(secret, ManagedSecret)
            or secret.deleting
            or owner_of(secret) != (es.name, es.uid)
        ):
            return False
        try:
            await self._delete(es, secret)
        except OutdatedError:
            return False
        ctx.state.applied = None
        ctx.state.written = None
        return True

    async def delete_on_finalize(self, es: ExternalSecret) -> None:
        """Delete the Secret of an ExternalSecret that waits for its finalizer to be removed.

        The garbage collector may know nothing of it: what ack-secret-manager made refers to
        no owner.

        Raises:
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
            ApiError: The API server refused, or did not answer.
        """
        # The informer's copy may have been read through an outdated schema: what cannot be undone
        # is decided by what the API server says now.
        try:
            path = EXTERNAL_SECRETS.path(es.namespace, es.name)
            found = await self._client.kube.request("GET", path)
        except ApiNotFoundError:
            return
        es, asked = converted(ExternalSecret.from_dict, found, path), es
        if es.uid != asked.uid or not es.deleting:
            # Another one of that name, which lives.
            return
        if _ORPHAN in (found["metadata"].get("finalizers") or ()):
            # Deleted with --cascade=orphan: what it owned is to stay.
            return
        if es.target.merge or es.target.retain:
            return
        try:
            metadata = await self._client.metadata(any_version(es))
        except OutdatedError:
            return
        secret = secret_from_metadata({"metadata": metadata})
        ours = owner_of(secret) == (es.name, es.uid)
        # That it wishes for a Secret does not make it the object's.
        legacy = replace(es, adopt=False)
        if ours or adoptable(legacy, metadata, self._client.objects):
            await self._delete(es, secret)

    async def _delete(self, es: ExternalSecret, secret: SecretMeta) -> None:
        owner = await confirm_owner(self._client.kube, es)
        ref = Ref(secret.namespace, secret.name, secret.uid, secret.resource_version)
        await self._client.writer.delete(SECRETS, ref, owner)
        self._deleted.append(secret.uid)
        _log.info("secret deleted", secret=secret.name)
