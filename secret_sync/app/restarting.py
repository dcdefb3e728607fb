"""Builds what restarts workloads after the data of a Secret changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from secret_sync.controller.restart.digests import DataDigests
from secret_sync.controller.restart.reconciler import RestartDependencies, WorkloadReconciler
from secret_sync.controller.restart.tracker import RestartTracker
from secret_sync.kube import current_namespace
from secret_sync.resources.names import RESTART_MANAGER

if TYPE_CHECKING:
    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.kube import ApplyWriter, KubeClient
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import ExternalSecret, ExternalSecretStatus
    from secret_sync.settings import Settings


class SharedClients(NamedTuple):
    """What workloads and Secrets are written with."""

    settings: Settings
    client: KubeClient
    writer: ApplyWriter
    publisher: EventPublisher


def make_restarts(
    shared: SharedClients,
    statuses: StatusWriter[ExternalSecretStatus],
    objects: ReadOnlyStore[ExternalSecret],
    states: SyncStateStore,
    workloads: WorkQueue[str],
    object_queue: WorkQueue[str],
) -> tuple[RestartTracker, WorkloadReconciler]:
    """Return what reconciles tell of new data, and what restarts workloads for it.

    Args:
        shared: What both use.
        statuses: Of ExternalSecrets.
        objects: All ExternalSecrets.
        states: What is kept of them.
        workloads: The queue of workloads.
        object_queue: The queue of ExternalSecrets.
    """
    settings, client, writer, publisher = shared

    async def namespace() -> str:
        return settings.leader_elect_namespace or await asyncio.to_thread(
            current_namespace, settings.kubeconfig, settings.context
        )

    digests = DataDigests(client, writer, namespace)
    tracker = RestartTracker(digests, statuses, publisher, workloads, object_queue)
    dependencies = RestartDependencies(client, writer.named(RESTART_MANAGER), statuses, publisher)
    return tracker, WorkloadReconciler(dependencies, objects, states)
