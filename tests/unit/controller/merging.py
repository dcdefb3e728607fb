"""ExternalSecrets that merge into one Secret, and the writer that does it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.state import Applied, SyncState
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.siblings import INDEXES
from secret_sync.kube import (
    ApiConflictError,
    ApiNotFoundError,
    ApplyWriter,
    Store,
)
from secret_sync.kube.errors import Cause
from secret_sync.resources import secret_from_metadata
from tests.unit.controller.fakes import PlayedClient, managed, secret
from tests.unit.controller.writing import merge_writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.controller.secret_target.merge import MergeWriter
    from secret_sync.resources import ExternalSecret, SecretMeta

    MakeES = Callable[..., ExternalSecret]

MERGE = {"creationPolicy": "Merge"}
LATER = "2026-12-01T00:00:00Z"
PATH = "/api/v1/namespaces/ns/secrets/some"
DESIRED = Desired(b"wanted", frozenset({"password"}), {"password": b"v"}, (), ())
ME = "secret-sync-merge-es-uid"
MINE = managed(ME, "password", operation="Apply")
THEIRS = managed("kubectl", "username")
#: With it the cache keeps who owns what of the Secret.
NEIGHBOUR = managed("secret-sync-merge-neighbour", "unrelated", operation="Apply")
CHANGED = ApiConflictError("changed", status=409)
GONE = ApiNotFoundError("gone", status=404)
#: The API server would have to be forced.
CONFLICT = ApiConflictError(
    "conflict", status=409, causes=(Cause(".data.password", "FieldManagerConflict"),)
)


def writing(
    *answers: Any, living: tuple[ExternalSecret, ...] = ()
) -> tuple[MergeWriter, PlayedClient]:
    client: Any = PlayedClient(*answers)
    objects: Store[Any] = Store(INDEXES)
    for es in living:
        objects.put(f"ns/{es.name}", es)
    writer = ApplyWriter(client, "secret-sync")
    return merge_writer(SecretClient(client, writer, objects, Store())), client


def sibling(
    make_es: MakeES,
    name: str,
    created: str = "2026-01-01T00:00:00Z",
    *,
    target: dict[str, Any] | None = None,
    **metadata: Any,
) -> ExternalSecret:
    """Another ExternalSecret; by default it merges into the same Secret, and comes first."""
    more = {"name": name, "uid": name, "creationTimestamp": created, **metadata}
    return make_es(
        metadata=more, target={"name": "some", "creationPolicy": "Merge", **(target or {})}
    )


def cached(*entries: dict[str, Any], **more: Any) -> SecretMeta:
    return secret_from_metadata(secret(*entries, **more))


def state(
    version: str = "20", *, fingerprint: bytes = b"wanted", uid: str = "secret-uid"
) -> SyncState:
    now = asyncio.get_running_loop().time()
    applied = Applied(fingerprint, uid, version, now)
    return SyncState(uid="es-uid", applied=applied, written=fingerprint)
