"""The cluster that a command is about, and the namespace it means where none is named."""

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
    """A client for the cluster.

    Raises:
        DefiniteError: Nothing says where the cluster is.
    """
    access = await ClusterAccess.find(scope.kubeconfig)
    try:
        async with KubeClient(access) as client:
            yield client
    finally:
        await access.close()


async def namespace_of(scope: Scope) -> str:
    """The namespace to look at; ``""`` for all.

    Call it after :func:`connect`, which says what is wrong with a kubeconfig.
    """
    if scope.everywhere:
        return ""
    return scope.namespace or await asyncio.to_thread(current_namespace, scope.kubeconfig)
