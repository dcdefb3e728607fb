"""Taking part in the election of a leader, where several replicas run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.errors import DefiniteError
from secret_sync.kube import (
    LEASES,
    ApiError,
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

    from secret_sync.app.watched import Watched
    from secret_sync.kube import ClusterAccess
    from secret_sync.metrics import Metrics
    from secret_sync.settings import Settings


_log = structlog.get_logger(__name__)

#: Seconds for one try to make sure of what is known: as many as the first lists have.
FRESH_WITHIN: Final = 120.0
_FRESH_AGAIN_AFTER: Final = 1.0


async def make_fresh(watched: Watched) -> bool:
    """Return ``True`` once all that is known is no older than the lease of a new leader.

    A standby's watch may have been dead for longer than the former leader has been gone; what
    that did meanwhile would be undone. Tried for as long as it takes: whoever calls this holds
    the lease meanwhile, and is cancelled when it is lost.
    """
    while True:
        try:
            async with asyncio.timeout(FRESH_WITHIN):
                await watched.catch_up()
        except TimeoutError:
            why = f"not within {FRESH_WITHIN:.0f} s"
        except ApiError as error:
            why = error.message
        else:
            return True
        _log.warning("caches not confirmed, nothing is written yet, will retry", error=why)
        await asyncio.sleep(_FRESH_AGAIN_AFTER)


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
