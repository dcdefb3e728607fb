"""Writes Secrets: decided on metadata, written by server-side apply.

The Secret is never emptied nor half-written: each write carries all keys at once, and names
the version of the Secret that it was decided on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.confirmation import OwnerGoneError, confirm_owner
from secret_sync.controller.secret_target.adoption import Adoption
from secret_sync.controller.secret_target.apply_configuration import (
    empty_apply_configuration,
    encoded,
    owner_apply_configuration,
    values_needed,
)
from secret_sync.controller.secret_target.merge import MergeWriter
from secret_sync.controller.secret_target.ownership import (
    Action,
    behind,
    data_editors,
    decide,
    is_ours,
    is_there,
    looks_right,
    merged_by,
    other_controller,
)
from secret_sync.controller.secret_target.recreation import Recreation
from secret_sync.controller.secret_target.write_conflicts import (
    is_settled,
    recheck_delay,
    refused,
    repair_within_limit,
    write_conflict,
)
from secret_sync.controller.sync import Problem
from secret_sync.kube import (
    METADATA,
    SECRETS,
    AlreadyExistsError,
    ApiError,
    ApiNotFoundError,
    ApiUnavailableError,
    ImmutableError,
    OutdatedError,
    Ref,
)
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from secret_sync.resources.meta import object_key
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.extraction import Desired
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.secret_target.ownership import Decision
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, ConfirmedOwner, KubeClient
    from secret_sync.resources import ExternalSecret, SecretMeta

_log = structlog.get_logger(__name__)

#: A write that finds another version than it was decided on is decided again, so often at most;
#: then the change itself enqueues the object.
MAX_ATTEMPTS: Final = 4


class SecretWriter:
    """Writes the Secrets of ExternalSecrets.

    Args:
        client: The API server, for reading what the cache does not have yet.
        writer: Applies as our field manager.
        objects: The ExternalSecrets.
        secrets: Metadata of all Secrets in scope.
    """

    def __init__(
        self,
        client: KubeClient,
        writer: ApplyWriter,
        objects: ReadOnlyStore[ExternalSecret],
        secrets: ReadOnlyStore[SecretMeta],
    ) -> None:
        self._client = client
        self._writer = writer
        self._objects = objects
        self._secrets = secrets
        self._merging = MergeWriter(client, objects)
        self._adoption = Adoption(client, writer, objects)
        self._recreation = Recreation(client, writer)

    def is_right(self, es: ExternalSecret, desired: Desired, state: SyncState) -> bool:
        """Return whether the Secret needs no write, as far as the cache knows."""
        current = self._cached(es)
        if self._is_paused(es, desired, state, current):
            return True
        if es.target.merge:
            return self._merging.is_right(es, desired, state, current)
        return self._decide(es, desired, state, current).action is Action.NOTHING

    def has_drifted(self, es: ExternalSecret, state: SyncState) -> bool:
        """Return whether the Secret needs values to be repaired, as it may after a restart.

        Once something was written, its repair needs no answer of Alibaba Cloud, or asks for
        one urgently by itself.
        """
        return state.applied is None and not looks_right(es, self._cached(es))

    def is_there(self, es: ExternalSecret, state: SyncState) -> bool:
        """Return whether the Secret has been made, whatever has become of it since."""
        now = asyncio.get_running_loop().time()
        return is_there(es, self._cached(es), state.applied, now)

    def other_controller(self, es: ExternalSecret, state: SyncState) -> str:
        """Return kind and name of another controller of a Secret of ours, or ``""``.

        A Secret that keys are merged into is not managed by secret-sync, so it may well have one.
        """
        if es.target.merge:
            return ""
        current, applied = self._cached(es), state.applied
        if applied is not None and behind(current, applied, asyncio.get_running_loop().time()):
            return applied.controller
        return other_controller(es, current)

    async def continue_created_once(self, es: ExternalSecret, state: SyncState) -> bool | Problem:
        """Adopt an existing Secret as it is, for an object that is fetched once.

        Returns:
            Whether there is one that it is to take over, or why it was left alone.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
        """
        current = self._cached(es)
        if current is None or not es.adopt or es.target.merge or state.applied is not None:
            return False
        if isinstance(current, ManagedSecret) and is_ours(es, current, state.applied):
            return False
        try:
            return await self._adoption.continue_created_once(es, state, current)
        except ApiUnavailableError:
            raise
        except OutdatedError as error:
            raise ApiUnavailableError(error.message) from None
        except ApiError as error:
            return refused(es, error)

    async def ensure(
        self, es: ExternalSecret, desired: Desired, state: SyncState
    ) -> bool | Problem:
        """Write the Secret as desired, where it is not.

        Returns:
            Whether it was changed, or why it was left as it is.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerChangedError: The ExternalSecret is deleted, or not what our copy of it says;
                its Secret was left as it is.
        """
        current = self._cached(es)
        if self._is_paused(es, desired, state, current):
            return False
        write = (self._merge if es.target.merge else self._own)(es, desired, state)

        async def conflict() -> Problem:
            return write_conflict(es, await self._editors(es, current))

        if self._undoes(es, desired, state, current):
            return await repair_within_limit(state, write, conflict)
        changed = await write
        return await conflict() if changed is False and not is_settled(state) else changed

    def _undoes(
        self, es: ExternalSecret, desired: Desired, state: SyncState, current: SecretMeta | None
    ) -> bool:
        """Return whether what we wrote before is to be written again: another writer changed it."""
        if state.written != desired.fingerprint or state.restored:
            return False
        if not es.target.merge:
            action = self._decide(es, desired, state, current).action
            return action in (Action.REPAIR, Action.CREATE)
        merged = current is not None and not self._merging.is_right(es, desired, state, current)
        return merged and owner_of(current)[0] != es.name

    @staticmethod
    def _is_paused(
        es: ExternalSecret, desired: Desired, state: SyncState, current: SecretMeta | None
    ) -> bool:
        """Return whether all that is visible is right, and rechecks for the rest are paused."""
        if state.written != desired.fingerprint or state.restored or not recheck_delay(state):
            return False
        applied = state.applied
        if not isinstance(current, ManagedSecret) or applied is None or applied.uid != current.uid:
            return False
        if applied.fingerprint != desired.fingerprint:
            # A change was interrupted.
            return False
        if es.target.merge:
            return merged_by(es, current) == desired.keys
        return current.our_keys == desired.keys and current.other_keys <= desired.keys

    async def _editors(self, es: ExternalSecret, current: SecretMeta | None) -> tuple[str, ...]:
        """Return who else has set data of the Secret; read it, if it has no marks of ours."""
        if isinstance(current, ManagedSecret):
            return tuple(sorted({*current.editors, *(e.manager for e in current.string_data)}))
        path = SECRETS.path(es.namespace, es.target.name)
        try:
            metadata = (await self._client.request("GET", path, accept=METADATA))["metadata"]
        except ApiUnavailableError:
            raise
        except ApiError:
            # Without their names, then: that it is a conflict is what counts.
            return ()
        return data_editors(metadata)

    async def _own(self, es: ExternalSecret, desired: Desired, state: SyncState) -> bool | Problem:
        current = self._cached(es)
        try:
            for _ in range(MAX_ATTEMPTS):
                self._expect_owner(es)
                try:
                    with state.writing():
                        await self._recreation.finish(es, state)
                        decision = self._decide(es, desired, state, current)
                        if decision.action is Action.REFUSE:
                            return await self._adoption.adopt(es, desired, state, current)
                        return await self._carry_out(es, desired, state, decision)
                except (AlreadyExistsError, ImmutableError, OutdatedError):
                    # The cache is behind, or what was taken over is frozen with keys beside ours;
                    # what the server says now counts.
                    current = await self._read(es)
                    if current is None:
                        state.applied = None
        except ApiUnavailableError:
            raise
        except ApiError as error:
            return refused(es, error)
        raise ApiUnavailableError(f"Secret {es.namespace}/{es.target.name} changes all the time")

    def _expect_owner(self, es: ExternalSecret) -> None:
        held = self._objects.get(object_key(es.namespace, es.name))
        if held is None or held.uid != es.uid or held.deleting:
            raise OwnerGoneError(f"ExternalSecret {es.namespace}/{es.name} is deleted")

    def _cached(self, es: ExternalSecret) -> SecretMeta | None:
        return self._secrets.get(object_key(es.namespace, es.target.name))

    async def _read(self, es: ExternalSecret) -> SecretMeta | None:
        path = SECRETS.path(es.namespace, es.target.name)
        try:
            return secret_from_metadata(await self._client.request("GET", path, accept=METADATA))
        except ApiNotFoundError:
            return None

    @staticmethod
    def _decide(
        es: ExternalSecret, desired: Desired, state: SyncState, current: SecretMeta | None
    ) -> Decision:
        now = asyncio.get_running_loop().time()
        return decide(es, desired, current, state.applied, now)

    async def _carry_out(
        self, es: ExternalSecret, desired: Desired, state: SyncState, decision: Decision
    ) -> bool | Problem:
        if desired.data is None and decision.action in (Action.CREATE, Action.REPAIR):
            raise values_needed(es)
        match decision.action:
            case Action.CREATE:
                if es.target.retain or state.written is not None:
                    # Deleted together with its Secret, whose end is heard of first. Nothing takes
                    # back what is written for it then; of a first one the garbage collector does.
                    await confirm_owner(self._client, es)
                await self._recreation.create(es, desired, state)
                _log.info("secret created", secret=es.target.name, keys=len(desired.keys))
                return True
            case Action.REPAIR:
                return await self._repair(es, desired, state, decision)
            case Action.WAIT:
                return Problem(
                    Reason.WRITE_FAILED,
                    f"Secret {es.namespace}/{es.target.name} is being deleted; "
                    "it is created again as soon as it is gone",
                )
            case _:
                return False

    async def _merge(
        self, es: ExternalSecret, desired: Desired, state: SyncState
    ) -> bool | Problem:
        current = self._cached(es)
        self._expect_owner(es)
        if owner_of(current)[0] != es.name or not isinstance(current, ManagedSecret):
            return await self._merging.ensure(es, desired, state, current)
        # It was this object's own until now.
        try:
            with state.writing():
                await confirm_owner(self._client, es)
                await self._let_go(es, desired, state, current)
        except ApiUnavailableError:
            raise
        except ApiError as error:
            return refused(es, error)
        return True

    async def _let_go(
        self, es: ExternalSecret, desired: Desired, state: SyncState, current: ManagedSecret
    ) -> None:
        """Keep the keys of a Secret of ours, and give up the Secret.

        First the keys get their second owner, then the first one leaves: at no time without.
        What the type is stays said, or the API server would take it for changed; likewise of
        an immutable one that it is.
        """
        ref = Ref(es.namespace, es.target.name, current.uid, current.resource_version)
        try:
            if current.carries:
                ref = await self._recreation.resume(es, state, ref)
            reply = await self._merging.take(es, desired, state, ref)
            ref = replace(ref, resource_version=reply["metadata"]["resourceVersion"])
            remainder = {**empty_apply_configuration(es), "type": es.secret_type}
            try:
                reply = await self._writer.update(SECRETS, remainder, ref, force=True)
            except ImmutableError:
                remainder["immutable"] = True
                reply = await self._writer.update(SECRETS, remainder, ref, force=True)
        except OutdatedError as error:
            raise ApiUnavailableError(error.message) from None
        state.remember(desired.fingerprint, reply)
        _log.info("secret given up, its keys are merged", secret=es.target.name)

    async def _repair(
        self, es: ExternalSecret, desired: Desired, state: SyncState, decision: Decision
    ) -> bool:
        ref = Ref(es.namespace, es.target.name, decision.uid, decision.resource_version)
        changed = False
        removed = len(decision.remove)
        owner: ConfirmedOwner | None = None
        if decision.orphan:
            # Deleted with ``--cascade=orphan`` it leaves its Secret behind: the garbage collector
            # takes the ownerReference away. To put it back would be the Secret's end.
            owner = await confirm_owner(self._client, es)
        try:
            if decision.apply:
                if decision.carries:
                    ref = await self._recreation.resume(es, state, ref)
                state.hidden = state.hidden or decision.hidden
                configuration = owner_apply_configuration(
                    es, desired, controlled=decision.controlled
                )
                reply = await self._writer.update(SECRETS, configuration, ref, force=True)
                changed = reply["metadata"]["resourceVersion"] != ref.resource_version
                state.remember(desired.fingerprint, reply)
                if es.legacy:
                    # A takeover that was interrupted: the finalizer goes last.
                    reply = await self._adoption.transfer_field_ownership(
                        es, desired, state, reply, owner
                    )
                ref = replace(ref, resource_version=reply["metadata"]["resourceVersion"])
                removed = await self._adoption.remove_other_keys(es, desired, state, reply, owner)
            elif decision.remove:
                owner = await confirm_owner(self._client, es)
                reply = await self._writer.set_data(SECRETS, ref, encoded(desired), owner)
                state.remember(desired.fingerprint, reply)
        except ImmutableError:
            # It may have been made immutable with keys beside ours, which an apply ignores.
            await self._recreation.recreate(es, desired, state, ref)
            return True
        if not (changed or removed):
            return False
        _log.info("secret updated", secret=es.target.name, keys=len(desired.keys), removed=removed)
        return True
