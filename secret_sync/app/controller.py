"""The controller: everything that runs, connected."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.app.cluster_external_secrets import ClusterExternalSecrets, SharedParts
from secret_sync.app.fetching import make_sources
from secret_sync.app.leading import make_fresh
from secret_sync.app.loops import ObjectQueues, build_loops
from secret_sync.app.measuring import measure
from secret_sync.app.planning import identity_dependencies, planning_objects, planning_rules
from secret_sync.app.process import keep_returning_memory
from secret_sync.app.processing import make_processing
from secret_sync.app.region import keep_asking
from secret_sync.app.stopping import drain, end, unless
from secret_sync.app.watched import Watched
from secret_sync.controller.crd_schema import OUR_DEFINITIONS
from secret_sync.controller.event_handlers import EventHandlers, Stores
from secret_sync.controller.external_secret.planning import build_planner
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.publishing import EventPublisher, NoEvents
from secret_sync.credentials import METHODS, CredentialCache, Sts
from secret_sync.errors import SecretSyncError
from secret_sync.kube import EventRecorder
from secret_sync.metrics import CredentialMetrics, EventMetrics, WorkerMetrics
from secret_sync.queue import Priority
from secret_sync.resources.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from secret_sync.app.watched import Capabilities
    from secret_sync.cloud.metadata import MetadataService
    from secret_sync.cloud.transport import Transport
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.health import HealthServer
    from secret_sync.kube import Change, Election, KubeClient
    from secret_sync.metrics import Metrics
    from secret_sync.queue import WorkQueue
    from secret_sync.resources import Definition
    from secret_sync.settings import Settings
    from secret_sync.sources.pushed import PushedRefreshes

_log = structlog.get_logger(__name__)

#: Seconds that workers have to finish after SIGTERM.
FINISH_WITHIN: Final = 20.0
#: Seconds that Events have to be sent at the end.
EVENTS_WITHIN: Final = 3.0


@dataclass(frozen=True, slots=True)
class OpenConnections:
    """What was opened before: the API server, Alibaba Cloud and this machine's metadata."""

    client: KubeClient
    transport: Transport
    metadata: MetadataService


class Controller:
    """Everything that runs, connected."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        connections: OpenConnections,
        *,
        capabilities: Capabilities,
        schemas: Schemas,
        health: HealthServer,
        election: Election | None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self._metadata = metadata = connections.metadata
        self._election = election
        #: In a dry run: which ExternalSecrets are looked at, by key. A command sets it later.
        self.concerned: Callable[[str], bool] = lambda _: True
        self._stopping = False
        #: Whether objects are synced: not by a standby, nor at the start and the end.
        self.working = False
        #: Refreshes that are asked for from outside, where that is turned on.
        self.pushed: PushedRefreshes | None = None
        #: What is still to be checked before this is ready.
        self.unchecked = ""
        client, transport = connections.client, connections.transport
        self.states = states = SyncStateStore()
        self.work = work = ObjectQueues.build(settings, metrics)
        self.object_queue = work.objects
        self.watched = watched = Watched(client, settings, metrics, capabilities)
        self.event_handlers = EventHandlers(
            external_secrets=watched.external_secrets.store,
            stores=Stores(watched.secret_stores.store, work.stores),
            cluster_stores=Stores(watched.cluster_stores.store, work.cluster_stores),
            secrets=watched.secrets.store,
            config_maps=watched.config_maps,
            object_queue=self.object_queue,
            states=states,
        )
        self.schemas = schemas
        self._listen()
        self.credentials = CredentialCache(CredentialMetrics(metrics, METHODS))
        self.sources = make_sources(
            settings, metrics, transport, self.credentials, self.event_handlers.sources_finished
        )
        self.processing = processing = make_processing(
            settings, client, watched, self.event_handlers.parsed
        )
        self.processor, self.expressions = processing.processor, processing.expressions
        self.events = EventRecorder(
            client,
            component=FIELD_MANAGER,
            instance=socket.gethostname(),
            observer=EventMetrics(metrics),
        )
        self.publisher = EventPublisher(NoEvents() if settings.dry_run else self.events)
        self._sts = Sts(transport, endpoint=settings.sts_endpoint, region=settings.region)
        self.planner = build_planner(
            planning_objects(watched, capabilities),
            planning_rules(settings),
            identity_dependencies(settings, client, capabilities, self._sts, metadata),
            schemas,
            self.expressions,
        )
        self.cluster_external_secrets = ClusterExternalSecrets(
            settings,
            capabilities,
            SharedParts(
                *(client, metrics, watched, schemas, self.planner),
                *(processing.parsing, self.publisher),
            ),
        )
        self.health = health
        self._loops = build_loops(self, client)
        # From the start, although a standby works on nothing: alerts look for what increases.
        self._workers = [WorkerMetrics(metrics, loop.queue.name) for loop in self._loops]
        measure(self)

    def _listen(self) -> None:
        watched = self.watched
        watched.external_secrets.add_handler(self.event_handlers.external_secret_changed)
        watched.secret_stores.add_handler(self.event_handlers.store_changed)
        watched.cluster_stores.add_handler(self.event_handlers.store_changed)
        watched.secrets.add_handler(self.event_handlers.secret_changed)
        watched.secrets.add_relist_handler(self.event_handlers.secrets_relisted)
        watched.service_accounts.add_handler(self.event_handlers.service_account_changed)
        watched.namespaces.add_handler(self.event_handlers.namespace_changed)
        watched.config_maps.add_handler(self.event_handlers.config_map_changed)
        watched.definitions.add_handler(self._definition_changed)
        watched.external_secrets.add_handler(self.schemas.seen)
        for stores in (watched.secret_stores, watched.cluster_stores):
            stores.add_handler(self.schemas.seen)

    def is_concerned(self, key: str) -> bool:
        """Return whether a dry run looks at an ExternalSecret."""
        return self.concerned(key)

    @property
    def may_write(self) -> bool:
        """Return whether this replica may write: it leads, or there is no election."""
        if self._election is not None:
            return self._election.leading
        return not self.settings.dry_run

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped, then let the workers finish.

        Raises:
            ExceptionGroup: A critical task failed, or the lease was lost.
        """
        async with asyncio.TaskGroup() as tasks:
            critical = partial(self._critical, tasks)
            background = [
                critical("heartbeat", self.health.beat),
                critical("memory", keep_returning_memory),
                critical("sources", self.sources.run),
                critical("parse", self.processing.parsing.run),
                critical("hashes", self.processing.hashing.run),
                critical("config maps", self.watched.run_config_maps),
                critical("events", self.events.run),
                *(critical(name, i.run) for name, i in self.watched.running.items()),
            ]
            if not self.planner.region:
                background.append(
                    critical("region", partial(keep_asking, self._metadata, self._region_found))
                )
            if self.pushed is not None:
                background.append(critical("push refresh", self.pushed.run))
            workers = []
            leading = []
            if await unless(stop, self._synced()) and await unless(stop, self._elected()):
                if self._election is not None:
                    leading = [critical("lease", self._election.hold)]
                if await unless(stop, self._fresh()):
                    self.event_handlers.enable()
                    await self.event_handlers.enqueue_all()
                    workers = [
                        critical(loop.queue.name, partial(loop.run, observer))
                        for loop, observer in zip(self._loops, self._workers, strict=True)
                    ]
                    if not self.cluster_external_secrets.why_not:
                        kind = self.cluster_external_secrets
                        workers.append(critical("cluster external secrets", kind.run))
                    self.working = True
                    await stop.wait()
            _log.info("stopping")
            self.working = False
            self._stopping = True
            if workers:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FINISH_WITHIN):
                        await self._finish()
            await self.events.flush(EVENTS_WITHIN)
            await end(*workers, *background)
            # Held as long as anything may write, then released at once.
            await end(*leading)
            if self._election is not None:
                await self._election.release()

    def set_region(self, region: str) -> None:
        """Tells everything that depends on it which region this is; ``""`` if unknown."""
        self.planner.region = region
        self._sts.region = region

    def _definition_changed(self, change: Change[Definition]) -> None:
        if change.new is not None and change.key in OUR_DEFINITIONS:
            self.work.definitions.add(change.key, Priority.HIGH)

    def everything_changed(self) -> None:
        """Reconcile all objects again, after a change that concerns any of them."""
        self.event_handlers.everything_changed()
        self.cluster_external_secrets.everything_changed()

    def _region_found(self, region: str) -> None:
        _log.info("region found", region=region)
        self.set_region(region)
        self.event_handlers.everything_changed()

    async def _finish(self) -> None:
        """Finish the reconciles in flight and write their statuses and Events."""
        kind, work = self.cluster_external_secrets, self.work
        statuses = work.object_statuses, work.store_statuses, work.cluster_store_statuses
        await drain(
            [work.objects, work.stores, work.cluster_stores, *kind.work],
            [*statuses, *kind.statuses],
        )

    async def _synced(self) -> bool:
        """Wait for the initial lists."""
        await self.watched.wait_synced()
        counts = {name.replace(" ", "_"): len(i.store) for name, i in self.watched.running.items()}
        _log.info("in sync", **counts)
        return True

    async def _elected(self) -> bool:
        """Wait until this replica leads; its caches stay warm meanwhile."""
        if self._election is not None:
            await self._election.acquire()
        return True

    async def _fresh(self) -> bool:
        """Wait until the caches are no older than our Lease, or listed if there is no election."""
        return self._election is None or await make_fresh(self.watched)

    def _critical(
        self,
        tasks: asyncio.TaskGroup,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
    ) -> asyncio.Task[None]:
        async def run() -> None:
            # Begun in here: a task that is cancelled before its first step begins nothing.
            await work()
            if not self._stopping:
                raise SecretSyncError(f"internal: {name} ended by itself")

        return tasks.create_task(run(), name=name)

    @property
    def unready(self) -> str:
        """Return why this is not ready, ``""`` if it is."""
        return "stopping" if self._stopping else self.unchecked or self.watched.unready

    @property
    def queues(self) -> list[WorkQueue[Any]]:
        """Return all queues."""
        own = [loop.queue for loop in self._loops]
        return [*own, *self.cluster_external_secrets.queues, *self.sources.queues]
