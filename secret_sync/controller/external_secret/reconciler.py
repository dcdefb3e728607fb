"""The control loop of ExternalSecrets, to be read from top to bottom.

A reconcile never waits for Alibaba Cloud: it registers its sources, works with what is known, and
is enqueued again when more is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.extraction import (
    EntryOutcome,
    ExtractionError,
    attribute_error,
    no_keys,
    outcomes_of,
)
from secret_sync.controller.external_secret.state import SyncState
from secret_sync.controller.external_secret.status import written_versions
from secret_sync.controller.sync import Changed, Pending, Problem, Refused, SyncContext
from secret_sync.errors import TransientError
from secret_sync.kube import ApiRefusedError
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import CREATED_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.document_processor import DocumentProcessor
    from secret_sync.controller.external_secret.extraction import ExtractionInput
    from secret_sync.controller.external_secret.planner import Plan, Planner
    from secret_sync.controller.external_secret.reporter import SyncReporter
    from secret_sync.controller.external_secret.state import SyncStateStore
    from secret_sync.controller.external_secret.template_references import TemplateReferences
    from secret_sync.controller.legacy_finalizers import LegacyFinalizers
    from secret_sync.controller.restart.tracker import RestartTracker
    from secret_sync.controller.secret_target.cleanup import SecretCleanup
    from secret_sync.controller.secret_target.turns import WriteTurns
    from secret_sync.controller.secret_target.writer import SecretWriter
    from secret_sync.controller.sync import Unchanged
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret
    from secret_sync.sources import SourceRegistry, SourceSnapshot

_log = structlog.get_logger(__name__)

#: A write that the API server refuses for good is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0
#: A previous Secret that changed while it was removed is checked again after so many seconds: the
#: cache has it by then.
CHANGED_AGAIN_AFTER: Final = 5.0


@dataclass(frozen=True, slots=True)
class ReconcilerDependencies:
    """What the reconciler writes and extracts with.

    Attributes:
        writer: Writes Secrets.
        secret_cleanup: Deletes them.
        turns: Of those that merge into one Secret.
        finalizers: Removes those of ack-secret-manager.
        processor: Extracts from documents and renders templates.
        references: What templates refer to.
        restarts: Restarts workloads after a change; ``None`` in a dry run.
    """

    writer: SecretWriter
    secret_cleanup: SecretCleanup
    turns: WriteTurns
    finalizers: LegacyFinalizers
    processor: DocumentProcessor
    references: TemplateReferences
    restarts: RestartTracker | None = None


class ExternalSecretReconciler:
    """Writes the Secret of an ExternalSecret as its spec says, and reports the result.

    Args:
        cleanup: Whether a Secret is deleted once none of its values exists any more.
    """

    def __init__(
        self,
        *,
        objects: ReadOnlyStore[ExternalSecret],
        planner: Planner,
        sources: SourceRegistry,
        dependencies: ReconcilerDependencies,
        reporter: SyncReporter,
        states: SyncStateStore,
        cleanup: bool = False,
    ) -> None:
        self._objects = objects
        self._planner = planner
        self._sources = sources
        self._writer = dependencies.writer
        self._secret_cleanup = dependencies.secret_cleanup
        self._turns = dependencies.turns
        self._finalizers = dependencies.finalizers
        self._processor = dependencies.processor
        self._references = dependencies.references
        self._restarts = dependencies.restarts
        self._reporter = reporter
        self._states = states
        self._cleanup = cleanup

    async def reconcile(self, key: str) -> Outcome:
        """Reconcile one ExternalSecret; one that is gone is a success."""
        try:
            return await self._reconcile(key)
        except OwnerChangedError as error:
            # The watch brings the change, which enqueues the object; unless it was undone within
            # an outage of the watch, and so is no change to it.
            _log.info(
                "the ExternalSecret changed at the API server; it is reconciled again when the "
                "watch delivers it",
                error=error.message,
            )
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        except TransientError as error:
            _log.warning("reconcile interrupted, will retry", error=error.message)
            # Until then others write the Secret into which it merges.
            self._turns.leave(key)
            return Retry(after=error.retry_after)
        finally:
            self._turns.end(key)

    async def _reconcile(self, key: str) -> Outcome:
        es = self._objects.get(key)
        if es is None or es.deleting:
            return await self._finalize(key, es)
        state = self._states.of(key)
        if state.retarget(es.uid, es.target.name, merge=es.target.merge):
            self._processor.cancel(key)
        ctx = SyncContext(key, es, state)
        if es.restart is not None and self._restarts is not None:
            await self._restarts.begin(ctx)

        plan = self._planner.plan(es)
        if plan.compiling:
            # Nothing is fetched meanwhile, and what was fetched before is kept.
            return self._wait(ctx, Pending())
        if plan.problem is None and plan.once:
            adopted = await self._writer.continue_created_once(ctx)
            if isinstance(adopted, Refused):
                self._processor.cancel(key)
                self._reporter.report(ctx, adopted)
                return RequeueAfter(REFUSED_AGAIN_AFTER)
            if isinstance(adopted, Changed):
                # It may come from a backup, with a force-sync that was answered long ago.
                state.forced = es.force_sync
            if isinstance(adopted, Changed) or self._is_done(ctx):
                return await self._finish_created_once(ctx, adopted)
        ctx.outcomes = [EntryOutcome(e.entry, "", e.problem) for e in plan.entries if e.problem]
        problem = plan.problem or (_first_problem(ctx.outcomes) if ctx.outcomes else None)
        if problem is not None:
            # Nothing will be written, so nothing is fetched.
            self._sources.suspend(key)
            self._cancel_extraction(ctx)
            self._reporter.report(ctx, Refused(problem))
            return Done()
        outcome = await self._sync(ctx, plan)
        # One whose recheck was postponed comes again by itself.
        left = state.recheck_delay()
        return RequeueAfter(left) if left and isinstance(outcome, Done) else outcome

    async def _sync(self, ctx: SyncContext, plan: Plan) -> Outcome:
        readings = self._register(ctx, plan)
        template = ctx.es.template
        if template is not None and ctx.state.looked_up != ctx.es.generation:
            await self._references.look_up(ctx.es, template)
            ctx.state.looked_up = ctx.es.generation
        inputs, desired = self._processor.build_desired(ctx, plan, readings)
        outcomes = ctx.outcomes = outcomes_of(plan, readings)
        pending = sum(o.pending for o in outcomes)
        failed = [o for o in outcomes if o.problem and not o.pending]
        if failed:
            return await self._fetch_failed(ctx, inputs, desired, failed)
        if inputs is None or pending:
            await self._restore(ctx, inputs, desired)
            return self._wait(ctx, Pending(pending, known=inputs is not None))
        desired = await self._bring_in_hand(ctx, inputs, desired)
        if isinstance(desired, ExtractionError):
            ctx.outcomes = attribute_error(outcomes, desired)
            self._reporter.report(ctx, Refused(desired.problem))
            # Nothing tells when a permission is granted.
            forbidden = desired.problem.reason is Reason.TEMPLATE_SOURCE_FORBIDDEN
            return RequeueAfter(REFUSED_AGAIN_AFTER) if forbidden else Done()
        if desired is None:
            return self._wait(ctx, Pending())
        return await self._write(ctx, desired)

    async def _finalize(self, key: str, es: ExternalSecret | None) -> Outcome:
        """Release an object that is deleted or being deleted.

        The garbage collector deletes the Secret: it carries an owner reference. Only for the
        finalizer of ack-secret-manager that takes doing.
        """
        self._forget(key)
        if es is None or not es.legacy:
            return Done()
        if self._planner.outdated(es) is not None:
            # Whether its Secret is to be retained cannot be read.
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        try:
            await self._secret_cleanup.delete_on_finalize(es)
            await self._finalizers.remove(es, SyncState())
        except ApiRefusedError as error:
            _log.warning("not finalized, will retry", error=error.message)
            return Retry(after=error.retry_after)
        return Done()

    def _forget(self, key: str) -> None:
        """Forget all that there is of an object; nothing else does."""
        self._sources.release(key)
        self._processor.cancel(key)
        self._turns.leave(key)
        self._states.forget(key)
        self._planner.forget(key)

    def _is_done(self, ctx: SyncContext) -> bool:
        """Return whether an object that is fetched once has its Secret, with no new force-sync."""
        if not self._writer.is_there(ctx):
            return False
        if ctx.state.forced is None:
            ctx.state.forced = _answered(ctx.es)
        return ctx.state.forced == ctx.es.force_sync

    async def _finish_created_once(self, ctx: SyncContext, result: Changed | Unchanged) -> Outcome:
        """Stop fetching for a Secret that is created once."""
        self._stop_polling(ctx)
        if ctx.es.restart is not None and self._restarts is not None:
            self._restarts.unread(ctx)
        self._reporter.report(ctx, result)
        return await self._take_over(ctx)

    def _stop_polling(self, ctx: SyncContext) -> None:
        self._sources.stop(ctx.key, ctx.es.force_sync)
        self._cancel_extraction(ctx)

    def _cancel_extraction(self, ctx: SyncContext) -> None:
        self._processor.cancel(ctx.key)
        ctx.state.drop_extracted()

    def _register(self, ctx: SyncContext, plan: Plan) -> Sequence[SourceSnapshot]:
        es = ctx.es
        return self._sources.register(
            ctx.key,
            [e.wanted for e in plan.entries if e.wanted is not None],
            interval=plan.interval,
            forced=es.force_sync,
            revision=plan.revision,
            urgent=not es.in_step or self._writer.has_drifted(ctx),
            written=written_versions(es),
        )

    async def _write(self, ctx: SyncContext, desired: Desired) -> Outcome:
        if not desired.keys:
            self._reporter.report(ctx, Refused(no_keys()))
            return Done()
        ctx.desired = desired
        result = await self._writer.ensure(ctx, desired)
        if isinstance(result, Pending):
            return self._wait(ctx, result)
        if isinstance(result, Refused):
            self._reporter.report(ctx, result)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        if controller := self._writer.other_controller(ctx):
            result = replace(result, controller=controller)
        concerns_restarts = ctx.es.restart is not None or ctx.es.status.restart is not None
        if concerns_restarts and self._restarts is not None:
            self._restarts.written(ctx, desired, result)
        self._reporter.report(ctx, result)
        if desired.clock is not None and ctx.state.set_clock(desired.clock, result):
            # More than the time has changed: it is rendered again, with the current one.
            return RequeueAfter(0)
        if ctx.es.refresh_policy == CREATED_ONCE:
            ctx.state.forced = ctx.es.force_sync
            self._stop_polling(ctx)
        return await self._take_over(ctx)

    async def _take_over(self, ctx: SyncContext) -> Outcome:
        """Remove previous targets and legacy finalizers, now that the Secret is in place."""
        es = ctx.es
        try:
            former = await self._secret_cleanup.prune_previous_targets(es)
        except ApiRefusedError as error:
            _log.warning("former secret not removed, will retry", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        for name in former.deleted:
            self._reporter.publisher.deleted(es, name, f"the target is {es.target.name} now")
        if await self._finalizers.remove(es, ctx.state):
            self._reporter.publisher.finalizer_removed(es)
        # What changed while it was removed no longer enqueues us: we are not its writer any more.
        return RequeueAfter(CHANGED_AGAIN_AFTER) if former.changed else Done()

    async def _bring_in_hand(
        self,
        ctx: SyncContext,
        inputs: ExtractionInput,
        desired: Desired | ExtractionError | None,
    ) -> Desired | ExtractionError | None:
        """Return what can be written now, or needs no write; fetch the values that are absent."""
        if isinstance(desired, ExtractionError):
            return desired
        if desired is not None and (
            desired.data is not None
            or (self._writer.is_right(ctx, desired) and not self._lacks_digest(ctx, desired))
        ):
            return desired
        for source in inputs.absent:
            self._sources.fetch_value(ctx.key, source)
        if inputs.absent or self._processor.is_waiting(ctx.key, inputs):
            return None
        return await self._values(ctx, inputs) if desired or inputs.lacks_texts else None

    def _lacks_digest(self, ctx: SyncContext, desired: Desired) -> bool:
        """Return whether the values are needed to tell a later change from none."""
        if ctx.es.restart is None or self._restarts is None:
            return False
        return self._restarts.lacks_digest(ctx, desired)

    async def _values(
        self, ctx: SyncContext, inputs: ExtractionInput
    ) -> Desired | ExtractionError | None:
        """Make the Secret, with templates that are read for that; see `DocumentProcessor.values`.

        Raises:
            ApiError: The API server did not answer.
        """
        template = inputs.template
        if template is None or not template.lacks_texts:
            return self._processor.values(ctx, inputs)
        if self._processor.is_waiting(ctx.key, inputs):
            return None
        if not self._processor.admits(ctx.key, inputs):
            return None
        texts = await self._references.read(ctx.es, template.template)
        if isinstance(texts, Problem):
            return ExtractionError(None, texts)
        inputs = replace(inputs, template=replace(template, texts=texts))
        return self._processor.values(ctx, inputs)

    async def _fetch_failed(
        self,
        ctx: SyncContext,
        inputs: ExtractionInput | None,
        desired: Desired | ExtractionError | None,
        failed: Sequence[EntryOutcome],
    ) -> Outcome:
        """Leave the Secret as it is, or restore it: all or nothing."""
        gone = all(
            o.problem and o.problem.reason is Reason.SECRET_NOT_FOUND and not o.pending
            for o in ctx.outcomes
        )
        if self._cleanup and gone:
            outcome = await self._clean_up(ctx)
        else:
            outcome = await self._restore(ctx, inputs, desired)
        self._reporter.report(ctx, Refused(_first_problem(failed)))
        return outcome

    async def _clean_up(self, ctx: SyncContext) -> Outcome:
        try:
            if await self._secret_cleanup.clean_up(ctx):
                self._reporter.publisher.deleted(
                    ctx.es, ctx.es.target.name, "none of its values exists"
                )
        except ApiRefusedError as error:
            _log.warning("secret not cleaned up, will retry", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        return Done()

    async def _restore(
        self,
        ctx: SyncContext,
        inputs: ExtractionInput | None,
        desired: Desired | ExtractionError | None,
    ) -> Outcome:
        """Repair drift although a refresh failed or is under way.

        Only to what was applied last: with one entry failing and another one renewed, the
        cached values would be a mix of two versions.
        """
        if not isinstance(desired, Desired) or ctx.state.written != desired.fingerprint:
            return Done()
        if desired.data is None and inputs is not None and not inputs.absent:
            if self._writer.is_right(ctx, desired):
                return Done()
            made = await self._values(ctx, inputs)
            desired = made if isinstance(made, Desired) else desired
        if desired.data is None:
            return Done()
        result = await self._writer.ensure(ctx, desired)
        self._reporter.restored(ctx, result)
        return RequeueAfter(REFUSED_AGAIN_AFTER) if isinstance(result, Refused) else Done()

    def _wait(self, ctx: SyncContext, pending: Pending) -> Outcome:
        """Wait for sources or a turn; an object that is not in sync reports why after a while."""
        left = self._reporter.report(ctx, pending)
        return Done() if left is None else RequeueAfter(left, Priority.LOW)


def _answered(es: ExternalSecret) -> str:
    """Return the ``force-sync`` that was answered before this process had a part in it.

    The status has it. Where it was written by a version that did not set it, the wish that is there
    counts as answered: the value of such a Secret was meant to stay, and may be old on purpose.
    Not so where the status is of an older generation: then the object was fetched at intervals,
    which is never reported, and ``refreshPolicy`` may have been changed together with the wish.
    """
    status = es.status
    if status.forced is not None:
        return status.forced
    ready = status.ready
    outdated = ready is not None and ready.observed_generation != es.generation
    return "" if outdated or not status.last_sync_time else es.force_sync


def _first_problem(outcomes: Sequence[EntryOutcome]) -> Problem:
    problems = [o.problem for o in outcomes if o.problem is not None]
    first = problems[0]
    if len(problems) == 1:
        return first
    # Without their number, which may change all the time: each would be a new condition.
    message = f"{first.message}; other entries fail, too: see status.dataSyncResults"
    return Problem(first.reason, message, request_id=first.request_id)
