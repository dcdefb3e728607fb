"""The control loop of ExternalSecrets, to be read from top to bottom.

A reconcile never waits for Alibaba Cloud (C0): it says what it wants, works with what is
known, and is woken when more is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.confirmation import OwnerChangedError
from secret_sync.controller.desired import (
    Desired,
    EntryOutcome,
    ExtractionError,
    attribute_error,
    outcomes_of,
)
from secret_sync.controller.fights import rest
from secret_sync.controller.problem import Problem
from secret_sync.controller.status import written_versions
from secret_sync.controller.telling import Case
from secret_sync.errors import TransientError
from secret_sync.kube import ApiError, ApiUnavailableError
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import CREATED_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.desired import ExtractionInput
    from secret_sync.controller.document_processor import DocumentProcessor
    from secret_sync.controller.memory import Memories, Memory
    from secret_sync.controller.plan import Plan, Planner
    from secret_sync.controller.removal import LegacyFinalizers, Removal
    from secret_sync.controller.secret_writer import SecretWriter
    from secret_sync.controller.telling import Telling
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret
    from secret_sync.sources import SourceRegistry, SourceSnapshot

_log = structlog.get_logger(__name__)

#: A write that the API server refuses for good is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0
#: A former Secret that changed while it was removed is looked at again after so many seconds: the
#: cache has it by then.
CHANGED_AGAIN_AFTER: Final = 5.0


@dataclass(frozen=True, slots=True)
class Hands:
    """What the loop works with.

    Attributes:
        writer: Writes Secrets.
        removal: Deletes them.
        finalizers: Takes those of ack-secret-manager off.
        desk: Extracts from documents.
    """

    writer: SecretWriter
    removal: Removal
    finalizers: LegacyFinalizers
    desk: DocumentProcessor


class ExternalSecretReconciler:
    """Makes the Secret of an ExternalSecret what it should be, and says how that went.

    Args:
        cleanup: Whether a Secret goes once none of its values exists any more.
    """

    def __init__(
        self,
        *,
        objects: ReadOnlyStore[ExternalSecret],
        planner: Planner,
        sources: SourceRegistry,
        hands: Hands,
        tell: Telling,
        memories: Memories,
        cleanup: bool = False,
    ) -> None:
        self._objects = objects
        self._planner = planner
        self._sources = sources
        self._writer = hands.writer
        self._removal = hands.removal
        self._finalizers = hands.finalizers
        self._desk = hands.desk
        self._tell = tell
        self._memories = memories
        self._cleanup = cleanup

    async def reconcile(self, key: str) -> Outcome:
        """One pass over one object (C4: gone is success)."""
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
            return Retry(after=error.retry_after)

    async def _reconcile(self, key: str) -> Outcome:
        es = self._objects.get(key)
        if es is None or es.deleting:
            return await self._end(key, es)
        memory = self._memories.of(key)
        if memory.aim(es.uid, es.target.name + ("+" if es.target.merge else "")):
            self._desk.forget(key)
        case = Case(key, es, memory)

        plan = self._planner.plan(es)
        if plan.compiling:
            # Nothing is fetched meanwhile, and what was fetched before is kept.
            return self._wait(case, 0)
        if plan.problem is None and plan.once:
            adopted = await self._writer.continue_created_once(es, memory)
            if isinstance(adopted, Problem):
                self._tell.failed(case, adopted, ())
                return RequeueAfter(REFUSED_AGAIN_AFTER)
            if adopted:
                # It may come from a backup, with a wish that was answered long ago.
                memory.forced = es.force_sync
            if adopted or self._is_done(case):
                return await self._leave(case)
        broken = [EntryOutcome(e.entry, "", e.problem) for e in plan.entries if e.problem]
        problem = plan.problem or (_first_problem(broken) if broken else None)
        if problem is not None:
            # Nothing will be written, so nothing is fetched.
            self._sources.suspend(key)
            self._desk.forget(key)
            self._tell.failed(case, problem, broken)
            return Done()
        return _rested(memory, await self._sync(case, plan))

    async def _sync(self, case: Case, plan: Plan) -> Outcome:
        readings = self._register(case, plan)
        batch, desired = self._desk.desire(case.key, case.es, plan, readings)
        outcomes = outcomes_of(plan, readings)
        pending = sum(o.pending for o in outcomes)
        failed = [o for o in outcomes if o.problem and not o.pending]
        if failed:
            return await self._fetch_failed(case, batch, desired, outcomes)
        if batch is None or pending:
            await self._restore(case, batch, desired)
            return self._wait(case, pending, known=batch is not None)
        desired = self._bring_in_hand(case, batch, desired)
        if isinstance(desired, ExtractionError):
            self._tell.failed(case, desired.problem, attribute_error(outcomes, desired))
            return Done()
        if desired is None:
            return self._wait(case, 0)
        return await self._write(case, desired, outcomes)

    async def _end(self, key: str, es: ExternalSecret | None) -> Outcome:
        """The object is gone, or about to be.

        The garbage collector deletes the Secret: it carries an owner reference. Only for the
        finalizer of ack-secret-manager that takes doing.
        """
        self._sources.release(key)
        self._desk.forget(key)
        self._tell.forget(key)
        self._memories.forget(key)
        self._planner.forget(key)
        if es is None:
            self._finalizers.forget(key)
        if es is None or not es.legacy:
            return Done()
        if self._planner.outdated(es) is not None:
            # Whether its Secret is to be retained cannot be read.
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        try:
            await self._removal.bury(es)
            await self._finalizers.remove(es)
        except ApiUnavailableError:
            raise
        except ApiError as error:
            _log.warning("not let go of, will retry", error=error.message)
            return Retry(after=error.retry_after)
        return Done()

    def _is_done(self, case: Case) -> bool:
        """Whether the Secret of an object that is fetched once is there, and nobody asks anew."""
        es, memory = case.es, case.memory
        if not self._writer.is_there(es, memory):
            return False
        if memory.forced is None:
            memory.forced = _answered(es)
        return memory.forced == es.force_sync

    async def _leave(self, case: Case) -> Outcome:
        """The Secret was created once: it is neither fetched nor looked after any more."""
        self._let_rest(case)
        message = (
            f"Secret {case.es.target.name} was created; it is not fetched again "
            f"(refreshPolicy {CREATED_ONCE})"
        )
        self._tell.observe(case, "unchanged")
        self._tell.succeeded(case, message, None)
        return await self._take_over(case)

    def _let_rest(self, case: Case) -> None:
        self._sources.stop(case.key, case.es.force_sync)
        self._desk.forget(case.key)

    def _register(self, case: Case, plan: Plan) -> Sequence[SourceSnapshot]:
        es = case.es
        return self._sources.register(
            case.key,
            [e.wanted for e in plan.entries if e.wanted is not None],
            interval=plan.interval,
            forced=es.force_sync,
            revision=plan.revision,
            urgent=not es.in_step or self._writer.has_drifted(es, case.memory),
            written=written_versions(es),
        )

    async def _write(
        self, case: Case, desired: Desired, outcomes: Sequence[EntryOutcome]
    ) -> Outcome:
        if not desired.keys:
            problem = Problem(
                Reason.NO_DATA,
                "the documents have no keys, so there is nothing to write; the Secret is as it was",
            )
            self._tell.failed(case, problem, outcomes)
            return Done()
        changed = await self._writer.ensure(case.es, desired, case.memory)
        if isinstance(changed, Problem):
            self._tell.failed(case, changed, outcomes)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        self._tell.observe(case, "written" if changed else "unchanged", logged=changed)
        beside = self._writer.other_controller(case.es, case.memory)
        self._tell.written(case, desired, outcomes, changed=changed, controller=beside)
        if case.es.refresh_policy == CREATED_ONCE:
            case.memory.forced = case.es.force_sync
            self._let_rest(case)
        return await self._take_over(case)

    async def _take_over(self, case: Case) -> Outcome:
        """With the Secret in place: what it was called before goes, and whose object it was."""
        es = case.es
        try:
            former = await self._removal.remove_former(es)
        except ApiUnavailableError:
            raise
        except ApiError as error:
            _log.warning("former secret not removed, will retry", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        for name in former.deleted:
            self._tell.announcer.deleted(es, name, f"the target is {es.target.name} now")
        if await self._finalizers.remove(es):
            self._tell.announcer.finalizer_removed(es)
        # What changed while it was removed concerns its writer no more: no news of it wake us.
        return RequeueAfter(CHANGED_AGAIN_AFTER) if former.changed else Done()

    def _bring_in_hand(
        self, case: Case, batch: ExtractionInput, desired: Desired | ExtractionError | None
    ) -> Desired | ExtractionError | None:
        """What can be written now, or needs no write; what it lacks is fetched (S15)."""
        if isinstance(desired, ExtractionError):
            return desired
        if desired is not None and (
            desired.data is not None or self._writer.is_right(case.es, desired, case.memory)
        ):
            return desired
        for source in batch.absent:
            self._sources.fetch_value(case.key, source)
        return None if batch.absent or desired is None else self._desk.values(case.key, batch)

    async def _fetch_failed(
        self,
        case: Case,
        batch: ExtractionInput | None,
        desired: Desired | ExtractionError | None,
        outcomes: Sequence[EntryOutcome],
    ) -> Outcome:
        """The Secret stays as it is, or is made so again (all or nothing)."""
        problem = _first_problem([o for o in outcomes if o.problem and not o.pending])
        gone = all(o.problem and o.problem.reason is Reason.SECRET_NOT_FOUND for o in outcomes)
        if self._cleanup and gone and not any(o.pending for o in outcomes):
            outcome = await self._clean_up(case)
        else:
            outcome = await self._restore(case, batch, desired)
        self._tell.failed(case, problem, outcomes)
        return outcome

    async def _clean_up(self, case: Case) -> Outcome:
        try:
            if await self._removal.clean_up(case.es, case.memory):
                self._tell.announcer.deleted(
                    case.es, case.es.target.name, "none of its values exists"
                )
        except ApiUnavailableError:
            raise
        except ApiError as error:
            _log.warning("secret not cleaned up, will retry", error=error.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        return Done()

    async def _restore(
        self, case: Case, batch: ExtractionInput | None, desired: Desired | ExtractionError | None
    ) -> Outcome:
        """Repairs drift although a refresh failed or is under way.

        Only to what was applied last: with one entry failing and another one renewed, the
        values in hand would be a mix of two versions.
        """
        if not isinstance(desired, Desired) or case.memory.written != desired.fingerprint:
            return Done()
        if desired.data is None and batch is not None and not batch.absent:
            if self._writer.is_right(case.es, desired, case.memory):
                return Done()
            made = self._desk.values(case.key, batch)
            desired = made if isinstance(made, Desired) else desired
        if desired.data is None:
            return Done()
        restored = await self._writer.ensure(case.es, desired, case.memory)
        if isinstance(restored, Problem):
            # The condition tells of what the values wait for; this one is for the log.
            _log.warning("not restored", reason=restored.reason.value, message=restored.message)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        if restored:
            self._tell.observe(case, "written", logged=True)
        return Done()

    def _wait(self, case: Case, pending: int, *, known: bool = False) -> Outcome:
        """Sources will wake us; an object that is not in step says after a while why it waits."""
        now = asyncio.get_running_loop().time()
        if case.memory.waiting_since is None:
            case.memory.waiting_since = now
        waited = now - case.memory.waiting_since
        left = self._tell.pending(case, pending, waited, known=known)
        return Done() if left is None else RequeueAfter(left, Priority.LOW)


def _rested(memory: Memory, outcome: Outcome) -> Outcome:
    """What was left alone since it was looked at often lately is looked at when it has rested."""
    left = rest(memory)
    return RequeueAfter(left) if left and isinstance(outcome, Done) else outcome


def _answered(es: ExternalSecret) -> str:
    """Return the ``force-sync`` that was answered before this process had a part in it.

    The status tells. Where it was written by a version that did not tell, the wish that is there
    counts as answered: the value of such a Secret was meant to stay, and may be old on purpose.
    Not so where the status is of an older generation: then the object was fetched at intervals,
    which is never told, and ``refreshPolicy`` may have been changed together with the wish.
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
    # Without their number, which may change all the time: that would be news each time.
    return Problem(first.reason, f"{first.message}; other entries fail, too: see dataSyncResults")
