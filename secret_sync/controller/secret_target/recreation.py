"""Recreates Secrets whose type or immutable data cannot be changed; metadata of others stays.

The new Secret appears in one write, with values, marks, and the labels, annotations and
ownerReferences of others. That write is an apply of ours, which then owns all of it; so the next
one, which leaves out what is not ours, would delete that. Hence its owners get it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.secret_target.apply_configuration import (
    mark_apply_configuration,
    owner_apply_configuration,
)
from secret_sync.kube import SECRETS, OutdatedError, Ref
from secret_sync.kube.managed_fields import given_back, metadata_of_others, owned_fields
from secret_sync.resources.names import (
    FIELD_MANAGER,
    LAST_APPLIED_ANNOTATION,
    MANAGED_BY_LABEL,
    OWNER_ANNOTATION,
    RENDERED_ANNOTATION,
)
from secret_sync.resources.secret import (
    is_labelled_by_another,
    own_label,
    owner_field,
    rendered_metadata,
)

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.sync import SyncContext
    from secret_sync.kube import ConfirmedOwner
    from secret_sync.resources import ExternalSecret

_NOT_FOUND: Final = 404
#: Annotations that stay behind: the mark is written again, and kubectl's copy of the object holds
#: the values that the Secret once had.
_LEFT_BEHIND: Final = frozenset({OWNER_ANNOTATION, RENDERED_ANNOTATION, LAST_APPLIED_ANNOTATION})


@dataclass(frozen=True, slots=True)
class Carried:
    """Metadata of others of a Secret that is recreated. Finalizers are not carried over.

    They are what the deletion of the old Secret waits for, so whoever set them has had it.

    Attributes:
        labels, annotations, owners: As the Secret had them.
        entries: Who owned them, as ``managedFields`` has it.
    """

    labels: dict[str, str]
    annotations: dict[str, str]
    owners: tuple[dict[str, Any], ...]
    entries: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, es: ExternalSecret, metadata: dict[str, Any]) -> Carried | None:
        """Return what is to be carried over from a Secret; ``None`` if nothing is."""
        owners = tuple(
            # Setting this requires a permission on the owner, which we do not have.
            {field: value for field, value in reference.items() if field != "blockOwnerDeletion"}
            for reference in metadata.get("ownerReferences") or ()
            if reference["uid"] != es.uid
        )
        entries = tuple(
            metadata_of_others(metadata.get("managedFields") or [], FIELD_MANAGER, _LEFT_BEHIND)
        )
        # What the template has rendered is rendered again, unless another one set it, too.
        theirs = {field for entry in entries for field in owned_fields(entry)}
        rendered = rendered_metadata(metadata) - theirs
        if not is_labelled_by_another(metadata):
            rendered |= own_label(metadata)
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        carried = cls(
            labels={k: v for k, v in labels.items() if f"labels/{k}" not in rendered},
            annotations={
                k: v
                for k, v in annotations.items()
                if k not in _LEFT_BEHIND and f"annotations/{k}" not in rendered
            },
            owners=owners,
            entries=entries,
        )
        return carried if carried.labels or carried.annotations or carried.owners else None

    @property
    def controlled(self) -> bool:
        """Whether another controller is among the owners."""
        return any(owner.get("controller") for owner in self.owners)


class Recreation:
    """Deletes and creates Secrets of ours."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client
        self._writer = client.writer

    async def recreate(self, ctx: SyncContext, desired: Desired, ref: Ref) -> None:
        """Recreate a Secret; it is absent for one round trip.

        A type demands keys of its own: the new Secret is tried out before the old one goes.

        Raises:
            OutdatedError: The Secret is not the one that was decided on.
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
            ApiError: The server refused.
        """
        es, state = ctx.es, ctx.state
        carried = Carried.of(es, await self._client.metadata(ref))
        configuration = _apply_configuration(es, desired, carried)
        await self._writer.dry_run_create(SECRETS, configuration, f"secret-sync-{es.uid}")
        owner = await confirm_owner(self._client.kube, es)
        # Kept until all of it is done: whatever interrupts it, it goes on from here.
        state.carried = carried
        await self._writer.delete(SECRETS, ref, owner)
        state.applied = None
        state.hidden = False
        await self.create(ctx, desired)

    async def create(self, ctx: SyncContext, desired: Desired) -> None:
        """Create a Secret, with what is carried over from its predecessor.

        Raises:
            AlreadyExistsError: A Secret of that name exists.
            ApiError: The server refused.
        """
        configuration = _apply_configuration(ctx.es, desired, ctx.state.carried)
        reply = await self._writer.create(SECRETS, configuration)
        ctx.state.remember(desired.fingerprint, reply)
        if ctx.state.carried is not None:
            await self._give_back(ctx, reply["metadata"])

    async def finish(self, ctx: SyncContext) -> None:
        """Give back what an interrupted recreation has not.

        Raises:
            OutdatedError: The Secret is not the one that we wrote.
            ApiError: The server refused.
        """
        es, state = ctx.es, ctx.state
        applied = state.applied
        if applied is None:
            return
        ref = Ref(es.namespace, es.target.name, applied.uid, "")
        try:
            await self._give_back(ctx, await self._client.metadata(ref))
        except OutdatedError as error:
            if error.status != _NOT_FOUND:
                # Another Secret by now: nothing is left to give. Where there is none, it follows.
                state.carried = None
            raise

    async def resume(self, ctx: SyncContext, ref: Ref) -> Ref:
        """Give up what a recreation wrote for others, before an apply deletes it.

        Of one that an earlier process began the owners are not known: it stays, without an owner.

        Returns:
            The Secret after that.

        Raises:
            OutdatedError: The Secret is not the one that was decided on.
            OwnerChangedError: The ExternalSecret is not what our copy of it says.
            ApiError: The server refused.
        """
        version = await self._give_back(ctx, await self._client.metadata(ref))
        return replace(ref, resource_version=version)

    async def _give_back(self, ctx: SyncContext, metadata: dict[str, Any]) -> str:
        es, state = ctx.es, ctx.state
        carried, applied = state.carried, state.applied
        owner: ConfirmedOwner = await confirm_owner(self._client.kube, es)
        version = metadata["resourceVersion"]
        ref = Ref(es.namespace, es.target.name, metadata["uid"], version)
        entries = given_back(
            metadata.get("managedFields") or [],
            FIELD_MANAGER,
            _own_fields(es, metadata, carried),
            () if carried is None else carried.entries,
        )
        reply = await self._writer.set_managed_fields(SECRETS, ref, entries, owner)
        state.carried = None
        after: str = reply["metadata"]["resourceVersion"]
        if applied is not None and applied.resource_version == version:
            state.applied = replace(applied, resource_version=after)
        return after


def _apply_configuration(
    es: ExternalSecret, desired: Desired, carried: Carried | None
) -> dict[str, Any]:
    if carried is None:
        return owner_apply_configuration(es, desired)
    configuration = owner_apply_configuration(
        es,
        desired,
        controlled=carried.controlled,
        labelled=MANAGED_BY_LABEL in carried.labels,
    )
    metadata = configuration["metadata"]
    if carried.labels:
        metadata["labels"] = {**carried.labels, **metadata.get("labels", {})}
    metadata["annotations"] = {**carried.annotations, **metadata["annotations"]}
    if carried.owners:
        metadata["ownerReferences"] = [*carried.owners, *metadata.get("ownerReferences", ())]
    return configuration


def _own_fields(
    es: ExternalSecret, metadata: dict[str, Any], carried: Carried | None
) -> frozenset[tuple[str, str]]:
    """Return the fields below ``f:metadata`` that are ours, each with the field above it."""
    annotations = mark_apply_configuration(es)["metadata"]["annotations"]
    marks = {("f:annotations", f"f:{name}") for name in (*annotations, RENDERED_ANNOTATION)}
    own = rendered_metadata(metadata)
    if carried is None or MANAGED_BY_LABEL not in carried.labels:
        own |= own_label(metadata)
    for field in own:
        above, _, name = field.partition("/")
        marks.add((f"f:{above}", f"f:{name}"))
    # Also what a former object of that name wrote; it goes with our next apply.
    mark = (metadata.get("annotations") or {}).get(OWNER_ANNOTATION) or ""
    uids = {es.uid, mark.partition("/")[2]}
    return frozenset(marks | {("f:ownerReferences", owner_field(uid)) for uid in uids})
