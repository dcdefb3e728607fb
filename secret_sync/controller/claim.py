"""Takes over Secrets that an ExternalSecret did not make, where it has a claim to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from secret_sync.controller.adoption import (
    adoptable,
    controller_of,
    legacy_editors,
    may_adopt,
)
from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.intent import owner_intent
from secret_sync.controller.problem import Problem
from secret_sync.kube import (
    METADATA,
    SECRETS,
    ApiNotFoundError,
    ImmutableError,
    OutdatedError,
    Ref,
)
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from secret_sync.resources.names import ADOPT_ANNOTATION
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from secret_sync.controller.desired import Desired
    from secret_sync.controller.memory import Memory
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, ConfirmedOwner, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta

_log = structlog.get_logger(__name__)


class Claims:
    """Judges claims and carries them out.

    Args:
        client: The API server, for the metadata of what is claimed.
        writer: Applies as our field manager.
        objects: The ExternalSecrets.
    """

    def __init__(
        self, client: KubeClient, writer: ApplyWriter, objects: ReadOnlyStore[ExternalSecret]
    ) -> None:
        self._client = client
        self._writer = writer
        self._objects = objects

    async def claim(
        self, es: ExternalSecret, desired: Desired, memory: Memory, current: SecretMeta | None
    ) -> bool | Problem:
        """Takes over a Secret that is not ours, if there is a claim to it."""
        path = SECRETS.path(es.namespace, es.target.name)
        metadata: dict[str, Any] = {}
        if may_adopt(es):
            try:
                metadata = (await self._client.request("GET", path, accept=METADATA))["metadata"]
            except ApiNotFoundError as error:
                raise OutdatedError(error.message, status=404, reason=error.code) from None
        if not metadata or not adoptable(es, metadata, self._objects):
            return _not_ours(es, current, controller_of(metadata))
        ref = Ref(es.namespace, es.target.name, metadata["uid"], metadata["resourceVersion"])
        owner = await confirm_owner(self._client, es)
        try:
            reply = await self._adopt(es, desired, memory, ref, owner)
        except ImmutableError as error:
            return Problem(
                Reason.SECRET_CONFLICT,
                f"Secret {es.namespace}/{es.target.name} was not taken over, because that would "
                f"take making it anew: {error.message}; write its type in spec.type, or delete it",
            )
        await self.drop_others(es, desired, memory, reply, owner)
        _log.info("secret adopted", secret=es.target.name, keys=len(desired.keys))
        return True

    async def _adopt(
        self,
        es: ExternalSecret,
        desired: Desired,
        memory: Memory,
        ref: Ref,
        owner: ConfirmedOwner,
    ) -> dict[str, Any]:
        """Marks the Secret as ours, then takes its fields over from ack-secret-manager (A11).

        The mark comes with the first write: whatever interrupts the rest, it is ours.
        """
        reply = await self._writer.update(SECRETS, owner_intent(es, desired), ref, force=True)
        memory.remember(desired.fingerprint, reply)
        return await self.take_fields(es, desired, memory, reply, owner)

    async def take_fields(
        self,
        es: ExternalSecret,
        desired: Desired,
        memory: Memory,
        reply: dict[str, Any],
        owner: ConfirmedOwner | None = None,
    ) -> dict[str, Any]:
        """Takes what ack-secret-manager owns of a Secret of ours over from it (A11).

        Args:
            es: Whose Secret it is.
            desired: What it holds.
            memory: Of the object.
            reply: The Secret's metadata after our last write.
            owner: That the object has been confirmed for this, if it has.

        Returns:
            The Secret's metadata, which are the given ones if there was nothing to take.
        """
        editors = legacy_editors(reply["metadata"])
        if not editors:
            return reply
        metadata = reply["metadata"]
        where = es.namespace, es.target.name, metadata["uid"]
        ref = Ref(*where, metadata["resourceVersion"])
        owner = owner or await confirm_owner(self._client, es)
        fields = metadata["managedFields"]
        reply = await self._writer.disown(SECRETS, ref, fields, editors, owner)
        # What we did not want of it goes now, in one write.
        ref = Ref(*where, reply["metadata"]["resourceVersion"])
        reply = await self._writer.update(SECRETS, owner_intent(es, desired), ref, force=True)
        memory.remember(desired.fingerprint, reply)
        return reply

    async def drop_others(
        self,
        es: ExternalSecret,
        desired: Desired,
        memory: Memory,
        reply: dict[str, Any],
        owner: ConfirmedOwner | None = None,
    ) -> int:
        """Removes the keys that others own beside ours from a Secret just written (A7a).

        Args:
            es: Whose Secret it is.
            desired: What it holds.
            memory: Of the object.
            reply: The Secret's metadata after our last write.
            owner: That the object has been confirmed for this, if it has.

        Returns:
            How many there were.
        """
        after = secret_from_metadata(reply)
        if not isinstance(after, ManagedSecret):
            return 0
        remove = sorted(after.other_keys - desired.keys)
        if remove:
            ref = Ref(after.namespace, after.name, after.uid, after.resource_version)
            owner = owner or await confirm_owner(self._client, es)
            reply = await self._writer.remove_keys(SECRETS, ref, "data", remove, owner)
            memory.remember(desired.fingerprint, reply)
        return len(remove)


def _not_ours(es: ExternalSecret, current: SecretMeta | None, controller: str) -> Problem:
    where = f"Secret {es.namespace}/{es.target.name}"
    name, _ = owner_of(current)
    if name and name != es.name:
        return Problem(
            Reason.SECRET_CONFLICT,
            f"{where} belongs to ExternalSecret {name}, so it was not touched; "
            "write another name in spec.target.name of one of the two",
        )
    if controller:
        return Problem(
            Reason.SECRET_CONFLICT,
            f"{where} belongs to {controller}, so it was not touched; "
            "write another name in spec.target.name",
        )
    return Problem(
        Reason.SECRET_CONFLICT,
        f"{where} exists and was not made for this ExternalSecret, so it was not touched; delete "
        f"it, write another name in spec.target.name, or have it taken over with the annotation "
        f'{ADOPT_ANNOTATION}: "true"',
    )
