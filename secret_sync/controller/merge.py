"""``creationPolicy: Merge``: our keys in a Secret of somebody else.

Never by force: whoever owns a key with another value keeps it, and the user is told.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.intent import merge_intent
from secret_sync.controller.ownership import behind, merged_by
from secret_sync.controller.problem import Problem
from secret_sync.kube import (
    METADATA,
    SECRETS,
    ApiError,
    ApiNotFoundError,
    ApiUnavailableError,
    ApplyWriter,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
    Ref,
)
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from secret_sync.resources.names import MERGE_MANAGER
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secret_sync.controller.desired import Desired
    from secret_sync.controller.memory import Memory
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ConfirmedOwner, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta

_log = structlog.get_logger(__name__)

#: A write that finds another version than it was judged by is judged again, so often at most.
_JUDGEMENTS: Final = 4
_FORBIDDEN: Final = 403


class MergeWriter:
    """Writes the keys of ExternalSecrets into Secrets that exist.

    Args:
        client: The API server.
        objects: The ExternalSecrets.
    """

    def __init__(self, client: KubeClient, objects: ReadOnlyStore[ExternalSecret]) -> None:
        self._client = client
        self._objects = objects

    def is_right(
        self, es: ExternalSecret, desired: Desired, memory: Memory, current: SecretMeta | None
    ) -> bool:
        """Whether the Secret needs no write."""
        applied = memory.applied
        if applied is None or applied.fingerprint != desired.fingerprint:
            return False
        if behind(current, applied, asyncio.get_running_loop().time()):
            return True
        return (
            isinstance(current, ManagedSecret)
            and current.uid == applied.uid
            and merged_by(es, current) == desired.keys
        )

    async def ensure(
        self, es: ExternalSecret, desired: Desired, memory: Memory, current: SecretMeta | None
    ) -> bool | Problem:
        """Makes our keys what is desired.

        Returns:
            Whether the Secret was changed, or why it was left as it is.

        Raises:
            ApiUnavailableError: Later, perhaps.
        """
        if self.is_right(es, desired, memory, current):
            return False
        try:
            for _ in range(_JUDGEMENTS):
                current = current or await self._read(es)
                if current is None:
                    memory.applied = None
                    return _missing(es)
                owner, _ = owner_of(current)
                if owner:
                    return _owned(es, owner)
                try:
                    return await self._write(es, desired, memory, current)
                except OutdatedError:
                    current = None
        except ApiUnavailableError:
            raise
        except ApiError as error:
            return _refusal(es, error)
        raise ApiUnavailableError(f"Secret {es.namespace}/{es.target.name} changes all the time")

    async def take(
        self, es: ExternalSecret, desired: Desired, memory: Memory, ref: Ref
    ) -> dict[str, Any]:
        """Writes our keys into a Secret that was this object's own until now.

        Raises:
            OutdatedError: It is not the one that was judged.
            ApiError: The server refused.
        """
        intent = {**merge_intent(es, desired), "type": es.secret_type}
        reply = await self._writer(es).update(SECRETS, intent, ref, force=True)
        memory.remember(desired.fingerprint, reply)
        return reply

    async def leave(self, uid: str, secret: ManagedSecret, owner: ConfirmedOwner) -> dict[str, Any]:
        """Takes the keys of an ExternalSecret out of a Secret that is its target no more.

        Args:
            uid: Of that ExternalSecret, which may be gone.
            secret: The Secret as it was judged.
            owner: On whose behalf.

        Returns:
            The Secret's metadata; keys that others own as well are still in it.

        Raises:
            OutdatedError: It has changed since.
            ApiError: The server refused.
        """
        nothing = {
            "apiVersion": "v1",
            "kind": SECRETS.kind,
            "metadata": {"namespace": owner.namespace, "name": secret.name},
        }
        ref = Ref(owner.namespace, secret.name, secret.uid, secret.resource_version)
        writer = ApplyWriter(self._client, f"{MERGE_MANAGER}{uid}")
        return await writer.update(SECRETS, nothing, ref, force=False)

    async def _write(
        self, es: ExternalSecret, desired: Desired, memory: Memory, current: SecretMeta
    ) -> bool | Problem:
        ref = Ref(es.namespace, es.target.name, current.uid, current.resource_version)
        intent = merge_intent(es, desired)
        writer = self._writer(es)
        try:
            reply = await writer.update(SECRETS, intent, ref, force=False)
        except OwnedByOthersError as error:
            owners = await writer.owners(SECRETS, ref, error)
            if not self._left_behind(es, owners):
                return _conflict(es, owners)
            await confirm_owner(self._client, es)
            reply = await writer.update(SECRETS, intent, ref, force=True)
        memory.remember(desired.fingerprint, reply)
        await self._relieve(es, desired, memory, reply)
        changed = bool(reply["metadata"]["resourceVersion"] != ref.resource_version)
        if changed:
            _log.info("secret merged into", secret=es.target.name, keys=len(desired.keys))
        return changed

    async def _relieve(
        self, es: ExternalSecret, desired: Desired, memory: Memory, reply: dict[str, Any]
    ) -> None:
        """Takes our keys off those that merged them before us and are gone.

        They would own them with us, so that leaving one out later would not delete it (A2).
        """
        secret = secret_from_metadata(reply)
        if not isinstance(secret, ManagedSecret):
            return
        for uid, keys in secret.merged:
            gone = not any(o.uid == uid for o in self._living(es))
            if uid != es.uid and keys & desired.keys and gone:
                owner = await confirm_owner(self._client, es)
                reply = await self.leave(uid, secret, owner)
                memory.remember(desired.fingerprint, reply)
                version = reply["metadata"]["resourceVersion"]
                secret = replace(secret, resource_version=version)

    def _living(self, es: ExternalSecret) -> Iterator[ExternalSecret]:
        return (o for o in self._objects.values() if o.namespace == es.namespace)

    def _left_behind(self, es: ExternalSecret, owners: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether those who own our keys are ExternalSecrets of this namespace that are gone."""
        living = {o.uid for o in self._living(es)}
        managers = {manager for held in owners.values() for manager in held}
        return bool(managers) and all(
            manager.startswith(MERGE_MANAGER) and manager.removeprefix(MERGE_MANAGER) not in living
            for manager in managers
        )

    def _writer(self, es: ExternalSecret) -> ApplyWriter:
        # One manager each: two that merge into one Secret would delete each other's keys (A2).
        return ApplyWriter(self._client, f"{MERGE_MANAGER}{es.uid}")

    async def _read(self, es: ExternalSecret) -> SecretMeta | None:
        path = SECRETS.path(es.namespace, es.target.name)
        try:
            return secret_from_metadata(await self._client.request("GET", path, accept=METADATA))
        except ApiNotFoundError:
            return None


def _missing(es: ExternalSecret) -> Problem:
    return Problem(
        Reason.TARGET_MISSING,
        f"Secret {es.namespace}/{es.target.name} does not exist, and creationPolicy Merge writes "
        "only into one that does; create it, or leave creationPolicy out",
    )


def _owned(es: ExternalSecret, owner: str) -> Problem:
    return Problem(
        Reason.SECRET_CONFLICT,
        f"Secret {es.namespace}/{es.target.name} belongs to ExternalSecret {owner}, which would "
        "take further keys out of it; merge into another one",
    )


def _conflict(es: ExternalSecret, owners: Mapping[str, tuple[str, ...]]) -> Problem:
    keys = ", ".join(sorted(owners))
    managers = ", ".join(sorted({m for held in owners.values() for m in held})) or "somebody else"
    return Problem(
        Reason.KEY_CONFLICT,
        f"Secret {es.namespace}/{es.target.name}: {managers} set another value for {keys}, so "
        "nothing was written; delete the key there, or give it another name here",
    )


def _refusal(es: ExternalSecret, error: ApiError) -> Problem:
    where = f"Secret {es.namespace}/{es.target.name} was not written"
    if isinstance(error, ImmutableError):
        return Problem(Reason.WRITE_FAILED, f"{where}: it is immutable")
    if error.status == _FORBIDDEN:
        advice = "; see its RBAC rules" if error.lacks_right else ""
        return Problem(Reason.WRITE_FORBIDDEN, f"{where}: {error.message}{advice}")
    return Problem(Reason.WRITE_FAILED, f"{where}, the API server refused it: {error.message}")
