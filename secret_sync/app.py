"""The composition root: the only place that builds things and connects them.

Start and stop follow G1 and G2; a critical task that ends, ends the process (W17).
"""

from __future__ import annotations

import asyncio
import gc
import signal
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
import uvloop

from secret_sync import __version__, logs
from secret_sync.cloud.endpoints import resolve_kms
from secret_sync.cloud.limiter import RateGate
from secret_sync.cloud.transport import Transport, build_ssl_context
from secret_sync.controller import kinds
from secret_sync.controller.external_secret import ExternalSecretReconciler
from secret_sync.controller.identity import IdentityResolver, secrets_of
from secret_sync.controller.memory import Memories
from secret_sync.controller.plan import Planner, stores_of
from secret_sync.controller.secret_store import SecretStoreReconciler
from secret_sync.controller.secret_writer import SecretWriter
from secret_sync.controller.status_writer import StatusWriter
from secret_sync.controller.triggers import BY_SECRET, BY_STORE, BY_TARGET, Triggers, target_of
from secret_sync.credentials import CredentialCache
from secret_sync.errors import SecretSyncError
from secret_sync.health import HealthServer
from secret_sync.kube import (
    SECRETS,
    ApplyWriter,
    ClusterAccess,
    Informer,
    KubeClient,
    Need,
    SingleSecretReader,
    check,
)
from secret_sync.metrics import (
    CallMetrics,
    Metrics,
    QueueMetrics,
    ReflectorMetrics,
    SyncMetrics,
    WorkerMetrics,
)
from secret_sync.providers.kms import KmsClient, SecretRequest, fetch_secret
from secret_sync.queue import Backoff, WorkQueue, run_workers
from secret_sync.resources import ExternalSecret, SecretStore, secret_from_metadata
from secret_sync.resources.names import FIELD_MANAGER
from secret_sync.sources import FetchObservers, SourceRegistry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from secret_sync.credentials import Credentials
    from secret_sync.providers.kms import SecretValue
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecretStatus, SecretMeta, StoreStatus
    from secret_sync.settings import Settings
    from secret_sync.sources import Source

_log = structlog.get_logger(__name__)

T = TypeVar("T")

#: Seconds for one reconcile (C1); it only ever waits for the API server.
RECONCILE_WITHIN: Final = 60.0
#: Seconds that workers have to finish after SIGTERM (G2).
FINISH_WITHIN: Final = 20.0
#: Seconds between two retries at most: an API server that comes back after an outage is soon
#: told what it missed.
RETRY_WITHIN: Final = 30.0
STORE_WORKERS: Final = 4
#: Half as many as there are for Secrets: those go first, and the news of them is not far behind.
STATUS_WORKERS: Final = 8
#: New containers between two collections of the youngest generation.
_GC_YOUNG: Final = 20_000
_KMS: Final = "kms"


def main(settings: Settings) -> int:
    """Runs the controller until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SecretSyncError: It cannot start; the message is one line for a person.
    """
    logs.adopt_sdk_loggers()
    # What was imported stays; the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    # What a sync makes has hardly any cycles; by default they are looked for after 700 objects.
    gc.set_threshold(_GC_YOUNG, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings))


async def run(settings: Settings) -> int:
    """As :func:`main`, inside a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _tell_of_flags(settings)
    _check_addresses(settings)
    async with AsyncExitStack() as stack:
        controller = await _unless(stop, _build(settings, stack))
        if controller is not None:
            await controller.run(stop)
    _log.info("stopped")
    return 0


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work comes to, or ``None`` where the stop comes first: it is cancelled then."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _build(settings: Settings, stack: AsyncExitStack) -> Controller:
    """Opens what has to be closed; the stack closes it in reverse, the health server last."""
    metrics = Metrics(__version__)
    access = await ClusterAccess.find(settings.kubeconfig)
    context = await asyncio.to_thread(build_ssl_context, settings.ssl_cert_file)
    transport = Transport(
        ssl_context=context,
        https_proxy=settings.proxy.https_proxy,
        http_proxy=settings.proxy.http_proxy,
        no_proxy=settings.proxy.no_proxy,
    )
    client = KubeClient(access)
    controller = Controller(settings, metrics, client, transport)
    stack.push_async_callback(controller.health.stop)
    stack.push_async_callback(transport.close)
    stack.push_async_callback(client.close)
    stack.push_async_callback(controller.credentials.close)
    if settings.metrics_bind_address is not None:
        bind = settings.metrics_bind_address
        await controller.health.start(bind.host, bind.port)
    await check(client, _NEEDS, namespaces=settings.watch_namespaces, hint=kinds.INSTALL_CRDS)
    _log.info("starting", version=__version__, server=access.server)
    return controller


_NEEDS: Final = (
    Need(kinds.EXTERNAL_SECRETS, ("get", "list", "watch")),
    Need(kinds.EXTERNAL_SECRETS, ("patch",), "status"),
    Need(kinds.SECRET_STORES, ("list", "watch")),
    Need(kinds.SECRET_STORES, ("patch",), "status"),
    Need(SECRETS, ("list", "watch", "get", "create", "patch", "delete")),
)


def _tell_of_flags(settings: Settings) -> None:
    if settings.no_effect:
        _log.info("flags accepted for compatibility, without effect", flags=settings.no_effect)
    if settings.not_yet:
        _log.warning("flags of a later version, without effect yet", flags=settings.not_yet)


def _check_addresses(settings: Settings) -> None:
    """Finds at start what every single call would be refused for."""
    if settings.kms_endpoint or settings.region:
        resolve_kms("any", region=settings.region, endpoint=settings.kms_endpoint)
    else:
        _log.warning("no region is known, so only keys that are ARNs can be fetched; see --region")


class Controller:
    """Everything that runs, connected."""

    def __init__(
        self, settings: Settings, metrics: Metrics, client: KubeClient, transport: Transport
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._stopping = False
        memories = Memories()
        self._objects = self._queue("externalsecret")
        self._object_statuses = self._queue("externalsecret-status")
        self._stores = self._queue("secretstore")
        self._store_statuses = self._queue("secretstore-status")
        self._informers(client)
        self.triggers = Triggers(
            external_secrets=self.external_secrets.store,
            stores=self.secret_stores.store,
            secrets=self.secrets.store,
            object_queue=self._objects,
            store_queue=self._stores,
            memories=memories,
        )
        self.external_secrets.add_handler(self.triggers.external_secret_changed)
        self.secret_stores.add_handler(self.triggers.store_changed)
        self.secrets.add_handler(self.triggers.secret_changed)
        self.secrets.add_relist_handler(self.triggers.secrets_relisted)
        self.credentials = CredentialCache()
        self.sources = self._make_sources(transport)
        self._reconcilers(client, memories)
        self.health = HealthServer(metrics.registry, ready=self._ready)
        metrics.watch_queues(self._queues)
        metrics.read("sources", "Secrets of Alibaba Cloud in use.", lambda: len(self.sources))
        metrics.read("source_values_bytes", "Values in hand.", lambda: self.sources.bytes_in_hand)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until told to stop, then lets the workers finish.

        Raises:
            ExceptionGroup: A critical task failed.
        """
        async with asyncio.TaskGroup() as tasks:
            critical = partial(self._critical, tasks)
            background = [
                critical("heartbeat", self.health.beat()),
                critical("sources", self.sources.run()),
                critical("secret stores", self.secret_stores.run()),
                critical("secrets", self.secrets.run()),
                critical("external secrets", self.external_secrets.run()),
            ]
            workers = []
            if await _unless(stop, self._synced()):
                workers = [
                    critical(queue.name, self._work(queue, count, handle))
                    for queue, count, handle in self._loops()
                ]
                await stop.wait()
            _log.info("stopping")
            self._stopping = True
            if workers:
                with suppress(TimeoutError):
                    async with asyncio.timeout(FINISH_WITHIN):
                        await self._finish()
            for task in (*workers, *background):
                task.cancel()

    async def _finish(self) -> None:
        """Has what is in hand finished, and told of: a Secret that was written has its status."""
        work = (self._objects, self._stores)
        news = (self._object_statuses, self._store_statuses)
        for queue in work:
            queue.shut_down()
        for queue in work:
            await queue.drained()
        for queue in news:
            while len(queue) or queue.in_flight:
                await queue.drained()
                # Workers take what is ready.
                await asyncio.sleep(0)
            queue.shut_down()

    async def _synced(self) -> bool:
        """Waits for the initial lists, and lets changes wake objects from then on (S5)."""
        for informer in (self.secrets, self.secret_stores, self.external_secrets):
            await informer.wait_synced()
        self.triggers.go_live()
        _log.info(
            "in sync",
            external_secrets=len(self.external_secrets.store),
            secret_stores=len(self.secret_stores.store),
            secrets=len(self.secrets.store),
        )
        return True

    def _critical(
        self, tasks: asyncio.TaskGroup, name: str, work: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        async def run() -> None:
            await work
            if not self._stopping:
                raise SecretSyncError(f"internal: {name} ended by itself")

        return tasks.create_task(run(), name=name)

    def _loops(self) -> list[tuple[WorkQueue[str], int, Callable[[str], Awaitable[Outcome]]]]:
        """Each queue with the number of its workers and what they do."""
        return [
            (self._objects, self._settings.reconcile_count, self.object_loop.reconcile),
            (self._object_statuses, STATUS_WORKERS, self.object_statuses.write),
            (self._stores, STORE_WORKERS, self.store_loop.reconcile),
            (self._store_statuses, STATUS_WORKERS, self.store_statuses.write),
        ]

    async def _work(
        self, queue: WorkQueue[str], count: int, handle: Callable[[str], Awaitable[Outcome]]
    ) -> None:
        await run_workers(
            queue,
            count,
            handle,
            timeout=RECONCILE_WITHIN,
            observer=WorkerMetrics(self._metrics, queue.name),
        )

    def _queue(self, name: str) -> WorkQueue[str]:
        return WorkQueue(
            name,
            backoff=Backoff(
                base=self._settings.reconcile_period,
                cap=max(RETRY_WITHIN, self._settings.reconcile_period),
            ),
            observer=QueueMetrics(self._metrics, name),
        )

    def _ready(self) -> bool:
        informers = (self.external_secrets, self.secret_stores, self.secrets)
        return not self._stopping and all(i.synced for i in informers)

    def _queues(self) -> list[WorkQueue[Any]]:
        return [*(queue for queue, _, _ in self._loops()), *self.sources.queues]

    def _informers(self, client: KubeClient) -> None:
        scope: dict[str, Any] = {
            "namespaces": self._settings.watch_namespaces,
            "excluded": self._settings.exclude_namespaces,
        }
        self.external_secrets: Informer[ExternalSecret] = Informer(
            client,
            kinds.EXTERNAL_SECRETS,
            ExternalSecret.from_dict,
            ReflectorMetrics(self._metrics, kinds.EXTERNAL_SECRETS.plural),
            indexes={BY_STORE: stores_of, BY_TARGET: target_of},
            **scope,
        )
        self.secret_stores: Informer[SecretStore] = Informer(
            client,
            kinds.SECRET_STORES,
            SecretStore.from_dict,
            ReflectorMetrics(self._metrics, kinds.SECRET_STORES.plural),
            indexes={BY_SECRET: secrets_of},
            **scope,
        )
        self.secrets: Informer[SecretMeta] = Informer(
            client,
            SECRETS,
            secret_from_metadata,
            ReflectorMetrics(self._metrics, SECRETS.plural),
            metadata_only=True,
            **scope,
        )

    def _make_sources(self, transport: Transport) -> SourceRegistry:
        calls = CallMetrics(self._metrics, _KMS)
        rate = float(self._settings.max_concurrent_kms_secret_pulls)
        kms = KmsClient(transport)

        async def fetch(source: Source, credentials: Credentials) -> SecretValue:
            request = SecretRequest(
                source.endpoint, source.name, source.version_id, source.version_stage
            )
            return await fetch_secret(kms, credentials, request)

        return SourceRegistry(
            fetchers={_KMS: fetch},
            credentials=self.credentials,
            new_gate=lambda _provider: RateGate(rate, on_wait=calls.waited),
            observers={_KMS: FetchObservers(QueueMetrics(self._metrics, f"source-{_KMS}"), calls)},
            notify=self.triggers.sources_finished,
        )

    def _reconcilers(self, client: KubeClient, memories: Memories) -> None:
        settings = self._settings
        identities = IdentityResolver(
            secrets=self.secrets.store,
            reader=SingleSecretReader(client),
            cross_namespace=settings.enable_cross_namespace_auth_ref,
        )
        planner = Planner(
            stores=self.secret_stores.store,
            identities=identities,
            polling_interval=None if settings.disable_polling else settings.polling_interval,
            region=settings.region,
            kms_endpoint=settings.kms_endpoint,
            cross_namespace=settings.enable_cross_namespace_secret_store,
        )
        writer = ApplyWriter(client, FIELD_MANAGER)
        self.object_statuses: StatusWriter[ExternalSecretStatus] = StatusWriter(
            writer, kinds.EXTERNAL_SECRETS, self._object_statuses
        )
        self.store_statuses: StatusWriter[StoreStatus] = StatusWriter(
            writer, kinds.SECRET_STORES, self._store_statuses
        )
        self.external_secrets.add_handler(self.object_statuses.seen)
        self.secret_stores.add_handler(self.store_statuses.seen)
        self.object_loop = ExternalSecretReconciler(
            objects=self.external_secrets.store,
            planner=planner,
            sources=self.sources,
            writer=SecretWriter(client, writer, self.external_secrets.store, self.secrets.store),
            statuses=self.object_statuses,
            memories=memories,
            observer=SyncMetrics(self._metrics),
        )
        self.store_loop = SecretStoreReconciler(
            objects=self.secret_stores.store,
            identities=identities,
            credentials=self.credentials,
            statuses=self.store_statuses,
            wake=self.triggers.credentials_settled,
        )
