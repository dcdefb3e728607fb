"""Read the status of all objects once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from secret_sync.cli.status.rows import (
    ClusterExternalSecretRow,
    ExternalSecretRow,
    StatusSnapshot,
    StoreRow,
)
from secret_sync.controller.kinds import (
    CLUSTER_EXTERNAL_SECRETS,
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

    from secret_sync.cli.status.rows import OtherRow
    from secret_sync.kube import KubeClient, Resource

T = TypeVar("T")

_STORES: Final = (SECRET_STORES, CLUSTER_SECRET_STORES)


async def take_snapshot(
    client: KubeClient, namespace: str
) -> tuple[StatusSnapshot, list[Resource]]:
    """Return the snapshot, and the other kinds that could be read.

    Not everyone who may read ExternalSecrets may read stores, least of all cluster stores: a note
    says what could not be read. ClusterExternalSecrets concern all namespaces, and are read for all
    only.

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
    others = _STORES if namespace else (*_STORES, CLUSTER_EXTERNAL_SECRETS)
    answers = await asyncio.gather(*(_others(client, kind, namespace) for kind in others))
    read = [kind for kind, answer in zip(others, answers, strict=True) if isinstance(answer, list)]
    rows = [row for answer in answers if isinstance(answer, list) for row in answer]
    notes = [answer for answer in answers if isinstance(answer, str) and answer]
    return StatusSnapshot.of(namespace, objects, rows, notes), read


def row_of(kind: Resource) -> Callable[[dict[str, Any]], OtherRow]:
    """Return what reads the rows of another kind than ExternalSecret."""
    if kind is CLUSTER_EXTERNAL_SECRETS:
        return ClusterExternalSecretRow.from_dict
    # Watch events of some servers lack the kind.
    return lambda value: StoreRow.from_dict({**value, "kind": kind.kind})


async def _others(client: KubeClient, kind: Resource, namespace: str) -> list[OtherRow] | str:
    """Return the objects of one kind, or why they cannot be read; ``""`` if there are none."""
    try:
        return await _list(client, kind, namespace, row_of(kind))
    except ApiNotFoundError as error:
        if kind is CLUSTER_EXTERNAL_SECRETS:
            # Its CRD is younger than the others, and may not be installed.
            return ""
        return f"{kind.kind}s are not shown: {error.message}"
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
