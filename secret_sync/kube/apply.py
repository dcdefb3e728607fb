"""Writes, all of them by server-side apply, each about a version it was judged by.

What a refusal means depends on which field it is about (A7); the classes here say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.kube.errors import ApiConflictError, ApiError, ApiNotFoundError
from secret_sync.kube.resource import JSON, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.kube.client import KubeClient
    from secret_sync.kube.resource import Resource

#: JSON is YAML, too (A1).
APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"

_UNPROCESSABLE: Final = 422
#: The causes that deleting the object would help against, by field and reason. A value that is
#: too long, say, is about ``data`` as well, and would be refused again (A6).
_FROZEN: Final = frozenset(
    {
        ("type", "FieldValueInvalid"),
        ("data", "FieldValueForbidden"),
        ("immutable", "FieldValueForbidden"),
    }
)
#: No object can have it, so a write that demands it can only create (A4a).
_ABSENT: Final = "1"


class AlreadyExistsError(ApiConflictError):
    """A create-only write found an object of that name (A4a)."""


class OutdatedError(ApiConflictError):
    """The object is not the one, or not the version, that the write was judged by."""


class OwnedByOthersError(ApiConflictError):
    """Without force: another field manager owns a field with another value (A2)."""


class ImmutableError(ApiError):
    """The object's type or data cannot be changed any more; nothing else is wrong (A6)."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The object a write is about, and the version of it that was judged (A4a)."""

    namespace: str
    name: str
    uid: str
    resource_version: str


class ApplyWriter:
    """Writes as one field manager.

    Args:
        client: The API server.
        manager: The field manager; the same through all releases (A2).
    """

    def __init__(self, client: KubeClient, manager: str) -> None:
        self._client = client
        self._manager = manager

    async def create(self, resource: Resource, intent: dict[str, Any]) -> dict[str, Any]:
        """Creates an object, or fails: of racing ones exactly one succeeds (A4a).

        Args:
            resource: The kind.
            intent: The whole object, with ``metadata.namespace`` and ``.name``.

        Returns:
            The object's metadata, as ``{"metadata": {...}}`` (S12).

        Raises:
            AlreadyExistsError: An object of that name exists.
            ApiError: The server refused.
        """
        metadata = {**intent["metadata"], "resourceVersion": _ABSENT}
        try:
            return await self._apply(resource, {**intent, "metadata": metadata}, force=False)
        except ApiConflictError as error:
            raise _again(AlreadyExistsError, error) from None

    async def rehearse(self, resource: Resource, intent: dict[str, Any], name: str) -> None:
        """Asks whether a create would be accepted, without creating anything.

        Before a delete-and-recreate: what is deleted must be sure to come back (A6).

        Args:
            resource: The kind.
            intent: The whole object.
            name: One that no object has, to ask with.

        Raises:
            ApiError: The server would refuse it.
        """
        metadata = {**intent["metadata"], "name": name}
        await self._apply(resource, {**intent, "metadata": metadata}, force=False, dry_run=True)

    async def update(
        self, resource: Resource, intent: dict[str, Any], ref: Ref, *, force: bool
    ) -> dict[str, Any]:
        """Makes an existing object what the intent says; what it omits and we own, goes (A3).

        Args:
            resource: The kind.
            intent: All that we want of the object.
            ref: The object as it was judged; it is never silently created (A7).
            force: Take over fields that others own; only on objects that are ours (A4).

        Returns:
            The object's metadata; its version is the known one if nothing changed (A8).

        Raises:
            OutdatedError: It is gone, is another one, or has changed since.
            OwnedByOthersError: Without force: others own what we want to set.
            ImmutableError: Its type or data are frozen.
            ApiError: The server refused.
        """
        metadata = {
            **intent["metadata"],
            "uid": ref.uid,
            "resourceVersion": ref.resource_version,
        }
        try:
            return await self._apply(resource, {**intent, "metadata": metadata}, force=force)
        except ApiError as error:
            raise _meaning(error) from None

    async def remove_keys(
        self, resource: Resource, ref: Ref, field: str, keys: Iterable[str]
    ) -> dict[str, Any]:
        """Removes keys of a map that others added and an apply leaves alone (A7a).

        Raises:
            OutdatedError: The object is not the one that was judged.
            ApiError: The server refused.
        """
        body = {
            "metadata": {"uid": ref.uid, "resourceVersion": ref.resource_version},
            field: dict.fromkeys(keys),
        }
        return await self._patch(resource, ref, body, MERGE_PATCH)

    async def disown(
        self, resource: Resource, ref: Ref, managed_fields: list[dict[str, Any]], manager: str
    ) -> dict[str, Any]:
        """Hands the fields of an older ``Update`` manager to us (A11).

        Its entry would keep owning what we take over, so that leaving a key out of a later
        apply would not delete it. The entry becomes an apply of ours, together with what we
        own already: the server keeps one entry for each manager and operation.

        Args:
            resource: The kind.
            ref: The object as it was judged.
            managed_fields: Its ``metadata.managedFields``, whole.
            manager: The manager to take over from.

        Raises:
            OutdatedError: The object is not the one that was judged.
            ApiError: The server refused.
        """
        entries = _handed_over(managed_fields, manager, self._manager)
        # Replaced, not tested: a test that fails is answered with a 422 that names no field.
        body = [
            {"op": "replace", "path": "/metadata/uid", "value": ref.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": ref.resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]
        return await self._patch(resource, ref, body, JSON_PATCH)

    async def status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: dict[str, Any]
    ) -> dict[str, Any]:
        """Makes ``/status`` what is given; all of it is ours (A10).

        Returns:
            The object's metadata.

        Raises:
            OutdatedError: It is another object of that name.
            ApiNotFoundError: It is gone.
            ApiError: The server refused.
        """
        intent = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"namespace": namespace, "name": name, "uid": uid},
            "status": status,
        }
        try:
            return await self._apply(resource, intent, force=True, subresource="status")
        except ApiNotFoundError:
            raise
        except ApiError as error:
            raise _meaning(error) from None

    async def delete(self, resource: Resource, ref: Ref) -> None:
        """Deletes this very object in this very version; that it is gone is success.

        Raises:
            OutdatedError: It is another one by now, or has changed since.
            ApiError: The server refused.
        """
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": ref.uid, "resourceVersion": ref.resource_version},
            "propagationPolicy": "Background",
        }
        try:
            await self._client.request(
                "DELETE", resource.path(ref.namespace, ref.name), body=body, accept=JSON
            )
        except ApiNotFoundError:
            return
        except ApiConflictError as error:
            raise _again(OutdatedError, error) from None

    async def _apply(
        self,
        resource: Resource,
        intent: dict[str, Any],
        *,
        force: bool,
        subresource: str = "",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        metadata = intent["metadata"]
        params = {"fieldManager": self._manager, "force": "true" if force else "false"}
        if dry_run:
            params["dryRun"] = "All"
        return await self._client.request(
            "PATCH",
            resource.path(metadata["namespace"], metadata["name"], subresource),
            params=params,
            body=intent,
            content_type=APPLY,
            accept=METADATA,
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
            raise _meaning(error) from None


def _meaning(error: ApiError) -> ApiError:
    """What the refusal of a write to an existing object means (A7)."""
    if isinstance(error, ApiConflictError):
        return _again(OwnedByOthersError if error.managers else OutdatedError, error)
    if isinstance(error, ApiNotFoundError):
        return _again(OutdatedError, error)
    if error.status != _UNPROCESSABLE or not error.causes:
        return error
    if error.about("metadata.uid"):
        return _again(OutdatedError, error)
    if {(cause.field, cause.reason) for cause in error.causes} <= _FROZEN:
        return _again(ImmutableError, error)
    return error


def _handed_over(entries: list[dict[str, Any]], giver: str, taker: str) -> list[dict[str, Any]]:
    """``managedFields`` in which the taker has applied what the giver had set."""
    merged = [
        entry
        for entry in entries
        if not entry.get("subresource")
        and (
            entry.get("manager") == giver
            or (entry.get("manager") == taker and entry.get("operation") == "Apply")
        )
    ]
    if not merged:
        return entries
    fields: dict[str, Any] = {}
    for entry in merged:
        fields = _union(fields, entry.get("fieldsV1") or {})
    ours = {**merged[-1], "manager": taker, "operation": "Apply", "fieldsV1": fields}
    return [*(entry for entry in entries if entry not in merged), ours]


def _union(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {key: _union(left.get(key, {}), right.get(key, {})) for key in {**left, **right}}


def _again(kind: type[ApiError], error: ApiError) -> ApiError:
    return kind(
        error.message,
        status=error.status,
        reason=error.code,
        causes=error.causes,
        retry_after=error.retry_after,
    )
