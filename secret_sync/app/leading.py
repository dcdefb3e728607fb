"""Taking part in the election of a leader, where several replicas run."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secret_sync.errors import DefiniteError
from secret_sync.kube import LEASES, Election, KubeClient, Need, lacking, new_identity
from secret_sync.kube._client_config import config
from secret_sync.metrics import LeaseMetrics

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from secret_sync.kube import ClusterAccess
    from secret_sync.metrics import Metrics
    from secret_sync.settings import Settings

_DEFAULT: Final = "default"
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


async def make_election(
    settings: Settings, access: ClusterAccess, metrics: Metrics, stack: AsyncExitStack
) -> Election | None:
    """The election, with connections of its own; ``None`` where one replica runs alone.

    Raises:
        DefiniteError: A right is missing; one line says which.
    """
    if not settings.leader_elect:
        return None
    # Neither behind the writes of the others nor under the guard that hangs on this one.
    client = KubeClient(access)
    stack.push_async_callback(client.close)
    name = settings.leader_elect_name
    namespace = settings.leader_elect_namespace or await asyncio.to_thread(
        _own_namespace, settings.kubeconfig
    )
    # Who creates has no name for it yet, as rules see it.
    for need in (Need(LEASES, ("get", "update"), name=name), Need(LEASES, ("create",))):
        why = await lacking(client, need, (namespace,))
        if why:
            raise DefiniteError(f"--leader-elect: {why}; see deploy/components/ha")
    return Election(client, namespace, name, new_identity(), LeaseMetrics(metrics))


def _own_namespace(kubeconfig: str) -> str:
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
