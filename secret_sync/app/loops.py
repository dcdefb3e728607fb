"""The control loops of the controller: their queues, and what handles a key of each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secret_sync.app.control_loop import ControlLoop, build_queue
from secret_sync.app.restarting import SharedClients, make_restarts
from secret_sync.app.restored import Restored
from secret_sync.controller import kinds
from secret_sync.controller.crd_schema import SchemaReconciler
from secret_sync.controller.external_secret.dry_run import DryRunReconciler, DryRunReporter
from secret_sync.controller.external_secret.reconciler import (
    ExternalSecretReconciler,
    ReconcilerDependencies,
)
from secret_sync.controller.external_secret.reporter import SyncReporter
from secret_sync.controller.legacy_finalizers import LegacyFinalizers
from secret_sync.controller.object_state import ObjectStates
from secret_sync.controller.publishing import STATUS_AGING, StatusWriter
from secret_sync.controller.secret_target.cleanup import SecretCleanup
from secret_sync.controller.secret_target.dry_run import DryRunWriter
from secret_sync.controller.secret_target.merge import MergeWriter
from secret_sync.controller.secret_target.secret_client import SecretClient
from secret_sync.controller.secret_target.turns import WriteTurns
from secret_sync.controller.secret_target.writer import SecretWriter
from secret_sync.controller.store.reconciler import (
    SecretStoreReconciler,
    StoreDependencies,
    StoreState,
)
from secret_sync.kube import ApplyWriter
from secret_sync.metrics import SyncMetrics
from secret_sync.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from secret_sync.app.control_loop import Handler
    from secret_sync.app.controller import Controller
    from secret_sync.controller.restart.tracker import RestartTracker
    from secret_sync.kube import Informer, KubeClient, Resource
    from secret_sync.metrics import Metrics
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import ExternalSecretStatus, SecretStore, StoreStatus
    from secret_sync.settings import Settings

STORE_WORKERS: Final = 4
#: Half as many as for Secrets, which go first; their statuses follow soon.
STATUS_WORKERS: Final = 8
#: Restarts are rare.
RESTART_WORKERS: Final = 2


class ObjectQueues(NamedTuple):
    """The work queues of keys ``namespace/name``; of workloads ``namespace/kind/name``."""

    objects: WorkQueue[str]
    object_statuses: WorkQueue[str]
    stores: WorkQueue[str]
    store_statuses: WorkQueue[str]
    cluster_stores: WorkQueue[str]
    cluster_store_statuses: WorkQueue[str]
    definitions: WorkQueue[str]
    workloads: WorkQueue[str]

    @classmethod
    def build(cls, settings: Settings, metrics: Metrics) -> ObjectQueues:
        """Return empty queues."""
        queue = partial(build_queue, settings, metrics)
        return cls(
            queue("externalsecret"),
            queue("externalsecret-status", STATUS_AGING),
            queue("secretstore"),
            queue("secretstore-status", STATUS_AGING),
            queue("clustersecretstore"),
            queue("clustersecretstore-status", STATUS_AGING),
            queue("definition"),
            queue("workload"),
        )


def build_loops(controller: Controller, client: KubeClient) -> list[ControlLoop]:
    """Return the control loops of a controller that is otherwise complete."""
    watched, queues, states = controller.watched, controller.work, controller.states
    dry = controller.settings.dry_run
    writer = (DryRunWriter if dry else ApplyWriter)(client, FIELD_MANAGER)
    object_statuses: StatusWriter[ExternalSecretStatus] = StatusWriter(
        *(writer, kinds.EXTERNAL_SECRETS, queues.object_statuses, controller.schemas),
        *(watched.external_secrets.store, states),
    )
    watched.external_secrets.add_handler(object_statuses.seen)
    restarts, workloads = make_restarts(
        SharedClients(controller.settings, client, writer, controller.publisher),
        *(object_statuses, watched.external_secrets.store, states),
        *(queues.workloads, queues.objects),
    )
    objects = _external_secrets(controller, client, writer, object_statuses, restarts)
    store_states = ObjectStates(StoreState), ObjectStates(StoreState)
    store_statuses, stores = _secret_stores(
        controller,
        *(writer, kinds.SECRET_STORES, watched.secret_stores),
        *(queues.store_statuses, store_states[0]),
    )
    cluster_store_statuses, cluster_stores = _secret_stores(
        controller,
        *(writer, kinds.CLUSTER_SECRET_STORES, watched.cluster_stores),
        *(queues.cluster_store_statuses, store_states[1]),
    )
    definitions = SchemaReconciler(
        *(client, controller.schemas, watched.held, watched.relist, controller.everything_changed)
    )
    Restored(
        watched,
        controller.event_handlers,
        states,
        controller.planner,
        controller.processor,
        store_states,
    ).listen()
    workers = controller.settings.reconcile_count

    def handler(statuses: StatusWriter[Any]) -> Handler:
        return statuses.keep if dry else statuses.write

    return [
        ControlLoop(queues.objects, workers, objects),
        ControlLoop(queues.object_statuses, STATUS_WORKERS, handler(object_statuses)),
        ControlLoop(queues.stores, STORE_WORKERS, stores.reconcile),
        ControlLoop(queues.store_statuses, STATUS_WORKERS, handler(store_statuses)),
        ControlLoop(queues.cluster_stores, STORE_WORKERS, cluster_stores.reconcile),
        ControlLoop(queues.cluster_store_statuses, STORE_WORKERS, handler(cluster_store_statuses)),
        ControlLoop(queues.definitions, 1, definitions.reconcile),
        ControlLoop(queues.workloads, RESTART_WORKERS, workloads.reconcile),
    ]


def _external_secrets(
    controller: Controller,
    client: KubeClient,
    writer: ApplyWriter,
    statuses: StatusWriter[ExternalSecretStatus],
    restarts: RestartTracker,
) -> Handler:
    objects = controller.watched.external_secrets.store
    secrets = SecretClient(client, writer, objects, controller.watched.secrets.store)
    turns = WriteTurns(controller.object_queue.add)
    merging = MergeWriter(secrets, turns)
    dry = controller.settings.dry_run
    reporter = (DryRunReporter if dry else SyncReporter)(
        statuses, controller.publisher, SyncMetrics(controller.metrics)
    )
    reconciler = ExternalSecretReconciler(
        objects=objects,
        planner=controller.planner,
        sources=controller.sources,
        dependencies=ReconcilerDependencies(
            SecretWriter(secrets, merging),
            SecretCleanup(secrets, merging),
            turns,
            LegacyFinalizers(writer, kinds.EXTERNAL_SECRETS),
            controller.processor,
            controller.processing.references,
            # Nothing restarts in a dry run.
            None if dry else restarts,
        ),
        reporter=reporter,
        states=controller.states,
        cleanup=controller.settings.cleanup_secret_on_failure,
    )
    if not dry:
        return reconciler.reconcile
    dry_run = DryRunReconciler(reconciler.reconcile, controller.states, turns)
    return partial(dry_run.reconcile, controller.is_concerned)


def _secret_stores(
    controller: Controller,
    writer: ApplyWriter,
    resource: Resource,
    stores: Informer[SecretStore],
    queue: WorkQueue[str],
    states: ObjectStates[StoreState],
) -> tuple[StatusWriter[StoreStatus], SecretStoreReconciler]:
    statuses: StatusWriter[StoreStatus] = StatusWriter(
        writer, resource, queue, controller.schemas, stores.store, states
    )
    stores.add_handler(statuses.seen)
    reconciler = SecretStoreReconciler(
        StoreDependencies(
            controller.planner.identities,
            controller.credentials,
            controller.schemas,
            controller.publisher,
        ),
        objects=stores.store,
        statuses=statuses,
        states=states,
        finalizers=LegacyFinalizers(writer, resource),
        enqueue=partial(controller.event_handlers.credentials_settled, resource.kind),
    )
    return statuses, reconciler
