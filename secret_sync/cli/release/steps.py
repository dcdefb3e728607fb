"""The steps of a release: find managed Secrets, release them, check that they stay released."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secret_sync.backoff import Backoff
from secret_sync.cli.release.ownership import (
    RELEASED_MANAGER,
    OrphanRisk,
    ReleasableSecret,
    classify,
    classify_child,
)
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.kube import (
    METADATA,
    METADATA_LIST,
    SECRETS,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ApiRefusedError,
    ApiUnavailableError,
)
from secret_sync.kube.answers import Answer, checked
from secret_sync.kube.apply import MERGE_PATCH
from secret_sync.kube.pager import Pager

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from secret_sync.cli.release.ownership import OwnedChild
    from secret_sync.kube import KubeClient

#: Concurrent patches.
_AT_ONCE: Final = 8
#: Tries for one Secret, whether it changed meanwhile or the API server is busy.
TRIES: Final = 5
#: Seconds before the second try; doubled for each further one.
BACKOFF: Final = Backoff(base=0.2)
#: Seconds after which a running controller has certainly adopted its Secrets again.
RECLAIM_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """The Secrets to release, those that cannot be released, and the ExternalSecrets to free."""

    managed: list[ReleasableSecret]
    orphan_risks: list[OrphanRisk]
    children: list[OwnedChild]


@dataclass(frozen=True, slots=True)
class ReleaseFailure:
    """A Secret that was not released, and the reason."""

    title: str
    why: str


async def find(client: KubeClient, namespace: str) -> Found:
    """Find what is to be released in a namespace or, with ``""``, in all namespaces.

    Raises:
        ApiError: The server refused the list.
    """
    found = await _find_secrets(client, namespace)
    return Found(
        managed=[one for one in found if isinstance(one, ReleasableSecret)],
        orphan_risks=[one for one in found if isinstance(one, OrphanRisk)],
        children=await _find_children(client, namespace),
    )


async def _find_secrets(client: KubeClient, namespace: str) -> list[ReleasableSecret | OrphanRisk]:
    pager: Pager[ReleasableSecret | OrphanRisk] = Pager(
        client,
        SECRETS.path(namespace),
        accept=METADATA_LIST,
        kind="PartialObjectMetadata",
        read=checked(classify, "list of Secrets"),
    )
    return (await pager.list_all()).objects


async def free_children(
    client: KubeClient, children: Iterable[OwnedChild], *, dry_run: bool
) -> None:
    """Remove the ownerReferences of ExternalSecrets to ClusterExternalSecrets.

    The garbage collector would delete them with it.

    Raises:
        ApiError: The server refused, or one of them changes all the time.
    """
    for child in children:
        await _free(client, child, dry_run=dry_run)


async def _find_children(client: KubeClient, namespace: str) -> list[OwnedChild]:
    pager = Pager(
        client,
        EXTERNAL_SECRETS.path(namespace),
        accept=METADATA_LIST,
        kind="PartialObjectMetadata",
        read=checked(classify_child, "list of ExternalSecrets"),
    )
    try:
        return (await pager.list_all()).objects
    except ApiNotFoundError:
        # Without the kind there is nothing that could be deleted.
        return []


async def _free(client: KubeClient, child: OwnedChild, *, dry_run: bool) -> None:
    path = EXTERNAL_SECRETS.path(child.namespace, child.name)
    current: OwnedChild | None = child
    for _ in range(TRIES):
        if current is None:
            return
        try:
            await _patch(client, path, current.patch, dry_run=dry_run)
        except ApiNotFoundError:
            return
        except ApiConflictError:
            reply = await client.request("GET", path, accept=METADATA)
            current = classify_child(reply)
        else:
            return
    raise ApiRefusedError(f"ExternalSecret {child.namespace}/{child.name} changes all the time")


async def release(
    client: KubeClient,
    managed: Iterable[ReleasableSecret],
    *,
    dry_run: bool,
    on_released: Callable[[ReleasableSecret], None],
) -> list[ReleaseFailure]:
    """Release Secrets, and return the failures.

    Args:
        client: The API server.
        managed: The Secrets.
        dry_run: Let the API server validate everything and change nothing.
        on_released: Called with each released Secret.
    """
    failures: list[ReleaseFailure] = []
    waiting = iter(managed)

    async def work() -> None:
        for one in waiting:
            try:
                await _release(client, one, dry_run=dry_run)
            except ApiError as error:
                failures.append(ReleaseFailure(one.title, error.message))
            else:
                on_released(one)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())
    return sorted(failures, key=lambda failure: failure.title)


async def find_reclaimed(client: KubeClient, namespace: str, uids: Collection[str]) -> list[str]:
    """Return which of these Secrets are managed again after a while: a controller adopted them.

    There is no other way to find out that a controller runs if its namespace and name are unknown.
    """
    await asyncio.sleep(RECLAIM_SECONDS)
    return [
        one.title
        for one in await _find_secrets(client, namespace)
        if isinstance(one, ReleasableSecret) and one.uid in uids
    ]


async def _release(client: KubeClient, managed: ReleasableSecret, *, dry_run: bool) -> None:
    current: ReleasableSecret | None = managed
    path = SECRETS.path(managed.namespace, managed.name)
    for attempt in range(TRIES):
        if current is None:
            return
        if current.deleting:
            raise ApiRefusedError("it is already being deleted, which cannot be stopped")
        try:
            await _patch(client, path, current.patch, dry_run=dry_run)
        except ApiNotFoundError:
            return
        except ApiUnavailableError as error:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(error.retry_after or BACKOFF.bound(attempt))
        except ApiRefusedError as error:
            if not isinstance(error, ApiConflictError) and not error.about("metadata.uid"):
                raise
            current = await _read(client, path)
        else:
            return
    raise ApiRefusedError(f"it changed {TRIES} times meanwhile; run this again")


async def _patch(client: KubeClient, path: str, patch: dict[str, Any], *, dry_run: bool) -> None:
    params = {"fieldManager": RELEASED_MANAGER} | ({"dryRun": "All"} if dry_run else {})
    await client.request(
        "PATCH",
        path,
        params=params,
        body=patch,
        content_type=MERGE_PATCH,
        accept=METADATA,
        expected=Answer.ANY,
    )


async def _read(client: KubeClient, path: str) -> ReleasableSecret | None:
    """Return the Secret as it is now, if it is still managed."""
    try:
        found = classify(await client.request("GET", path, accept=METADATA))
    except ApiNotFoundError:
        return None
    return found if isinstance(found, ReleasableSecret) else None
