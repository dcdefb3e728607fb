"""Taking part in the election of a leader, where several replicas run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from secret_sync.errors import DefiniteError
from secret_sync.kube import (
    LEASES,
    Election,
    KubeClient,
    Need,
    current_namespace,
    lacking,
    new_identity,
)
from secret_sync.metrics import LeaseMetrics

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from secret_sync.kube import ClusterAccess
    from secret_sync.metrics import Metrics
    from secret_sync.settings import Settings


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
        current_namespace, settings.kubeconfig
    )
    # Who creates has no name for it yet, as rules see it.
    for need in (Need(LEASES, ("get", "update"), name=name), Need(LEASES, ("create",))):
        why = await lacking(client, need, (namespace,))
        if why:
            raise DefiniteError(f"--leader-elect: {why}; see deploy/components/ha")
    return Election(client, namespace, name, new_identity(), LeaseMetrics(metrics))
