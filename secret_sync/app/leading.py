"""Taking part in the election of a leader, where several replicas run."""

from __future__ import annotations

import asyncio
import itertools
from random import Random
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller import kinds
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.kube import (
    LEASES,
    ApiError,
    Election,
    KubeClient,
    LeaseTimes,
    Preflight,
    RequiredPermission,
    current_namespace,
    new_identity,
)
from secret_sync.metrics import LeaseMetrics, RequestMetrics
from secret_sync.queue import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AsyncExitStack

    from secret_sync.app.watched import Watched
    from secret_sync.kube import ClusterAccess
    from secret_sync.metrics import Metrics
    from secret_sync.settings import Settings


_log = structlog.get_logger(__name__)

#: Seconds to make sure of what is known: as many as the first lists have.
FRESH_WITHIN: Final = 120.0
_BACKOFF: Final = Backoff(base=1.0, cap=15.0)
_RNG: Final = Random()  # noqa: S311 - spreads retries, protects nothing
#: Statuses that say that a kind is not to be had, and so many in a row that are believed: an API
#: server that has just started may not know all rights and kinds yet.
_REFUSED: Final = (403, 404)
_REFUSALS: Final = 3


async def make_fresh(watched: Watched) -> bool:
    """Return ``True`` once all that is known is no older than the lease of a new leader.

    A standby's watch may have been dead for longer than the former leader has been gone; what
    that did meanwhile would be undone. Whoever calls this holds the lease meanwhile, and is
    cancelled when it is lost. Where it cannot be had the process is to end: nothing would be
    written, and no other replica could lead. The next start finds out what may be watched.

    Raises:
        TransientError: It took too long.
        ExceptionGroup: The API server refused.
    """
    tasks = []
    try:
        async with asyncio.timeout(FRESH_WITHIN), asyncio.TaskGroup() as group:
            for name, catch_up in watched.catching_up().items():
                tasks.append(group.create_task(_confirm(name, catch_up), name=name))
    except TimeoutError:
        late = ", ".join(task.get_name() for task in tasks if task.cancelled())
        raise TransientError(
            f"this replica leads, but its cache of {late} was not confirmed within "
            f"{FRESH_WITHIN:.0f} s; it stops, so that another one can lead"
        ) from None
    return True


async def _confirm(name: str, catch_up: Callable[[], Awaitable[None]]) -> None:
    began = asyncio.get_running_loop().time()
    logged = ""
    refusals = 0
    for failures in itertools.count():
        try:
            return await catch_up()
        except ApiError as error:
            refusals = refusals + 1 if error.status in _REFUSED else 0
            if refusals == _REFUSALS:
                raise DefiniteError(
                    f"this replica leads, but cannot list {name} any more: {error.message}"
                ) from None
            if error.message != logged:
                logged = error.message
                seconds = round(asyncio.get_running_loop().time() - began)
                _log.warning(
                    "cache not confirmed, nothing is written yet, will retry",
                    resource=name,
                    error=logged,
                    seconds=seconds,
                )
            delay = _BACKOFF.delay(failures, _RNG)
            await asyncio.sleep(max(delay, error.retry_after or 0.0))
    return None


async def make_election(
    settings: Settings, access: ClusterAccess, metrics: Metrics, stack: AsyncExitStack
) -> Election | None:
    """Build the election, with its own connections; ``None`` without leader election.

    A dry run takes no part in it: it runs beside the one that leads.

    Raises:
        DefiniteError: A right is missing; one line says which.
    """
    if not settings.leader_elect or settings.dry_run:
        return None
    # Neither behind the writes of the others nor under the guard that hangs on this one.
    client = KubeClient(access, observer=RequestMetrics(metrics, kinds.PLURALS))
    stack.push_async_callback(client.close)
    name = settings.leader_elect_name
    namespace = settings.leader_elect_namespace or await asyncio.to_thread(
        current_namespace, settings.kubeconfig, settings.context
    )
    # Who creates has no name for it yet, as rules see it.
    why = await Preflight(client).missing_permission(
        RequiredPermission(LEASES, ("get", "update"), name=name),
        RequiredPermission(LEASES, ("create",)),
        namespaces=(namespace,),
    )
    if why:
        raise DefiniteError(f"--leader-elect: {why}; add that to its Role")
    times = LeaseTimes(
        settings.leader_elect_lease_duration,
        settings.leader_elect_renew_deadline,
        settings.leader_elect_retry_period,
    )
    return Election(client, namespace, name, new_identity(), LeaseMetrics(metrics), times)
