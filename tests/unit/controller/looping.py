"""The control loop of ExternalSecrets with played hands: what it does is written down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.document_processor import DocumentProcessor
from secret_sync.controller.external_secret.expressions import ExpressionCompiler
from secret_sync.controller.external_secret.reconciler import (
    ExternalSecretReconciler,
    ReconcilerDependencies,
)
from secret_sync.controller.external_secret.reporter import SyncReporter
from secret_sync.controller.external_secret.state import SyncStateStore
from secret_sync.controller.kinds import EXTERNAL_SECRETS
from secret_sync.controller.legacy_finalizers import LegacyFinalizers
from secret_sync.controller.publishing import EventPublisher
from secret_sync.controller.secret_target.cleanup import PrunedTargets
from secret_sync.controller.secret_target.turns import WriteTurns
from secret_sync.controller.sync import UNCHANGED, Changed, Refused
from secret_sync.kube import Store
from secret_sync.queue import TimeSlicedWorker
from secret_sync.resources.external_secret import BY_WORKLOAD, workloads_of
from tests.unit.controller.extracting import UNREAD, reading
from tests.unit.controller.fakes import Events, Observer, PlayedFinalizerWriter, Statuses
from tests.unit.controller.planning import Cluster
from tests.unit.controller.rendered import template_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.reporter import SyncObserver
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.restart.tracker import RestartTracker
    from secret_sync.controller.secret_target.writer import SecretWriter
    from secret_sync.controller.sync import SyncContext, WriteResult
    from secret_sync.errors import SecretSyncError
    from secret_sync.queue import Outcome
    from secret_sync.resources import Condition, ExternalSecret
    from secret_sync.sources import Source, SourceRequest, SourceSnapshot

KEY = "ns/some"
NOTHING_FORMER = PrunedTargets()
CHANGED = Changed("secret updated", 1)


@dataclass
class PlayedSources:
    """Answers with what it was given, by the names of the secrets."""

    readings: dict[str, SourceSnapshot] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    urgent: bool | None = None
    versions: Sequence[str] | None = None
    _forced: dict[str, str] = field(default_factory=dict)

    def register(
        self,
        user: str,
        wanted: Sequence[SourceRequest],
        *,
        interval: float | None,
        forced: str,
        revision: Hashable,
        urgent: bool,
        written: Sequence[str] | None,
    ) -> list[SourceSnapshot]:
        self.urgent, self.versions = urgent, written
        self.log.append("register")
        if user in self._forced and self._forced[user] != forced:
            self.log.append("forced")
        self._forced[user] = forced
        return [self.readings.get(w.source.name, UNREAD) for w in wanted]

    def release(self, user: str) -> None:
        self._forced.pop(user, None)
        self.log.append("release")

    def suspend(self, user: str) -> None:
        self.log.append("suspend")

    def stop(self, user: str, forced: str) -> None:
        self._forced[user] = forced
        self.log.append("rest")

    def fetch_value(self, user: str, source: Source) -> None:
        self.log.append(f"fetch {source.name}")


@dataclass
class PlayedWriter:
    """Writes whatever it is given, unless told otherwise."""

    right: bool = False
    there: bool = False
    drifted: bool = False
    continued: WriteResult = UNCHANGED
    controller: str = ""
    answer: WriteResult | SecretSyncError = CHANGED
    written: list[dict[str, bytes] | None] = field(default_factory=list)

    def is_right(self, ctx: SyncContext, desired: Desired) -> bool:
        return self.right

    def has_drifted(self, ctx: SyncContext) -> bool:
        return self.drifted

    def is_there(self, ctx: SyncContext) -> bool:
        return self.there

    def other_controller(self, ctx: SyncContext) -> str:
        return self.controller

    async def continue_created_once(self, ctx: SyncContext) -> WriteResult:
        return self.continued

    async def ensure(self, ctx: SyncContext, desired: Desired) -> WriteResult:
        if isinstance(self.answer, Exception):
            raise self.answer
        self.written.append(desired.data)
        if not isinstance(self.answer, Refused):
            ctx.state.written = desired.fingerprint
        return self.answer


@dataclass
class PlayedRemoval:
    """Deletes whatever there is."""

    former: PrunedTargets = NOTHING_FORMER
    own: bool = True
    fault: SecretSyncError | None = None
    log: list[str] = field(default_factory=list)

    async def prune_previous_targets(self, es: ExternalSecret) -> PrunedTargets:
        self._do("remove former")
        return self.former

    async def clean_up(self, ctx: SyncContext) -> bool:
        self._do("clean up")
        return self.own

    async def delete_on_finalize(self, es: ExternalSecret) -> None:
        self._do("bury")

    def _do(self, what: str) -> None:
        self.log.append(what)
        if self.fault is not None:
            raise self.fault


class Loop:
    """An object that is reconciled again and again.

    Attributes:
        cluster: Where it is planned; objects without a store use the role of the node.

    Args:
        es: The object.
        cleanup: As of the loop.
        writer: A real one instead of the played one.
        observer: Likewise.
        restarts: Makes what restarts workloads; none by default.
    """

    def __init__(
        self,
        es: ExternalSecret,
        *,
        cleanup: bool = False,
        writer: SecretWriter | None = None,
        observer: SyncObserver | None = None,
        restarts: Callable[[Loop], RestartTracker] | None = None,
    ) -> None:
        self.cluster, self.schemas = Cluster(), Schemas()
        self.sources, self.writer, self.secret_cleanup = (
            PlayedSources(),
            PlayedWriter(),
            PlayedRemoval(),
        )
        self.api, self.events = PlayedFinalizerWriter(), Events()
        self.statuses, self.observer = Statuses(), Observer()
        self.states = SyncStateStore()
        self.objects: Store[ExternalSecret] = Store({BY_WORKLOAD: workloads_of})
        self.objects.put(KEY, es)
        played: Any = self
        self.worker, self._enqueued = TimeSlicedWorker(), asyncio.Event()
        expressions = ExpressionCompiler(self.worker, self._enqueue)
        self.templates = template_inputs(self.worker, self._enqueue)
        self.processor = DocumentProcessor(self.worker, expressions, self._enqueue, self.templates)
        self.enqueued: list[str] = []
        self.turns = WriteTurns(self.enqueued.append)
        self.finalizers = LegacyFinalizers(played.api, EXTERNAL_SECRETS)
        self.loop = ExternalSecretReconciler(
            objects=self.objects,
            planner=self.cluster.planner(schemas=self.schemas, expressions=expressions),
            sources=played.sources,
            dependencies=ReconcilerDependencies(
                writer or played.writer,
                played.secret_cleanup,
                self.turns,
                self.finalizers,
                self.processor,
                self.templates.references,
                restarts(self) if restarts is not None else None,
            ),
            reporter=SyncReporter(
                played.statuses, EventPublisher(self.events), observer or self.observer
            ),
            states=self.states,
            cleanup=cleanup,
        )

    def knows(self, **values: bytes | SourceSnapshot) -> None:
        """What is known of the sources, by name."""
        self.sources.readings |= {
            name: reading(value) if isinstance(value, bytes) else value
            for name, value in values.items()
        }

    async def reconcile(self, es: ExternalSecret | None = None) -> Outcome:
        if es is not None:
            self.objects.put(KEY, es)
        return await self.loop.reconcile(KEY)

    async def settle(self) -> Outcome:
        """Reconciles, and again each time that something was worked on in the thread."""
        outcome = await self.reconcile()
        while len(self.worker):
            self._enqueued.clear()
            working = asyncio.create_task(self.worker.run())
            await self._enqueued.wait()
            working.cancel()
            outcome = await self.reconcile()
        return outcome

    def _enqueue(self, _keys: object, _priority: object) -> None:
        self._enqueued.set()

    @property
    def state(self) -> SyncState:
        return self.states.of(KEY)

    @property
    def ready(self) -> Condition | None:
        held = self.statuses.held.get(KEY)
        return held.ready if held is not None else None

    @property
    def reported(self) -> tuple[str, str]:
        """Status and reason of the condition."""
        return (self.ready.status, self.ready.reason) if self.ready is not None else ("", "")

    @property
    def results(self) -> list[tuple[str, str, str]]:
        """Key, status and reason of each entry."""
        return [(r.key, r.status, r.reason) for r in self.statuses.held[KEY].results]
