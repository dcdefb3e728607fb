"""The kind ClusterExternalSecret: started once its CRD is installed, and imported only then."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.app.control_loop import ControlLoop, build_queue
from secret_sync.controller import kinds
from secret_sync.controller.crd_schema import CLUSTER_EXTERNAL_SECRETS_DEFINITION, read_missing
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.controller.legacy_finalizers import LegacyFinalizers
from secret_sync.controller.object_state import ObjectStates
from secret_sync.controller.publishing import STATUS_AGING, StatusWriter
from secret_sync.controller.secret_target.dry_run import DryRunWriter
from secret_sync.errors import TransientError
from secret_sync.kube import (
    CUSTOM_RESOURCE_DEFINITIONS,
    ApiRefusedError,
    ApplyWriter,
    Preflight,
    RequiredPermission,
)
from secret_sync.metrics import WorkerMetrics
from secret_sync.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from secret_sync.app.watched import Capabilities, Watched
    from secret_sync.controller.cluster_external_secret.dry_run import ClusterPlan
    from secret_sync.controller.cluster_external_secret.events import ClusterEventHandlers
    from secret_sync.controller.cluster_external_secret.state import ClusterState
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.planner import Planner
    from secret_sync.controller.publishing import EventPublisher
    from secret_sync.kube import Change, Informer, KubeClient
    from secret_sync.metrics import Metrics
    from secret_sync.queue import TimeSlicedWorker, WorkQueue
    from secret_sync.resources import ClusterExternalSecretStatus, Definition
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret
    from secret_sync.settings import Settings

_log = structlog.get_logger(__name__)

WORKERS: Final = 4
#: Seconds after which missing rights are asked for again, and a CRD that is not served yet.
_ASK_AGAIN_AFTER: Final = 60.0
_SERVED_SOON: Final = 1.0
CLUSTER_EXTERNAL_SECRETS_NEED: Final = (
    RequiredPermission(kinds.CLUSTER_EXTERNAL_SECRETS, ("list", "watch")),
    RequiredPermission(kinds.CLUSTER_EXTERNAL_SECRETS, ("patch",), "status"),
    RequiredPermission(
        CUSTOM_RESOURCE_DEFINITIONS, ("get",), name=CLUSTER_EXTERNAL_SECRETS_DEFINITION
    ),
)


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What the kind shares with the others."""

    client: KubeClient
    metrics: Metrics
    watched: Watched
    schemas: Schemas
    planner: Planner
    parsing: TimeSlicedWorker
    publisher: EventPublisher


class ClusterExternalSecrets:
    """Runs the kind while this replica leads, so that its first list is as fresh as the lease.

    Attributes:
        why_not: Why the kind is not served; ``""`` if it is once there is a CRD. What is found out
            later changes it.
        work: The queue of its control loop, once there is one.
        statuses: The one of its statuses.
    """

    def __init__(self, settings: Settings, capabilities: Capabilities, parts: SharedParts) -> None:
        self._settings = settings
        self._parts = parts
        self._installed = asyncio.Event()
        self._handlers: ClusterEventHandlers | None = None
        self._states: ObjectStates[ClusterState] | None = None
        self._unwatched = bool(capabilities.definitions)
        self.why_not = ""
        if not settings.process_cluster_external_secret:
            self.why_not = "--process-cluster-external-secret is false"
        elif capabilities.namespaces:
            self.why_not = capabilities.namespaces
        self.work: list[WorkQueue[str]] = []
        self.statuses: list[WorkQueue[str]] = []
        if self.why_not:
            _log.info("ClusterExternalSecrets are not processed", why=self.why_not)
        else:
            parts.watched.definitions.add_handler(self._definition_changed)

    @property
    def queues(self) -> list[WorkQueue[str]]:
        """The queues, once there are any."""
        return [*self.work, *self.statuses]

    @property
    def settled(self) -> bool:
        """Return whether it is known which objects there are, or that the kind is not served."""
        watched = self._parts.watched
        if watched.cluster_external_secrets is not None:
            return watched.cluster_external_secrets.synced
        installed = CLUSTER_EXTERNAL_SECRETS_DEFINITION in watched.definitions.store
        return bool(self.why_not) or not (installed or self._unwatched)

    def plans(self) -> dict[str, ClusterPlan | None]:
        """Return, in a dry run, what would be done for each object; ``None`` if not known yet."""
        informer, states = self._parts.watched.cluster_external_secrets, self._states
        if informer is None or states is None:
            return {}
        return {c.name: states.of(c.name).plan for c in informer.store.values() if not c.deleting}

    def everything_changed(self) -> None:
        """Enqueue all objects."""
        if self._handlers is not None:
            self._handlers.everything_changed()

    async def run(self) -> None:
        """Wait for the CRD, then serve the kind, until cancelled."""
        if self._unwatched:
            # One question, and no others in a cluster without the kind.
            missing = await self._missing()
            if missing:
                self.why_not = missing
                _log.warning("ClusterExternalSecrets are not processed", why=missing)
                await asyncio.Event().wait()
        else:
            await self._installed.wait()
        await self._until_permitted()
        await self._serve()

    def _definition_changed(self, change: Change[Definition]) -> None:
        if change.key == CLUSTER_EXTERNAL_SECRETS_DEFINITION and change.new is not None:
            self._installed.set()

    async def _missing(self) -> str:
        try:
            return await Preflight(self._parts.client).missing_permission(
                *CLUSTER_EXTERNAL_SECRETS_NEED
            )
        except TransientError as error:
            return error.message

    async def _until_permitted(self) -> None:
        logged = ""
        while missing := await self._missing():
            if missing != logged and "does not know" not in missing:
                _log.warning("ClusterExternalSecrets are not processed", why=missing)
                self.why_not = logged = missing
            await asyncio.sleep(_ASK_AGAIN_AFTER if logged else _SERVED_SOON)
        self.why_not = ""

    async def _read_schema(self) -> None:
        while True:
            try:
                missing = await read_missing(
                    self._parts.client, CLUSTER_EXTERNAL_SECRETS_DEFINITION
                )
            except (TransientError, ApiRefusedError) as error:
                _log.warning("CRD not read, will retry", error=error.message)
                await asyncio.sleep(_SERVED_SOON)
                continue
            self._parts.schemas.put(CLUSTER_EXTERNAL_SECRETS_DEFINITION, missing or ())
            return

    async def _serve(self) -> None:
        await self._read_schema()
        informer, loops = self._build()
        _log.info("ClusterExternalSecrets are processed")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informer.run(), name="cluster external secrets")
            for loop in loops:
                observer = WorkerMetrics(self._parts.metrics, loop.queue.name)
                tasks.create_task(loop.run(observer), name=loop.queue.name)

    def _build(self) -> tuple[Informer[ClusterExternalSecret], list[ControlLoop]]:
        # Here, since most clusters have no such object.
        from secret_sync.controller.cluster_external_secret import (  # noqa: PLC0415 (see above)
            dry_run,
            events,
            matcher,
            reconciler,
            reporter,
            state,
            validation,
            writer,
        )
        from secret_sync.resources.cluster_external_secret import (  # noqa: PLC0415 (see above)
            ClusterExternalSecret,
        )

        parts, settings = self._parts, self._settings
        watched, client = parts.watched, parts.client
        work = build_queue(settings, parts.metrics, "clusterexternalsecret")
        status_queue = build_queue(
            settings, parts.metrics, "clusterexternalsecret-status", STATUS_AGING
        )
        informer = watched.watch_cluster_external_secrets(
            ClusterExternalSecret.from_dict,
            {events.BY_UID: events.uid_of, events.BY_CHILD: events.child_name_of},
        )
        self._states = states = ObjectStates(state.ClusterState)
        dry = settings.dry_run
        apply_writer = (DryRunWriter if dry else ApplyWriter)(client, FIELD_MANAGER)
        statuses: StatusWriter[ClusterExternalSecretStatus] = StatusWriter(
            *(apply_writer, kinds.CLUSTER_EXTERNAL_SECRETS, status_queue, parts.schemas),
            *(informer.store, states),
        )
        made = reconciler.ClusterExternalSecretReconciler(
            objects=informer.store,
            namespaces=watched.namespaces.store,
            children=watched.external_secrets.store,
            scope=matcher.ServedNamespaces(settings.watch_namespaces, settings.exclude_namespaces),
            checker=validation.SpecChecker(
                parts.schemas,
                parts.planner,
                ExpressionCompiler(parts.parsing, lambda names, _: handlers.compiled(names)),
            ),
            writer=writer.ChildWriter(client, apply_writer),
            reporter=(dry_run.DryRunClusterReporter if dry else reporter.ClusterReporter)(
                statuses, parts.publisher
            ),
            states=states,
            finalizers=LegacyFinalizers(apply_writer, kinds.CLUSTER_EXTERNAL_SECRETS),
            queue=work,
        )
        handlers = events.ClusterEventHandlers(informer.store, work, made.survey_soon)
        self._handlers = handlers

        def restored(_: str) -> None:
            for name in informer.store:
                states.mark_restored(name)
            handlers.everything_changed()

        for handler in (handlers.object_changed, statuses.seen, parts.schemas.seen):
            informer.add_handler(handler)
        watched.namespaces.add_handler(handlers.namespace_changed)
        watched.external_secrets.add_handler(handlers.external_secret_changed)
        for kind in (informer, watched.namespaces, watched.external_secrets):
            kind.add_restore_handler(restored)
        self.work, self.statuses = [work], [status_queue]
        reconcile = dry_run.DryRunClusterReconciler(made.reconcile) if dry else made
        return informer, [
            ControlLoop(work, WORKERS, reconcile.reconcile),
            ControlLoop(status_queue, WORKERS, statuses.write),
        ]
