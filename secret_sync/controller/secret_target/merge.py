"""``creationPolicy: Merge``: our keys in a Secret that is not managed by secret-sync.

Never by force: whoever owns a key with another value keeps it, and that is reported.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.secret_target import merge_problems
from secret_sync.controller.secret_target.apply_configuration import (
    empty_apply_configuration,
    merge_apply_configuration,
    values_needed,
)
from secret_sync.controller.secret_target.ownership import behind, is_lost, marked_by, merged_by
from secret_sync.controller.secret_target.payload_digests import PayloadDigests
from secret_sync.controller.secret_target.siblings import Mergers, owner_beside
from secret_sync.controller.secret_target.write_conflicts import retry_on_conflict
from secret_sync.controller.sync import UNCHANGED, WAITS_FOR_ITS_TURN, Changed, Refused
from secret_sync.errors import ReferenceChangedError
from secret_sync.kube import (
    SECRETS,
    ApiNotFoundError,
    OutdatedError,
    OwnedByOthersError,
    Ref,
    owned_fields,
    string_data_keys,
    without_keys,
)
from secret_sync.resources import ManagedSecret, secret_from_metadata
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import FIELD_MANAGER, MERGE_MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.secret_target.turns import WriteTurns
    from secret_sync.controller.sync import Pending, Problem, SyncContext, WriteResult
    from secret_sync.kube import ApplyWriter, ConfirmedOwner
    from secret_sync.resources import ExternalSecret, SecretMeta


class MergeWriter:
    """Writes the keys of ExternalSecrets into Secrets that exist.

    Args:
        client: Reads and writes them.
        turns: Of those that merge into the same Secret.
    """

    def __init__(self, client: SecretClient, turns: WriteTurns) -> None:
        self._client = client
        self._turns = turns
        self._objects = client.objects
        self._payloads = PayloadDigests(client.kube)

    def is_right(self, ctx: SyncContext, desired: Desired, current: SecretMeta | None) -> bool:
        """Return whether the Secret needs no write."""
        applied = ctx.state.applied
        if applied is None or applied.fingerprint != desired.fingerprint:
            return False
        if behind(current, applied, asyncio.get_running_loop().time()):
            return True
        return (
            isinstance(current, ManagedSecret)
            and current.uid == applied.uid
            and not is_lost(current, applied)
            and merged_by(ctx.es, current) == desired.fields
            and (
                current.resource_version == applied.resource_version
                or _shared_as_before(desired, ctx.state, current)
            )
        )

    async def ensure(
        self, ctx: SyncContext, desired: Desired, current: SecretMeta | None
    ) -> WriteResult | Pending:
        """Merge our keys as desired, when it is our turn.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
        """
        if self.is_right(ctx, desired, current):
            return UNCHANGED

        target = object_key(ctx.es.namespace, ctx.es.target.name)

        async def write(current: SecretMeta | None) -> WriteResult | Pending:
            problem = self._refused(ctx.es, desired, current)
            if problem is None and current is not None:
                if not self._turns.take(ctx.key, target):
                    return WAITS_FOR_ITS_TURN
                current = self._turns.latest(target, current)
                problem = self._refused(ctx.es, desired, current)
            if problem is not None or current is None:
                return Refused(problem or merge_problems.missing(ctx.es))
            try:
                with ctx.state.writing():
                    return await self._write(ctx, desired, current)
            except OutdatedError:
                self._turns.outdated(target)
                raise

        return await retry_on_conflict(
            self._client, ctx, current, write, (OutdatedError,), must_exist=True
        )

    async def take(self, ctx: SyncContext, desired: Desired, ref: Ref) -> dict[str, Any]:
        """Merge our keys into a Secret that was this object's own until now.

        Raises:
            OutdatedError: It is not the one that was decided on.
            ApiError: The server refused.
        """
        es = ctx.es
        configuration = {**merge_apply_configuration(es, desired), "type": es.secret_type}
        reply = await self._writer(es).update(SECRETS, configuration, ref, force=True)
        ctx.state.remember(desired.fingerprint, reply)
        return reply

    async def leave(self, es: ExternalSecret, secret: ManagedSecret, owner: ConfirmedOwner) -> None:
        """Remove the keys of an ExternalSecret from a Secret that is no longer its target.

        Those that others own, have set since, or are about to merge stay in it.

        Args:
            es: Whose keys.
            secret: The Secret as it was decided on.
            owner: On whose behalf.

        Raises:
            OutdatedError: It has changed since.
            ApiError: The server refused.
        """
        ref = Ref(owner.namespace, secret.name, secret.uid, secret.resource_version)
        held = merged_by(es, secret)
        staying = await self._staying(es, secret, held)
        if staying:
            ref = await self._give_up(es, ref, staying, owner)
        if staying != held:
            nothing = empty_apply_configuration(es, secret.name)
            await self._writer(es).update(SECRETS, nothing, ref, force=False)

    def _refused(
        self, es: ExternalSecret, desired: Desired, current: SecretMeta | None
    ) -> Problem | None:
        """Return why nothing may be written, as far as the Secret's marks show."""
        if not isinstance(current, ManagedSecret):
            return None
        living = marked_by(es.namespace, current.owner, self._objects)
        owner = living.name if living is not None and living.uid != es.uid else ""
        if not owner and current.our_keys:
            # Another writer removed the mark; its owner is about to put it back.
            owner = owner_beside(self._objects, es)
        if owner:
            return merge_problems.owned(es, owner)
        firsts = Mergers(self._objects, es, current).before(desired.fields)
        return merge_problems.second(es, firsts) if firsts else None

    async def _write(self, ctx: SyncContext, desired: Desired, current: SecretMeta) -> WriteResult:
        es, state = ctx.es, ctx.state
        if desired.data is None:
            raise values_needed(es)
        ref = Ref(es.namespace, es.target.name, current.uid, current.resource_version)
        edited = await self._edited(desired, ref, current)
        if edited:
            return Refused(merge_problems.conflict(es, edited))
        before = ref.resource_version
        if isinstance(current, ManagedSecret):
            staying = await self._staying(es, current, merged_by(es, current) - desired.fields)
            if staying:
                owner = await confirm_owner(self._client.kube, es)
                ref = await self._give_up(es, ref, staying, owner)
        configuration = merge_apply_configuration(es, desired)
        writer = self._writer(es)
        try:
            reply = await writer.update(SECRETS, configuration, ref, force=False)
        except OwnedByOthersError as error:
            owners = await writer.owners(SECRETS, ref, error)
            others = self._others(es, desired, current, owners)
            if others or not any(owners.values()):
                return Refused(merge_problems.conflict(es, others or owners))
            await confirm_owner(self._client.kube, es)
            reply = await writer.update(SECRETS, configuration, ref, force=True)
        state.remember(desired.fingerprint, reply)
        changed = bool(reply["metadata"]["resourceVersion"] != before)
        reply, written = await self._relieve(ctx, desired, reply)
        self._turns.wrote(object_key(es.namespace, es.target.name), written)
        state.shared = _shared(es, desired, reply)
        return Changed("secret merged into", len(desired.keys)) if changed else UNCHANGED

    async def _edited(self, desired: Desired, ref: Ref, current: SecretMeta) -> dict[str, set[str]]:
        """Return who set keys of ours to other values by way of ``stringData``.

        An apply would not be refused for them, as it is for keys that others own.

        Returns:
            The field managers by key.
        """
        owners: dict[str, set[str]] = {}
        for manager, keys in await self._string_data(ref, current):
            for key in keys & desired.keys:
                owners.setdefault(key, set()).add(manager)
        if not owners or desired.data is None:
            return owners
        try:
            stored = await self._payloads.read(ref)
        except (ReferenceChangedError, ApiNotFoundError):
            raise OutdatedError(f"Secret {ref.namespace}/{ref.name} has changed") from None
        ours = {key: self._payloads.digest(desired.data[key]) for key in owners}
        return {k: m for k, m in owners.items() if stored.get(k, ours[k]) != ours[k]}

    async def _string_data(self, ref: Ref, current: SecretMeta) -> list[tuple[str, frozenset[str]]]:
        """Return the field managers that set data by way of ``stringData``, with the keys."""
        if isinstance(current, ManagedSecret):
            return [(entry.manager, entry.keys) for entry in current.string_data]
        # Nothing of that kind is kept of a Secret without a mark of ours.
        entries = (await self._client.metadata(ref)).get("managedFields") or []
        return [(e.get("manager") or "", keys) for e in entries if (keys := string_data_keys(e))]

    async def _staying(
        self, es: ExternalSecret, secret: ManagedSecret, dropped: frozenset[str]
    ) -> frozenset[str]:
        """Return the keys that we own, no longer want, and may not delete."""
        if not dropped:
            return dropped
        set_since = frozenset(key for entry in secret.string_data for key in entry.keys)
        staying = dropped & set_since
        return staying | await Mergers(self._objects, es, secret).wanted(dropped - staying)

    async def _give_up(
        self, es: ExternalSecret, ref: Ref, keys: frozenset[str], owner: ConfirmedOwner
    ) -> Ref:
        """Give up ownership of these keys; they stay. Return the version that this made."""
        ours = frozenset({f"{MERGE_MANAGER}{es.uid}"})
        entries = (await self._client.metadata(ref)).get("managedFields") or []
        entries = without_keys(entries, ours, keys)
        reply = await self._set_managed_fields(es, ref, entries, owner)
        return replace(ref, resource_version=reply["metadata"]["resourceVersion"])

    async def _relieve(
        self, ctx: SyncContext, desired: Desired, reply: dict[str, Any]
    ) -> tuple[dict[str, Any], SecretMeta]:
        """Remove the ownership of those that merged our keys before us and give way.

        They would own them with us, so that omitting one later would not delete it.
        What they own besides is not ours to delete: it stays as it is.

        Returns:
            The Secret's metadata, as they are and as the cache has them.
        """
        es, written = ctx.es, secret_from_metadata(reply)
        givers = self._giving_way(es, desired, written)
        if not givers:
            return reply, written
        metadata = reply["metadata"]
        owner = await confirm_owner(self._client.kube, es)
        ref = Ref(es.namespace, es.target.name, metadata["uid"], metadata["resourceVersion"])
        entries = without_keys(metadata["managedFields"], givers, desired.fields)
        reply = await self._set_managed_fields(es, ref, entries, owner)
        ctx.state.remember(desired.fingerprint, reply)
        return reply, secret_from_metadata(reply)

    def _giving_way(
        self, es: ExternalSecret, desired: Desired, secret: SecretMeta
    ) -> frozenset[str]:
        """Return the field managers of secret-sync whose keys, of those desired, are ours now."""
        if not isinstance(secret, ManagedSecret):
            return frozenset()
        givers = Mergers(self._objects, es, secret).giving_way(desired.fields)
        # Of a Secret that an ExternalSecret once made, and that no longer has an owner.
        return givers | {FIELD_MANAGER} if secret.our_keys & desired.fields else givers

    def _others(
        self,
        es: ExternalSecret,
        desired: Desired,
        current: SecretMeta,
        owners: Mapping[str, tuple[str, ...]],
    ) -> dict[str, set[str]]:
        """Return the owners of our keys, by key, that neither are us nor give way."""
        ours = self._giving_way(es, desired, current) | {f"{MERGE_MANAGER}{es.uid}"}
        left = {key: set(managers) - ours for key, managers in owners.items()}
        return {key: managers for key, managers in left.items() if managers}

    def _writer(self, es: ExternalSecret) -> ApplyWriter:
        # One manager each: two that merge into one Secret would delete each other's keys.
        return self._client.writer.named(f"{MERGE_MANAGER}{es.uid}")

    async def _set_managed_fields(
        self, es: ExternalSecret, ref: Ref, entries: list[dict[str, Any]], owner: ConfirmedOwner
    ) -> dict[str, Any]:
        # Of an empty list the server takes no notice; this is what empties it.
        entries = entries or [{}]
        return await self._writer(es).set_managed_fields(SECRETS, ref, entries, owner)


def _shared(
    es: ExternalSecret, desired: Desired, reply: dict[str, Any]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what of ours others own as well, at equal values, with their field managers."""
    owners: dict[str, set[str]] = {}
    for entry in reply["metadata"].get("managedFields") or ():
        manager = entry.get("manager") or ""
        if manager != f"{MERGE_MANAGER}{es.uid}":
            for key in (owned_fields(entry) | string_data_keys(entry)) & desired.fields:
                owners.setdefault(key, set()).add(manager)
    return tuple((key, tuple(sorted(owners[key]))) for key in sorted(owners))


def _shared_as_before(desired: Desired, state: SyncState, current: ManagedSecret) -> bool:
    """Return whether no other writer has owned or set keys of ours since our last write."""
    if any(entry.keys & desired.keys for entry in current.string_data):
        # With which value does not show.
        return False
    return current.shared_keys & desired.fields == {key for key, _ in state.shared}
