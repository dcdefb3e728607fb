"""Adopts Secrets that an ExternalSecret did not create, where it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.confirmation import confirm_owner
from secret_sync.controller.secret_target.apply_configuration import (
    encoded,
    keep_rendered,
    mark_apply_configuration,
    owner_apply_configuration,
)
from secret_sync.controller.secret_target.ownership import (
    adoptable,
    controller_of,
    controllers,
    legacy_editors,
    marked_by,
    may_adopt,
    owner_mark,
)
from secret_sync.controller.secret_target.secret_client import any_version
from secret_sync.controller.sync import Changed, Problem, Refused
from secret_sync.kube import (
    SECRETS,
    ApiNotFoundError,
    ImmutableError,
    OutdatedError,
    Ref,
    string_data_keys,
)
from secret_sync.resources import ManagedSecret, Reason, secret_from_metadata
from secret_sync.resources.names import ADOPT_ANNOTATION
from secret_sync.resources.secret import is_labelled_by_another

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.sync import SyncContext, WriteResult
    from secret_sync.kube import ConfirmedOwner
    from secret_sync.resources import ExternalSecret, SecretMeta

#: The fields of a Secret beside its metadata.
_CONTENT: Final = ("type", "data", "immutable")


class Adoption:
    """Decides on adoptions and carries them out."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client
        self._writer = client.writer

    async def adopt(
        self, ctx: SyncContext, desired: Desired, current: SecretMeta | None
    ) -> WriteResult:
        """Adopt a Secret that is not ours, if the ExternalSecret may."""
        es, state = ctx.es, ctx.state
        metadata = await self._client.metadata(any_version(es)) if may_adopt(es) else {}
        if not metadata or not adoptable(es, metadata, self._client.objects):
            return self._not_ours(es, current, metadata)
        owner = await confirm_owner(self._client.kube, es)
        entries = metadata.get("managedFields") or ()
        state.hidden = state.hidden or any(string_data_keys(entry) for entry in entries)
        # The mark comes with the first write: whatever interrupts the rest, it is ours.
        configuration = owner_apply_configuration(es, desired, **_others(metadata, es))
        try:
            reply = await self._writer.update(
                SECRETS, configuration, _ref(es, metadata), force=True
            )
        except ImmutableError as error:
            return Refused(
                Problem(
                    Reason.SECRET_CONFLICT,
                    f"Secret {es.namespace}/{es.target.name} was not taken over, because it would "
                    f"have to be recreated: {error.message}; set spec.type to its type, or delete "
                    "it",
                )
            )
        state.remember(desired.fingerprint, reply)
        reply = await self.transfer_field_ownership(ctx, desired, reply, owner)
        await self.remove_other_keys(ctx, desired, reply, owner)
        return Changed("secret adopted", len(desired.keys))

    async def continue_created_once(
        self, ctx: SyncContext, current: SecretMeta | None
    ) -> WriteResult:
        """Mark a Secret as that of an object that is fetched once, and leave what is in it.

        It is there, so that it is not fetched: its values may be old on purpose.
        """
        es = ctx.es
        metadata = await self._client.metadata(any_version(es))
        if not adoptable(es, metadata, self._client.objects):
            return self._not_ours(es, current, metadata)
        # Whatever our field manager owns of it, from a former ExternalSecret, goes with an apply
        # that leaves it out.
        content = await self._content(es, metadata)
        await confirm_owner(self._client.kube, es)
        configuration = {
            **mark_apply_configuration(es, **_others(metadata, es)),
            **content,
        }
        keep_rendered(configuration["metadata"], metadata)
        reply = await self._writer.update(SECRETS, configuration, _ref(es, metadata), force=True)
        ctx.state.remember(b"", reply)
        return Changed("secret adopted as it is")

    async def _content(self, es: ExternalSecret, metadata: dict[str, Any]) -> dict[str, Any]:
        """Read what is in a Secret, in the version of its metadata; nothing empty."""
        path = SECRETS.path(es.namespace, es.target.name)
        try:
            whole = await self._client.kube.request("GET", path)
        except ApiNotFoundError as error:
            raise OutdatedError(error.message, status=404, reason=error.code) from None
        found = whole["metadata"]
        if any(found.get(field) != metadata[field] for field in ("uid", "resourceVersion")):
            raise OutdatedError(f"Secret {es.namespace}/{es.target.name} has changed")
        return {field: whole[field] for field in _CONTENT if whole.get(field)}

    async def transfer_field_ownership(
        self,
        ctx: SyncContext,
        desired: Desired,
        reply: dict[str, Any],
        owner: ConfirmedOwner | None = None,
    ) -> dict[str, Any]:
        """Transfer to us the fields of a Secret of ours that ack-secret-manager owns.

        Args:
            ctx: Whose Secret it is.
            desired: What it holds.
            reply: The Secret's metadata after our last write.
            owner: That the object has been confirmed for this, if it has.

        Returns:
            The Secret's metadata, which are the given ones if there was nothing to take.
        """
        editors = legacy_editors(reply["metadata"])
        if not editors:
            return reply
        es, metadata = ctx.es, reply["metadata"]
        where = es.namespace, es.target.name, metadata["uid"]
        ref = Ref(*where, metadata["resourceVersion"])
        owner = owner or await confirm_owner(self._client.kube, es)
        fields = metadata["managedFields"]
        reply = await self._writer.transfer_field_ownership(SECRETS, ref, fields, editors, owner)
        # What we did not want of it goes now, in one write.
        ref = Ref(*where, reply["metadata"]["resourceVersion"])
        configuration = owner_apply_configuration(es, desired, **_others(metadata, es))
        reply = await self._writer.update(SECRETS, configuration, ref, force=True)
        ctx.state.remember(desired.fingerprint, reply)
        return reply

    async def remove_other_keys(
        self,
        ctx: SyncContext,
        desired: Desired,
        reply: dict[str, Any],
        owner: ConfirmedOwner | None = None,
    ) -> int:
        """Remove the keys that others have beside ours from a Secret just written.

        Those that came by ``stringData`` have no owner, so that nothing shows them.

        Args:
            ctx: Whose Secret it is.
            desired: What it holds.
            reply: The Secret's metadata after our last write.
            owner: That the object has been confirmed for this, if it has.

        Returns:
            How many there were, of those without an owner at least one.
        """
        es, state = ctx.es, ctx.state
        after = secret_from_metadata(reply)
        if not isinstance(after, ManagedSecret):
            return 0
        remove = sorted(after.other_keys - desired.keys)
        if not (remove or state.hidden or after.string_data):
            return 0
        ref = Ref(after.namespace, after.name, after.uid, after.resource_version)
        owner = owner or await confirm_owner(self._client.kube, es)
        reply = await self._writer.set_data(SECRETS, ref, encoded(desired), owner)
        state.remember(desired.fingerprint, reply)
        state.hidden = False
        return len(remove) or int(reply["metadata"]["resourceVersion"] != ref.resource_version)

    def _not_ours(
        self, es: ExternalSecret, current: SecretMeta | None, metadata: dict[str, Any]
    ) -> Refused:
        """Return why a Secret was not touched, and what to do about it.

        Args:
            es: Whose it is not.
            current: The Secret, as the cache has it.
            metadata: The same from the API server, if it was asked.
        """
        mark = current.owner if isinstance(current, ManagedSecret) else ""
        owner = marked_by(es.namespace, mark, self._client.objects)
        controller = controller_of(metadata, es, self._client.objects)
        rename = "write another name in spec.target.name"
        if owner is not None and owner.uid != es.uid:
            why = f"belongs to ExternalSecret {owner.name}"
            advice = f"{rename} of one of the two"
        elif controller:
            why, advice = f"belongs to {controller}", rename
        elif metadata.get("deletionTimestamp"):
            why, advice = "is being deleted", "wait until it is gone"
        else:
            why = _history(es, mark)
            advice = f'annotate the ExternalSecret with {ADOPT_ANNOTATION}: "true" to take it over'
            advice += f", delete it, or {rename}"
        where = f"Secret {es.namespace}/{es.target.name}"
        message = f"{where} {why}, so it was not touched; {advice}"
        return Refused(Problem(Reason.SECRET_CONFLICT, message))


def _history(es: ExternalSecret, mark: str) -> str:
    """Return where a Secret without a living owner comes from, by its owner annotation."""
    name = mark.partition("/")[0]
    if mark == owner_mark(es):
        return (
            "is marked as this ExternalSecret's, but its managedFields were reset, as backup tools "
            "do, and it has no ownerReference to prove it"
        )
    if name and name == es.name:
        return (
            f"was made for an ExternalSecret {name} with another uid, which no longer exists: it "
            "most likely comes from a backup or from another cluster"
        )
    if name:
        return f"was made for ExternalSecret {name}, which no longer exists in this namespace"
    return "exists and was not made for this ExternalSecret"


def _others(metadata: dict[str, Any], es: ExternalSecret) -> dict[str, bool]:
    """Return what others have of a Secret: a controller, also one that is gone, and the label."""
    return {
        "controlled": any(reference["uid"] != es.uid for reference in controllers(metadata)),
        "labelled": is_labelled_by_another(metadata),
    }


def _ref(es: ExternalSecret, metadata: dict[str, Any]) -> Ref:
    return Ref(es.namespace, es.target.name, metadata["uid"], metadata["resourceVersion"])
