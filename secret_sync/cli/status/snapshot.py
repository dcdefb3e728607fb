"""Read the status of all objects once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secret_sync.cli.status.rows import ExternalSecretRow, StatusSnapshot, StoreRow
from secret_sync.controller.kinds import (
    CLUSTER_SECRET_STORES,
    EXTERNAL_SECRETS,
    INSTALL_CRDS,
    SECRET_STORES,
)
from secret_sync.errors import DefiniteError
from secret_sync.kube import ApiNotFoundError, ApiRefusedError
from secret_sync.kube.answers import checked
from secret_sync.kube.pager import Pager
from secret_sync.kube.resource import JSON

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.kube import KubeClient, Resource

T = TypeVar("T")

STORES: Final = (SECRET_STORES, CLUSTER_SECRET_STORES)


async def take_snapshot(
    client: KubeClient, namespace: str
) -> tuple[StatusSnapshot, list[Resource]]:
    """Return the snapshot, and the kinds of stores that could be read.

    Not everyone who may read ExternalSecrets may read stores, least of all cluster stores: a note
    says what could not be read.

    Args:
        client: The API server.
        namespace: ``""`` for all.

    Raises:
        DefiniteError: The API server does not have the CRDs.
        ApiError: Reading ExternalSecrets failed.
    """
    try:
        objects = await _list(client, EXTERNAL_SECRETS, namespace, ExternalSecretRow.from_dict)
    except ApiNotFoundError:
        raise DefiniteError(
            f"the API server does not know {EXTERNAL_SECRETS.plural}; {INSTALL_CRDS}"
        ) from None
    answers = await asyncio.gather(*(_stores(client, kind, namespace) for kind in STORES))
    read = [kind for kind, answer in zip(STORES, answers, strict=True) if isinstance(answer, list)]
    stores = [store for answer in answers if isinstance(answer, list) for store in answer]
    notes = [answer for answer in answers if isinstance(answer, str)]
    return StatusSnapshot.of(namespace, objects, stores, notes), read


async def _stores(client: KubeClient, kind: Resource, namespace: str) -> list[StoreRow] | str:
    """Return the stores of one kind, or why they cannot be read."""
    try:
        return await _list(client, kind, namespace, StoreRow.from_dict)
    except ApiRefusedError as error:
        return f"{kind.kind}s are not shown: {error.message}"


async def _list(
    client: KubeClient,
    kind: Resource,
    namespace: str,
    read: Callable[[dict[str, Any]], T],
) -> list[T]:
    path = kind.path(namespace if kind.namespaced else "")
    read = checked(read, f"list of {path}")
    return (await Pager(client, path, accept=JSON, kind=kind.kind, read=read).list_all()).objects
