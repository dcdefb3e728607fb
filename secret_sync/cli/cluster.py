"""The connection to the cluster of a command, and its default namespace."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from secret_sync.kube import ClusterAccess, KubeClient, current_namespace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.cli.arguments import Scope


@asynccontextmanager
async def connect(scope: Scope) -> AsyncIterator[KubeClient]:
    """Connect to the cluster.

    Raises:
        DefiniteError: No cluster is configured.
    """
    access = await ClusterAccess.find(scope.kubeconfig, scope.context)
    try:
        async with KubeClient(access) as client:
            yield client
    finally:
        await access.close()


async def namespace_of(scope: Scope) -> str:
    """Return the namespace of the scope; ``""`` for all.

    Call it after :func:`connect`, which reports errors of the kubeconfig.
    """
    if scope.everywhere:
        return ""
    return scope.namespace or await asyncio.to_thread(
        current_namespace, scope.kubeconfig, scope.context
    )
