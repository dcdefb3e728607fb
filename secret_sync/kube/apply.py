"""Writes by uid and version, with server-side apply where that is possible."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from secret_sync.kube.answers import Answer
from secret_sync.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from secret_sync.kube.managed_fields import owned_fields, transferred
from secret_sync.kube.refs import Ref
from secret_sync.kube.resource import JSON, METADATA
from secret_sync.kube.write_errors import (
    AlreadyExistsError,
    OutdatedError,
    classify_write_error,
    reclassify,
)

if TYPE_CHECKING:
    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.refs import ConfirmedOwner
    from secret_sync.kube.resource import Resource
    from secret_sync.kube.write_errors import OwnedByOthersError

#: JSON is YAML, too.
APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

#: No object can have it, so a write that demands it can only create.
_ABSENT: Final = "1"
#: How often the removal of a finalizer is tried if other writes come in between.
_TRIES: Final = 4


class ApplyWriter:
    """Writes as one field manager.

    Args:
        client: The API server.
        manager: The field manager; the same through all releases.
    """

    def __init__(self, client: KubeClient, manager: str) -> None:
        self._client = client
        self._manager = manager

    def named(self, manager: str) -> Self:
        """Return a writer like this one, of another field manager."""
        return type(self)(self._client, manager)

    async def create(self, resource: Resource, configuration: dict[str, Any]) -> dict[str, Any]:
        """Create an object, or fail: of concurrent creates exactly one succeeds.

        Args:
            resource: The kind.
            configuration: The whole object, with ``metadata.namespace`` and ``.name``.

        Returns:
            The object's metadata, as ``{"metadata": {...}}``.

        Raises:
            AlreadyExistsError: An object of that name exists.
            ApiError: The server refused.
        """
        metadata = {**configuration["metadata"], "resourceVersion": _ABSENT}
        try:
            return await self._apply(resource, {**configuration, "metadata": metadata}, force=False)
        except ApiConflictError as error:
            raise reclassify(AlreadyExistsError, error) from None

    async def dry_run_create(
        self, resource: Resource, configuration: dict[str, Any], name: str
    ) -> None:
        """Check whether a create would be accepted, without creating anything.

        Before a delete-and-recreate: what is deleted must be sure to come back.

        Args:
            resource: The kind.
            configuration: The whole object.
            name: One that no object has, to ask with.

        Raises:
            ApiError: The server would refuse it.
        """
        metadata = {**configuration["metadata"], "name": name}
        await self._apply(
            resource, {**configuration, "metadata": metadata}, force=False, dry_run=True
        )

    async def update(
        self,
        resource: Resource,
        configuration: dict[str, Any],
        ref: Ref,
        *,
        force: bool,
        whole: bool = False,
    ) -> dict[str, Any]:
        """Apply to an existing object; fields that we own and the configuration omits are removed.

        Args:
            resource: The kind.
            configuration: All fields that we own.
            ref: The object and the version on which the write is based; never created by this.
            force: Take over fields that others own; only on objects that are ours.
            whole: Have all of the object answered; not for Secrets.

        Returns:
            The object's metadata, or all of it; its version is the known one if nothing changed.

        Raises:
            OutdatedError: It is gone, is another one, or has changed since.
            OwnedByOthersError: Without force: others own what we want to set.
            ImmutableError: Its type or data are frozen.
            ApiError: The server refused.
        """
        metadata = {
            **configuration["metadata"],
            "uid": ref.uid,
            "resourceVersion": ref.resource_version,
        }
        try:
            return await self._apply(
                resource,
                {**configuration, "metadata": metadata},
                force=force,
                accept=JSON if whole else METADATA,
            )
        except ApiError as error:
            raise classify_write_error(error) from None

    async def merge(self, resource: Resource, ref: Ref, patch: dict[str, Any]) -> dict[str, Any]:
        """Merge a patch into an object of exactly this version; ``null`` removes a field.

        For what an apply cannot do: remove the fields that others added, or add one to an object
        of which not all is known.

        Args:
            resource: The kind.
            ref: The object and the version on which the write is based.
            patch: What is merged.

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: The object or its version has changed.
            ApiError: The server refused.
        """
        metadata = {
            **patch.get("metadata", {}),
            "uid": ref.uid,
            "resourceVersion": ref.resource_version,
        }
        return await self._patch(resource, ref, {**patch, "metadata": metadata}, MERGE_PATCH)

    async def set_data(
        self, resource: Resource, ref: Ref, data: dict[str, str], owner: ConfirmedOwner
    ) -> dict[str, Any]:
        """Replace the data of an object, which removes the keys of others.

        An apply leaves them alone. They need not have a field manager. Nothing else changes;
        where there are none, the version stays. No source can bring them back: they go on behalf
        of the owner, of the same namespace.

        Args:
            resource: The kind.
            ref: The object and the version on which the write is based.
            data: All of it, encoded.
            owner: On whose behalf.

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: The object or its version has changed.
            ApiError: The server refused.
        """
        _expect_namespace(ref, owner)
        # Added, not replaced: there may be none at all.
        body = [*_demanding(ref), {"op": "add", "path": "/data", "value": data}]
        return await self._patch(resource, ref, body, JSON_PATCH)

    async def transfer_field_ownership(
        self,
        resource: Resource,
        ref: Ref,
        managed_fields: list[dict[str, Any]],
        managers: frozenset[str],
        owner: ConfirmedOwner,
    ) -> dict[str, Any]:
        """Transfer the fields of older ``Update`` managers of the data to us.

        Their entries would keep owning what we take over, so that leaving a key out of a later
        apply would not delete it. They become an apply of ours, together with what we own
        already: the server keeps one entry for each manager and operation. So what else they
        had set, labels say, goes with the next apply that does not have it. Entries of theirs
        without data stay, and those of all others.

        Args:
            resource: The kind.
            ref: The object and the version on which the write is based.
            managed_fields: Its ``metadata.managedFields``, whole.
            managers: Whom to take over from.
            owner: On whose behalf; of the same namespace.

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: The object or its version has changed.
            ApiError: The server refused.
        """
        entries = transferred(managed_fields, managers, self._manager)
        return await self.set_managed_fields(resource, ref, entries, owner)

    async def set_managed_fields(
        self, resource: Resource, ref: Ref, entries: list[dict[str, Any]], owner: ConfirmedOwner
    ) -> dict[str, Any]:
        """Replace the ``managedFields`` of an object; its other fields stay as they are.

        Args:
            resource: The kind.
            ref: The object and the version on which the write is based.
            entries: Its ``metadata.managedFields``.
            owner: On whose behalf; of the same namespace.

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: The object or its version has changed.
            ApiError: The server refused.
        """
        _expect_namespace(ref, owner)
        body = [
            *_demanding(ref),
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]
        return await self._patch(resource, ref, body, JSON_PATCH)

    async def remove_finalizer(
        self, resource: Resource, namespace: str, name: str, uid: str, finalizer: str
    ) -> bool:
        """Remove one finalizer of an object, also if it is being deleted; others stay.

        The present ones are read from the API server before, since no cache keeps them.

        Returns:
            Whether it was there; not where the object is gone.

        Raises:
            OutdatedError: It is another object of that name, or changes all the time.
            ApiError: The server refused.
        """
        path = resource.path(namespace, name)
        for _ in range(_TRIES):
            try:
                reply = await self._client.request("GET", path, accept=METADATA)
            except ApiNotFoundError:
                return False
            metadata = reply["metadata"]
            if metadata["uid"] != uid:
                raise OutdatedError(f"{resource.kind} {namespace}/{name} is another one by now")
            held = metadata.get("finalizers") or ()
            if finalizer not in held:
                return False
            version = metadata["resourceVersion"]
            left = [f for f in held if f != finalizer]
            body = {"metadata": {"uid": uid, "resourceVersion": version, "finalizers": left}}
            with suppress(OutdatedError):
                await self._patch(resource, Ref(namespace, name, uid, version), body, MERGE_PATCH)
                return True
        raise OutdatedError(f"{resource.kind} {namespace}/{name} changes all the time")

    async def owners(
        self, resource: Resource, ref: Ref, error: OwnedByOthersError
    ) -> dict[str, tuple[str, ...]]:
        """Return the owners of the fields that caused a conflict of an unforced write.

        The server's message quotes the object, so its metadata is read instead.

        Returns:
            The field managers by field (see `owned_fields`); none where the owner let go of it
            meanwhile.

        Raises:
            OutdatedError: The object or its version has changed.
            ApiError: The server refused.
        """
        path = resource.path(ref.namespace, ref.name)
        try:
            metadata = (await self._client.request("GET", path, accept=METADATA))["metadata"]
        except ApiNotFoundError as gone:
            raise reclassify(OutdatedError, gone) from None
        if metadata["uid"] != ref.uid:
            raise OutdatedError(f"{resource.kind} {ref.namespace}/{ref.name} is another one by now")
        entries = metadata.get("managedFields") or ()
        return {
            key: tuple(sorted({e.get("manager") or "" for e in entries if key in owned_fields(e)}))
            for key in error.keys
        }

    async def status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        """Apply ``/status``; all of it is ours.

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: It is another object of that name.
            ApiNotFoundError: It is gone.
            ApiError: The server refused.
        """
        configuration = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"namespace": namespace, "name": name, "uid": uid},
            "status": status,
        }
        try:
            return await self._apply(resource, configuration, force=True, subresource="status")
        except ApiNotFoundError:
            raise
        except ApiError as error:
            raise classify_write_error(error) from None

    async def delete(self, resource: Resource, ref: Ref, owner: ConfirmedOwner) -> None:
        """Delete an object in exactly this version; it is no error if it does not exist.

        Args:
            resource: The kind.
            ref: The object and the version on which the write is based.
            owner: On whose behalf; of the same namespace, or of none.

        Raises:
            OutdatedError: It is another one by now, or has changed since.
            ApiError: The server refused.
        """
        _expect_namespace(ref, owner)
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": ref.uid, "resourceVersion": ref.resource_version},
            "propagationPolicy": "Background",
        }
        try:
            await self._client.request(
                "DELETE",
                resource.path(ref.namespace, ref.name),
                body=body,
                accept=JSON,
                expected=Answer.ANY,
            )
        except ApiNotFoundError:
            return
        except ApiConflictError as error:
            raise reclassify(OutdatedError, error) from None

    async def _apply(
        self,
        resource: Resource,
        configuration: dict[str, Any],
        *,
        force: bool,
        subresource: str = "",
        dry_run: bool = False,
        accept: str = METADATA,
    ) -> dict[str, Any]:
        metadata = configuration["metadata"]
        params = {"fieldManager": self._manager, "force": "true" if force else "false"}
        if dry_run:
            params["dryRun"] = "All"
        return await self._client.request(
            "PATCH",
            resource.path(metadata["namespace"], metadata["name"], subresource),
            params=params,
            body=configuration,
            content_type=APPLY,
            accept=accept,
            # What was not stored has no version.
            expected=Answer.ANY if dry_run else Answer.OBJECT,
        )

    async def _patch(
        self, resource: Resource, ref: Ref, body: Any, content_type: str
    ) -> dict[str, Any]:
        try:
            return await self._client.request(
                "PATCH",
                resource.path(ref.namespace, ref.name),
                params={"fieldManager": self._manager},
                body=body,
                content_type=content_type,
                accept=METADATA,
            )
        except ApiError as error:
            raise classify_write_error(error) from None


def _demanding(ref: Ref) -> list[dict[str, str]]:
    """Return the operations of a JSON patch that require uid and version of an object.

    Replaced, not tested: a test that fails is answered with a 422 that names no field.
    """
    return [
        {"op": "replace", "path": "/metadata/uid", "value": ref.uid},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": ref.resource_version},
    ]


def _expect_namespace(ref: Ref, owner: ConfirmedOwner) -> None:
    if owner.namespace not in ("", ref.namespace):
        raise AssertionError  # a bug: no object of a namespace acts on another one
