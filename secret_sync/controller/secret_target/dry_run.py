"""What a write would change: in a dry run, everything is decided as ever, and nothing is written.

Everything above the writer is the same. The writer answers as the API server would, from what it
reads; at the first write that would change something it raises :class:`WouldWrite`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from secret_sync.errors import SecretSyncError
from secret_sync.kube import (
    METADATA,
    AlreadyExistsError,
    ApiNotFoundError,
    ApplyWriter,
    ImmutableError,
    OutdatedError,
    OwnedByOthersError,
    data_keys,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import ManagedSecret, secret_from_metadata
from secret_sync.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from secret_sync.kube import ConfirmedOwner, Ref, Resource


class WriteAction(StrEnum):
    """What would become of a Secret."""

    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    RECREATE = "recreate"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """The keys that a write would add, change and remove; never their values."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @classmethod
    def between(cls, before: dict[str, str], after: dict[str, str]) -> KeyChanges:
        """Return what differs between the data of a Secret before and after."""
        return cls(
            added=tuple(sorted(after.keys() - before.keys())),
            changed=tuple(sorted(k for k in after.keys() & before.keys() if after[k] != before[k])),
            removed=tuple(sorted(before.keys() - after.keys())),
        )

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.added or self.changed or self.removed)


NO_CHANGES: Final = KeyChanges()


class WouldWrite(SecretSyncError):  # noqa: N818 (no error: a dry run ends here)
    """A dry run has come to the first write that would change something.

    Attributes:
        action: What it would do.
        secret: Name of the Secret.
        keys: Which of its keys would change; none where only its metadata would.
    """

    def __init__(self, action: WriteAction, secret: str, keys: KeyChanges) -> None:
        super().__init__(f"dry run: would {action} Secret {secret}")
        self.action = action
        self.secret = secret
        self.keys = keys


class DryRunWriter(ApplyWriter):
    """Answers as the API server would, and writes nothing.

    Which fields belong to whom is left out: a write that changes nothing else counts as none.
    """

    async def create(self, resource: Resource, configuration: dict[str, Any]) -> dict[str, Any]:
        """Raise what a create would do."""
        metadata = configuration["metadata"]
        name = metadata["name"]
        try:
            await self._read(resource, metadata["namespace"], name, accept=METADATA)
        except OutdatedError:
            keys = KeyChanges.between({}, configuration["data"])
            raise WouldWrite(WriteAction.CREATE, name, keys) from None
        raise AlreadyExistsError(f"Secret {metadata['namespace']}/{name} exists", status=409)

    async def dry_run_create(
        self, resource: Resource, configuration: dict[str, Any], name: str
    ) -> None:
        """Raise what a recreation would do, of which this is the beginning."""
        del name
        metadata = configuration["metadata"]
        found = await self._read(resource, metadata["namespace"], metadata["name"])
        keys = KeyChanges.between(found.get("data") or {}, configuration["data"])
        raise WouldWrite(WriteAction.RECREATE, metadata["name"], keys)

    async def update(
        self,
        resource: Resource,
        configuration: dict[str, Any],
        ref: Ref,
        *,
        force: bool,
        whole: bool = False,
    ) -> dict[str, Any]:
        """Raise what an apply would change; where that is nothing, return the metadata."""
        del whole
        found = await self._expect(resource, ref)
        before: dict[str, str] = found.get("data") or {}
        keys = KeyChanges.between(before, self._after(configuration, found))
        if _is_frozen(configuration, found, keys):
            raise ImmutableError(f"Secret {ref.namespace}/{ref.name} cannot be changed", status=422)
        taken = [] if force else self._owned_by_others(configuration, found)
        if taken:
            causes = tuple(Cause(f".data.{key}", "FieldManagerConflict") for key in taken)
            raise OwnedByOthersError("keys are owned by others", status=409, causes=causes)
        if keys or not _has_fields(configuration, found):
            ours = self._manager != FIELD_MANAGER or _is_ours(found)
            raise WouldWrite(WriteAction.CHANGE if ours else WriteAction.ADOPT, ref.name, keys)
        return {"metadata": found["metadata"]}

    async def set_data(
        self, resource: Resource, ref: Ref, data: dict[str, str], owner: ConfirmedOwner
    ) -> dict[str, Any]:
        """Raise what replacing the data would change; return the metadata where that is nothing."""
        del owner
        found = await self._expect(resource, ref)
        keys = KeyChanges.between(found.get("data") or {}, data)
        if keys:
            raise WouldWrite(WriteAction.CHANGE, ref.name, keys)
        return {"metadata": found["metadata"]}

    async def set_managed_fields(
        self, resource: Resource, ref: Ref, entries: list[dict[str, Any]], owner: ConfirmedOwner
    ) -> dict[str, Any]:
        """Return the metadata as they are; what they allow is found out by the next write."""
        del entries, owner
        return await self._expect(resource, ref, accept=METADATA)

    async def remove_finalizer(
        self, resource: Resource, namespace: str, name: str, uid: str, finalizer: str
    ) -> bool:
        """Remove nothing: return that none was removed."""
        del resource, namespace, name, uid, finalizer
        return False

    async def delete(self, resource: Resource, ref: Ref, owner: ConfirmedOwner) -> None:
        """Raise what a deletion would do."""
        del owner
        await self._expect(resource, ref, accept=METADATA)
        raise WouldWrite(WriteAction.DELETE, ref.name, NO_CHANGES)

    def _after(self, configuration: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
        """Return the data as our writes would leave it."""
        wanted: dict[str, str] = configuration.get("data") or {}
        if self._manager == FIELD_MANAGER and wanted:
            # Keys of others are removed from a Secret that is ours.
            return wanted
        entries = found["metadata"].get("managedFields") or ()
        ours: set[str] = set()
        theirs: set[str] = set()
        for entry in entries:
            is_ours = entry.get("manager") == self._manager and entry.get("operation") == "Apply"
            (ours if is_ours else theirs).update(data_keys(entry))
        given_up = ours - theirs - wanted.keys()
        kept = {k: v for k, v in (found.get("data") or {}).items() if k not in given_up}
        return {**kept, **wanted}

    def _owned_by_others(self, configuration: dict[str, Any], found: dict[str, Any]) -> list[str]:
        """Return the keys that others own with another value."""
        stored = found.get("data") or {}
        wanted: dict[str, str] = configuration.get("data") or {}
        theirs: set[str] = set()
        for entry in found["metadata"].get("managedFields") or ():
            if entry.get("manager") != self._manager:
                theirs |= data_keys(entry)
        return sorted(k for k in theirs & wanted.keys() if stored.get(k) != wanted[k])

    async def _expect(self, resource: Resource, ref: Ref, **more: Any) -> dict[str, Any]:
        found = await self._read(resource, ref.namespace, ref.name, **more)
        metadata = found["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (ref.uid, ref.resource_version):
            raise OutdatedError(f"Secret {ref.namespace}/{ref.name} has changed", status=409)
        return found

    async def _read(
        self, resource: Resource, namespace: str, name: str, **more: Any
    ) -> dict[str, Any]:
        try:
            return await self._client.request("GET", resource.path(namespace, name), **more)
        except ApiNotFoundError as error:
            raise OutdatedError(error.message, status=404, reason=error.code) from None


def _is_frozen(configuration: dict[str, Any], found: dict[str, Any], keys: KeyChanges) -> bool:
    """Return whether the API server would refuse the change: only a recreation makes it."""
    if configuration.get("type", found.get("type")) != found.get("type"):
        return True
    thawed = "type" in configuration and not configuration.get("immutable")
    return bool(found.get("immutable")) and (bool(keys) or thawed)


def _has_fields(configuration: dict[str, Any], found: dict[str, Any]) -> bool:
    """Return whether a Secret has all that an apply would set beside its data."""
    metadata, wanted = found["metadata"], configuration["metadata"]
    references = {r["uid"]: r for r in metadata.get("ownerReferences") or ()}
    return (
        bool(found.get("immutable")) >= bool(configuration.get("immutable"))
        and all(
            (wanted.get(part) or {}).items() <= (metadata.get(part) or {}).items()
            for part in ("labels", "annotations")
        )
        and all(
            reference.items() <= references.get(reference["uid"], {}).items()
            for reference in wanted.get("ownerReferences") or ()
        )
    )


def _is_ours(found: dict[str, Any]) -> bool:
    secret = secret_from_metadata(found)
    return isinstance(secret, ManagedSecret) and (secret.owner_is_ours or bool(secret.our_keys))
