"""Writes Secrets: decided on metadata, written by server-side apply.

The Secret is never emptied nor half-written: each write carries all keys at once, and names
the version of the Secret that it was decided on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from secret_sync.controller.confirmation import OwnerGoneError, confirm_owner
from secret_sync.controller.secret_target.adoption import Adoption
from secret_sync.controller.secret_target.apply_configuration import (
    empty_apply_configuration,
    encoded,
    is_applied,
    owner_apply_configuration,
    values_needed,
)
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
from secret_sync.controller.secret_target.secret_client import any_version
from secret_sync.controller.secret_target.write_conflicts import (
    RepairBudget,
    refused,
    retry_on_conflict,
    write_conflict,
)
from secret_sync.controller.sync import UNCHANGED, Changed, Pending, Problem, Refused, Unchanged
from secret_sync.kube import (
    SECRETS,
    AlreadyExistsError,
    ApiRefusedError,
    ApiUnavailableError,
    ImmutableError,
    OutdatedError,
    Ref,
)
from secret_sync.resources import ManagedSecret, Reason
from secret_sync.resources.secret import owner_of

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.secret_target.merge import MergeWriter
    from secret_sync.controller.secret_target.ownership import Decision
    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.sync import SyncContext, WriteResult
    from secret_sync.kube import ConfirmedOwner
    from secret_sync.resources import SecretMeta


class SecretWriter:
    """Writes the Secrets of ExternalSecrets.

    Args:
        client: Reads and writes them.
        merging: Writes those of others, into which keys are merged.
    """

    def __init__(self, client: SecretClient, merging: MergeWriter) -> None:
        self._client = client
        self._merging = merging
        self._adoption = Adoption(client)
        self._recreation = Recreation(client)

    def is_right(self, ctx: SyncContext, desired: Desired) -> bool:
        """Return whether the Secret needs no write, as far as the cache knows."""
        current = self._client.cached(ctx.es)
        if _is_paused(ctx, desired, current):
            return True
        if ctx.es.target.merge:
            return self._merging.is_right(ctx, desired, current)
        return _decide(ctx, desired, current).action is Action.NOTHING

    def has_drifted(self, ctx: SyncContext) -> bool:
        """Return whether the Secret needs values to be repaired, as it may after a restart.

        Once something was written, its repair needs no answer of Alibaba Cloud, or asks for
        one urgently by itself.
        """
        return ctx.state.applied is None and not looks_right(ctx.es, self._client.cached(ctx.es))

    def is_there(self, ctx: SyncContext) -> bool:
        """Return whether the Secret has been made, whatever has become of it since."""
        now = asyncio.get_running_loop().time()
        return is_there(ctx.es, self._client.cached(ctx.es), ctx.state.applied, now)

    def other_controller(self, ctx: SyncContext) -> str:
        """Return kind and name of another controller of a Secret of ours, or ``""``.

        A Secret that keys are merged into is not managed by secret-sync, so it may well have one.
        """
        if ctx.es.target.merge:
            return ""
        current, applied = self._client.cached(ctx.es), ctx.state.applied
        if applied is not None and behind(current, applied, asyncio.get_running_loop().time()):
            return applied.controller
        return other_controller(ctx.es, current)

    async def continue_created_once(self, ctx: SyncContext) -> WriteResult:
        """Adopt an existing Secret as it is, for an object that is fetched once.

        Returns:
            ``Unchanged`` if there is none that it is to take over.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
        """
        es, applied, current = ctx.es, ctx.state.applied, self._client.cached(ctx.es)
        if current is None or not es.adopt or es.target.merge or applied is not None:
            return UNCHANGED
        if isinstance(current, ManagedSecret) and is_ours(es, current, applied):
            return UNCHANGED
        try:
            return await self._adoption.continue_created_once(ctx, current)
        except OutdatedError as error:
            raise ApiUnavailableError(error.message) from None
        except ApiRefusedError as error:
            return Refused(refused(es, error))

    async def ensure(self, ctx: SyncContext, desired: Desired) -> WriteResult | Pending:
        """Write the Secret as desired, where it is not; keys to be merged, when it is their turn.

        Raises:
            ApiUnavailableError: Later, perhaps.
            OwnerChangedError: The ExternalSecret is deleted, or not what our copy of it says;
                its Secret was left as it is.
        """
        state, current = ctx.state, self._client.cached(ctx.es)
        if _is_paused(ctx, desired, current):
            return UNCHANGED
        now, again = 0.0, self._undoes(ctx, desired, current)
        conflicted_at = None
        if again:
            now = asyncio.get_running_loop().time()
            state.repairs = state.repairs or RepairBudget()
            conflicted_at = state.repairs.conflicted_at
            if not state.repairs.allow(now):
                return await self._conflict(ctx, current)
        result = await (self._merge if ctx.es.target.merge else self._own)(ctx, desired, current)
        budget = state.repairs
        if isinstance(result, Pending):
            if again and budget is not None:
                # Nothing was written: the one write of this minute is still to come.
                budget.conflicted_at = conflicted_at
            return result
        if budget is None:
            return result
        if again:
            budget.record(now, result)
            stands = isinstance(result, Changed) and budget.conflicted_at is not None
        else:
            now = asyncio.get_running_loop().time()
            stands = isinstance(result, Unchanged) and not budget.is_settled(now)
        if not stands:
            return result
        return await self._conflict(ctx, current, result if isinstance(result, Changed) else None)

    def _undoes(self, ctx: SyncContext, desired: Desired, current: SecretMeta | None) -> bool:
        """Return whether what we wrote before is to be written again: another writer changed it."""
        if ctx.state.written != desired.fingerprint or ctx.state.restored:
            return False
        if not ctx.es.target.merge:
            action = _decide(ctx, desired, current).action
            return action in (Action.REPAIR, Action.CREATE)
        merged = current is not None and not self._merging.is_right(ctx, desired, current)
        return merged and owner_of(current)[0] != ctx.es.name

    async def _conflict(
        self, ctx: SyncContext, current: SecretMeta | None, written: Changed | None = None
    ) -> Refused:
        """Report a conflict, and the write that was made in spite of it.

        The report says who else has set data of the Secret, which is read for that, if it has no
        marks of ours.
        """
        if isinstance(current, ManagedSecret):
            editors = {*current.editors, *(e.manager for e in current.string_data)}
            return Refused(write_conflict(ctx.es, tuple(sorted(editors))), written)
        try:
            metadata = await self._client.metadata(any_version(ctx.es))
        except ApiRefusedError:
            # Without their names, then: that it is a conflict is what counts.
            metadata = {}
        except ApiUnavailableError:
            if written is None:
                raise
            # A write that was made is reported.
            metadata = {}
        return Refused(write_conflict(ctx.es, data_editors(metadata)), written)

    async def _own(
        self, ctx: SyncContext, desired: Desired, current: SecretMeta | None
    ) -> WriteResult:
        async def write(current: SecretMeta | None) -> WriteResult:
            self._expect_owner(ctx)
            with ctx.state.writing():
                if ctx.state.carried is not None:
                    await self._recreation.finish(ctx)
                decision = _decide(ctx, desired, current)
                if decision.action is Action.REFUSE:
                    return await self._adoption.adopt(ctx, desired, current)
                return await self._carry_out(ctx, desired, decision)

        conflicts = (AlreadyExistsError, ImmutableError, OutdatedError)
        return await retry_on_conflict(self._client, ctx, current, write, conflicts)

    def _expect_owner(self, ctx: SyncContext) -> None:
        held = self._client.objects.get(ctx.key)
        if held is None or held.uid != ctx.es.uid or held.deleting:
            raise OwnerGoneError(f"ExternalSecret {ctx.key} is deleted")

    async def _carry_out(
        self, ctx: SyncContext, desired: Desired, decision: Decision
    ) -> WriteResult:
        es, state = ctx.es, ctx.state
        if desired.data is None and decision.action in (Action.CREATE, Action.REPAIR):
            raise values_needed(es)
        match decision.action:
            case Action.CREATE:
                if es.target.retain or state.written is not None:
                    # Deleted together with its Secret, whose end is heard of first. Nothing takes
                    # back what is written for it then; of a first one the garbage collector does.
                    await confirm_owner(self._client.kube, es)
                await self._recreation.create(ctx, desired)
                return Changed("secret created", len(desired.keys), created=True)
            case Action.REPAIR:
                return await self._repair(ctx, desired, decision)
            case Action.WAIT:
                return Refused(
                    Problem(
                        Reason.WRITE_FAILED,
                        f"Secret {es.namespace}/{es.target.name} is being deleted; "
                        "it is created again as soon as it is gone",
                    )
                )
            case _:
                return UNCHANGED

    async def _merge(
        self, ctx: SyncContext, desired: Desired, current: SecretMeta | None
    ) -> WriteResult | Pending:
        self._expect_owner(ctx)
        if owner_of(current)[0] != ctx.es.name or not isinstance(current, ManagedSecret):
            return await self._merging.ensure(ctx, desired, current)
        # It was this object's own until now.
        try:
            with ctx.state.writing():
                await confirm_owner(self._client.kube, ctx.es)
                await self._let_go(ctx, desired, current)
        except ApiRefusedError as error:
            return Refused(refused(ctx.es, error))
        return Changed("secret given up, its keys are merged", len(desired.keys))

    async def _let_go(self, ctx: SyncContext, desired: Desired, current: ManagedSecret) -> None:
        """Keep the keys of a Secret of ours, and give up the Secret.

        First the keys get their second owner, then the first one leaves: at no time without.
        What the type is stays said, or the API server would take it for changed; likewise of
        an immutable one that it is.
        """
        es, writer = ctx.es, self._client.writer
        ref = Ref(es.namespace, es.target.name, current.uid, current.resource_version)
        try:
            if current.carries:
                ref = await self._recreation.resume(ctx, ref)
            reply = await self._merging.take(ctx, desired, ref)
            ref = replace(ref, resource_version=reply["metadata"]["resourceVersion"])
            remainder = {**empty_apply_configuration(es), "type": es.secret_type}
            try:
                reply = await writer.update(SECRETS, remainder, ref, force=True)
            except ImmutableError:
                remainder["immutable"] = True
                reply = await writer.update(SECRETS, remainder, ref, force=True)
        except OutdatedError as error:
            raise ApiUnavailableError(error.message) from None
        ctx.state.remember(desired.fingerprint, reply)

    async def _repair(self, ctx: SyncContext, desired: Desired, decision: Decision) -> WriteResult:
        es, state, writer = ctx.es, ctx.state, self._client.writer
        ref = Ref(es.namespace, es.target.name, decision.uid, decision.resource_version)
        changed = False
        removed = len(decision.remove)
        owner: ConfirmedOwner | None = None
        if decision.orphan:
            # Deleted with ``--cascade=orphan`` it leaves its Secret behind: the garbage collector
            # takes the ownerReference away. To put it back would be the Secret's end.
            owner = await confirm_owner(self._client.kube, es)
        configuration = owner_apply_configuration(
            es, desired, controlled=decision.controlled, labelled=decision.labelled
        )
        if decision.unverified:
            # Each apply, also one that changes nothing, is a write to the API server and its
            # webhooks, and after a restart there would be one for each object.
            found = await self._client.content(ref)
            if is_applied(configuration, found):
                state.remember(desired.fingerprint, found)
                return UNCHANGED
        try:
            if decision.apply:
                if decision.carries:
                    ref = await self._recreation.resume(ctx, ref)
                state.hidden = state.hidden or decision.hidden
                reply = await writer.update(SECRETS, configuration, ref, force=True)
                changed = reply["metadata"]["resourceVersion"] != ref.resource_version
                state.remember(desired.fingerprint, reply)
                if es.legacy:
                    # A takeover that was interrupted: the finalizer goes last.
                    reply = await self._adoption.transfer_field_ownership(
                        ctx, desired, reply, owner
                    )
                ref = replace(ref, resource_version=reply["metadata"]["resourceVersion"])
                removed = await self._adoption.remove_other_keys(ctx, desired, reply, owner)
            elif decision.remove:
                owner = await confirm_owner(self._client.kube, es)
                reply = await writer.set_data(SECRETS, ref, encoded(desired), owner)
                state.remember(desired.fingerprint, reply)
        except ImmutableError:
            # It may have been made immutable with keys beside ours, which an apply ignores.
            await self._recreation.recreate(ctx, desired, ref)
            return Changed("secret re-created", len(desired.keys))
        if not (changed or removed):
            return UNCHANGED
        return Changed("secret updated", len(desired.keys), removed)


def _is_paused(ctx: SyncContext, desired: Desired, current: SecretMeta | None) -> bool:
    """Return whether all that is visible is right, and rechecks for the rest are paused."""
    state = ctx.state
    if state.written != desired.fingerprint or state.restored or not state.recheck_delay():
        return False
    applied = state.applied
    if not isinstance(current, ManagedSecret) or applied is None or applied.uid != current.uid:
        return False
    if applied.fingerprint != desired.fingerprint:
        # A change was interrupted.
        return False
    if ctx.es.target.merge:
        return merged_by(ctx.es, current) == desired.fields
    return current.our_keys == desired.fields and current.other_keys <= desired.keys


def _decide(ctx: SyncContext, desired: Desired, current: SecretMeta | None) -> Decision:
    now = asyncio.get_running_loop().time()
    return decide(ctx.es, desired, current, ctx.state.applied, now)
