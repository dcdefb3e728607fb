"""The control loop of ExternalSecrets, to be read from top to bottom.

A reconcile never waits for Alibaba Cloud (C0): it says what it wants, works with what is
known, and is woken when more is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.controller.desired import EntryOutcome, desire, outcomes_of
from secret_sync.controller.problem import Problem
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.secret_writer import OwnerGoneError
from secret_sync.controller.status import condition, problem_condition, status_of
from secret_sync.errors import DefiniteError, TransientError
from secret_sync.parse import check_data
from secret_sync.queue import Done, Priority, RequeueAfter, Retry
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.desired import Desired
    from secret_sync.controller.memory import Memories, Memory
    from secret_sync.controller.plan import Plan, Planner
    from secret_sync.controller.secret_writer import SecretWriter
    from secret_sync.controller.status_writer import StatusWriter
    from secret_sync.controller.view import ReadOnlyStore
    from secret_sync.queue import Outcome
    from secret_sync.resources import ExternalSecret, ExternalSecretStatus
    from secret_sync.sources import Reading, SourceRegistry

_log = structlog.get_logger(__name__)

#: After so many seconds without an answer an object that is not in step says that it waits.
TELL_PENDING_AFTER: Final = 10.0
#: A write that the API server refuses for good is tried again this often (seconds).
REFUSED_AGAIN_AFTER: Final = 60.0


class SyncObserver(Protocol):
    """What the loop tells its metrics."""

    def synced(self, result: str, latency: float | None) -> None:
        """A reconcile came to a result.

        Args:
            result: ``written``, ``unchanged``, ``pending`` or ``failed``.
            latency: Seconds from the event that caused it to the applied write, if any.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Case:
    """One reconcile of one object."""

    key: str
    es: ExternalSecret
    memory: Memory


class ExternalSecretReconciler:
    """Makes the Secret of an ExternalSecret what it should be, and says how that went."""

    def __init__(
        self,
        *,
        objects: ReadOnlyStore[ExternalSecret],
        planner: Planner,
        sources: SourceRegistry,
        writer: SecretWriter,
        statuses: StatusWriter[ExternalSecretStatus],
        memories: Memories,
        observer: SyncObserver,
    ) -> None:
        self._objects = objects
        self._planner = planner
        self._sources = sources
        self._writer = writer
        self._statuses = statuses
        self._memories = memories
        self._observer = observer

    async def reconcile(self, key: str) -> Outcome:
        """One pass over one object (C4: gone is success)."""
        try:
            return await self._reconcile(key)
        except OwnerGoneError as error:
            _log.info("not written", error=error.message)
            return Done()
        except TransientError as error:
            _log.warning("reconcile interrupted, will retry", error=error.message)
            return Retry()

    async def _reconcile(self, key: str) -> Outcome:
        es = self._objects.get(key)
        if es is None or es.deleting:
            # The garbage collector deletes the Secret: it carries an owner reference.
            self._sources.release(key)
            self._memories.forget(key)
            self._statuses.forget(key)
            return Done()
        memory = self._memories.of(key)
        if memory.uid != es.uid:
            memory.renew(es.uid)
        case = _Case(key, es, memory)

        plan = self._planner.plan(es)
        if plan.problem is not None:
            self._sources.suspend(key)
            self._fail(case, plan.problem, ())
            return Done()
        broken = [EntryOutcome(e.entry, "", e.problem) for e in plan.entries if e.problem]
        if broken:
            # Nothing will be written, so nothing is fetched.
            self._sources.suspend(key)
            self._fail(case, _first_problem(broken), broken)
            return Done()

        readings = self._register(case, plan)
        desired = desire(es, plan, readings)
        outcomes = outcomes_of(plan, readings)
        pending = sum(o.pending for o in outcomes)
        failed = [o for o in outcomes if o.problem and not o.pending]
        if failed:
            await self._restore(case, desired)
            self._fail(case, _first_problem(failed), outcomes)
            return Done()
        if pending or desired is None:
            await self._restore(case, desired)
            return self._wait(case, pending)
        return await self._write(case, desired, outcomes)

    def _register(self, case: _Case, plan: Plan) -> Sequence[Reading]:
        es = case.es
        return self._sources.register(
            case.key,
            [e.wanted for e in plan.entries if e.wanted is not None],
            interval=plan.interval,
            forced=es.force_sync,
            revision=plan.revision,
            urgent=not es.in_step or self._writer.has_drifted(es, case.memory),
        )

    async def _write(
        self, case: _Case, desired: Desired, outcomes: Sequence[EntryOutcome]
    ) -> Outcome:
        if desired.data is not None:
            try:
                check_data(desired.data)
            except DefiniteError as error:
                self._fail(case, problem_of(error), outcomes)
                return Done()
        if not self._bring_in_hand(case, desired):
            return Done()
        changed = await self._writer.ensure(case.es, desired, case.memory)
        if isinstance(changed, Problem):
            self._fail(case, changed, outcomes)
            return RequeueAfter(REFUSED_AGAIN_AFTER)
        self._observe(case, "written" if changed else "unchanged")
        case.memory.waiting_since = None
        es = case.es
        before = self._statuses.known(case.key, es)
        ready = condition(
            before.ready,
            generation=es.generation,
            status="True",
            reason=Reason.SYNCED,
            message=_success(es, desired),
        )
        status = status_of(
            before, ready, outcomes, written=True, changed=changed, target=es.target_name
        )
        self._statuses.put(case.key, es, status)
        return Done()

    def _bring_in_hand(self, case: _Case, desired: Desired) -> bool:
        """Whether a write that is needed can be made; what it lacks is fetched (S15)."""
        if desired.data is not None or self._writer.is_right(case.es, desired, case.memory):
            return True
        for source in desired.absent:
            self._sources.fetch_value(case.key, source)
        return False

    async def _restore(self, case: _Case, desired: Desired | None) -> None:
        """Repairs drift although a refresh failed or is under way.

        Only to what was applied last: with one entry failing and another one renewed, the
        values in hand would be a mix of two versions.
        """
        if (
            desired is not None
            and desired.data is not None
            and case.memory.written == desired.fingerprint
        ):
            restored = await self._writer.ensure(case.es, desired, case.memory)
            if isinstance(restored, Problem):
                # The condition tells of what the values wait for; this one is for the log.
                _log.warning("not restored", reason=restored.reason.value, message=restored.message)
            elif restored:
                self._observe(case, "written")

    def _wait(self, case: _Case, pending: int) -> Outcome:
        """Sources will wake us; an object that is not in step says after a while why it waits."""
        self._observer.synced("pending", None)
        now = asyncio.get_running_loop().time()
        if case.memory.waiting_since is None:
            case.memory.waiting_since = now
        left = case.memory.waiting_since + TELL_PENDING_AFTER - now
        before = self._statuses.known(case.key, case.es)
        generation = case.es.generation
        told = before.ready
        if told is not None and told.status == "True" and told.observed_generation == generation:
            return Done()
        if left > 0:
            return RequeueAfter(left, Priority.LOW)
        ready = condition(
            before.ready,
            generation=generation,
            status="Unknown",
            reason=Reason.PENDING,
            message=f"{pending} of {len(case.es.data)} entries wait for an answer of Alibaba Cloud",
        )
        status = status_of(before, ready, None)
        self._statuses.put(case.key, case.es, status)
        return Done()

    def _fail(self, case: _Case, problem: Problem, outcomes: Sequence[EntryOutcome]) -> None:
        """Says what is wrong; the Secret stays as it is (all or nothing)."""
        self._observe(case, "failed")
        case.memory.waiting_since = None
        before = self._statuses.known(case.key, case.es)
        ready = problem_condition(before.ready, generation=case.es.generation, problem=problem)
        status = status_of(before, ready, outcomes)
        if self._statuses.put(case.key, case.es, status):
            _log.warning("not synced", reason=problem.reason.value, message=problem.message)

    def _observe(self, case: _Case, result: str) -> None:
        latency = None
        if result == "written" and case.memory.caused_at is not None:
            latency = asyncio.get_running_loop().time() - case.memory.caused_at
        case.memory.caused_at = None
        self._observer.synced(result, latency)


def _first_problem(outcomes: Sequence[EntryOutcome]) -> Problem:
    problems = [o.problem for o in outcomes if o.problem is not None]
    first = problems[0]
    if len(problems) == 1:
        return first
    return Problem(
        first.reason, f"{first.message} (and {len(problems) - 1} more entries)", first.passing
    )


def _success(es: ExternalSecret, desired: Desired) -> str:
    message = f"Secret {es.target_name} holds {_count(len(desired.keys), 'key')}"
    if desired.overwritten:
        twice = ", ".join(sorted(set(desired.overwritten)))
        message += f"; written by more than one entry, the last one counts: {twice}"
    return message


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
