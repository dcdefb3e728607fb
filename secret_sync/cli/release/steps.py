"""The steps of a release: find what is ours, take the marks off, see that they stay off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secret_sync.cli.release.marks import RELEASED_MANAGER, Held, Stray, judge
from secret_sync.kube import (
    METADATA,
    METADATA_LIST,
    SECRETS,
    ApiConflictError,
    ApiError,
    ApiNotFoundError,
    ApiUnavailableError,
)
from secret_sync.kube.answers import Answer, checked
from secret_sync.kube.apply import MERGE_PATCH
from secret_sync.kube.pager import Pager

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from secret_sync.kube import KubeClient

#: Patches under way at a time.
_AT_ONCE: Final = 8
#: Tries of one Secret, be it that it changed meanwhile or that the API server is busy.
TRIES: Final = 5
#: Seconds before the second try; doubled for each further one.
_FIRST_WAIT: Final = 0.2
#: Seconds after which a running controller has certainly taken its Secrets back.
STAYS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be released, and what cannot be."""

    held: list[Held]
    strays: list[Stray]


@dataclass(frozen=True, slots=True)
class Failure:
    """A Secret that was not released, and why."""

    title: str
    why: str


async def find(client: KubeClient, namespace: str) -> Found:
    """All Secrets that are ours, in a namespace or, with ``""``, in all.

    Raises:
        ApiError: The server refused the list.
    """
    pager = Pager(
        client,
        SECRETS.path(namespace),
        accept=METADATA_LIST,
        kind="PartialObjectMetadata",
        read=checked(judge, "list of Secrets"),
    )
    found = (await pager.list_all()).objects
    return Found(
        held=[one for one in found if isinstance(one, Held)],
        strays=[one for one in found if isinstance(one, Stray)],
    )


async def release(
    client: KubeClient,
    held: Iterable[Held],
    *,
    rehearse: bool,
    tell: Callable[[Held], None],
) -> list[Failure]:
    """Takes our marks off Secrets; returns those of which they could not be taken.

    Args:
        client: The API server.
        held: The Secrets.
        rehearse: Let the API server check everything and keep nothing.
        tell: Called with each that is done.
    """
    failures: list[Failure] = []
    waiting = iter(held)

    async def work() -> None:
        for one in waiting:
            try:
                await _release(client, one, rehearse=rehearse)
            except ApiError as error:
                failures.append(Failure(one.title, error.message))
            else:
                tell(one)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(work())
    return sorted(failures, key=lambda failure: failure.title)


async def taken_back(client: KubeClient, namespace: str, uids: Collection[str]) -> list[str]:
    """Which of these Secrets are ours again after a while: a controller took them back.

    That a controller runs cannot be told in any other way by somebody who may know neither its
    namespace nor its name.
    """
    await asyncio.sleep(STAYS)
    return [one.title for one in (await find(client, namespace)).held if one.uid in uids]


async def _release(client: KubeClient, held: Held, *, rehearse: bool) -> None:
    current: Held | None = held
    path = SECRETS.path(held.namespace, held.name)
    for attempt in range(TRIES):
        if current is None:
            return
        if current.deleting:
            raise ApiError("it is being deleted already, which cannot be stopped")
        try:
            await _patch(client, path, current, rehearse=rehearse)
        except ApiNotFoundError:
            return
        except ApiUnavailableError as error:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(error.retry_after or _FIRST_WAIT * 2**attempt)
        except ApiError as error:
            if not isinstance(error, ApiConflictError) and not error.about("metadata.uid"):
                raise
            current = await _read(client, path)
        else:
            return
    raise ApiError(f"it changed {TRIES} times meanwhile; run this again")


async def _patch(client: KubeClient, path: str, held: Held, *, rehearse: bool) -> None:
    params = {"fieldManager": RELEASED_MANAGER} | ({"dryRun": "All"} if rehearse else {})
    await client.request(
        "PATCH",
        path,
        params=params,
        body=held.patch,
        content_type=MERGE_PATCH,
        accept=METADATA,
        expected=Answer.ANY,
    )


async def _read(client: KubeClient, path: str) -> Held | None:
    """The Secret as it is now, if it is still ours."""
    try:
        found = judge(await client.request("GET", path, accept=METADATA))
    except ApiNotFoundError:
        return None
    return found if isinstance(found, Held) else None
