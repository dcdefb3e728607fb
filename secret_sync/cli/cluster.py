"""The cluster that a command is about, and the namespace it means where none is named."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.kube import ClusterAccess, KubeClient
from secret_sync.kube._client_config import config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from secret_sync.cli.arguments import Scope

_DEFAULT: Final = "default"
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@asynccontextmanager
async def connect(scope: Scope) -> AsyncIterator[KubeClient]:
    """A client for the cluster.

    Raises:
        DefiniteError: Nothing says where the cluster is.
    """
    async with KubeClient(await ClusterAccess.find(scope.kubeconfig)) as client:
        yield client


async def namespace_of(scope: Scope) -> str:
    """The namespace to look at; ``""`` for all.

    Call it after :func:`connect`, which says what is wrong with a kubeconfig.
    """
    if scope.everywhere:
        return ""
    return scope.namespace or await asyncio.to_thread(_current_namespace, scope.kubeconfig)


def _current_namespace(kubeconfig: str) -> str:
    # Where ClusterAccess looks for the cluster, in the same order.
    if not kubeconfig and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _read(_OWN_NAMESPACE) or _DEFAULT
    path = kubeconfig or str(Path.home() / ".kube" / "config")
    _, current = config.list_kube_config_contexts(config_file=path)
    return ((current or {}).get("context") or {}).get("namespace") or _DEFAULT


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
