"""What a run that writes would do with an ExternalSecret: the result of a dry run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from secret_sync.controller.external_secret.reporter import SyncReporter
from secret_sync.controller.publishing import CONFLICTS
from secret_sync.controller.secret_target.dry_run import NO_CHANGES, WouldWrite
from secret_sync.controller.sync import Pending, Refused, unnumbered
from secret_sync.queue import Done

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from secret_sync.controller.external_secret.state import SyncState, SyncStateStore
    from secret_sync.controller.secret_target.dry_run import KeyChanges
    from secret_sync.controller.secret_target.turns import WriteTurns
    from secret_sync.controller.sync import Problem, SyncContext, SyncResult, WriteResult
    from secret_sync.queue import Outcome as QueueOutcome

_log = structlog.get_logger(__name__)

#: Keys that a line of the log names.
_NAMED: Final = 20


class Outcome(StrEnum):
    """What would become of the Secret; a write by its action."""

    SAME = "same"
    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    RECREATE = "recreate"
    DELETE = "delete"
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What a run that writes would do.

    Attributes:
        secret: Name of the Secret.
        keys: Which of its keys it would change.
        problem: Why nothing would be written.
    """

    outcome: Outcome
    secret: str
    keys: KeyChanges = NO_CHANGES
    problem: Problem | None = None

    @property
    def writes(self) -> bool:
        """Return whether anything would be written."""
        return self.outcome not in {Outcome.SAME, Outcome.CONFLICT, Outcome.REFUSED}


class DryRunReporter(SyncReporter):
    """Keeps a result of each object and logs a new one, instead of Events and statuses."""

    def report(self, ctx: SyncContext, result: SyncResult) -> float | None:
        """Keep what the sync came to; one that waits has no result yet."""
        if isinstance(result, Pending):
            self._observer.synced("pending", None, "")
            return None
        problem = result.problem if isinstance(result, Refused) else None
        self._observer.synced("failed" if problem else "unchanged", None, "")
        outcome = Outcome.SAME
        if problem is not None:
            outcome = Outcome.CONFLICT if problem.reason in CONFLICTS else Outcome.REFUSED
        keep(ctx.state, DryRunResult(outcome, ctx.es.target.name, problem=problem))
        return None

    def restored(self, ctx: SyncContext, result: WriteResult | Pending) -> None:
        """Report nothing: what the values wait for follows."""
        del ctx, result


class DryRunReconciler:
    """Reconciles up to the first write, which becomes the result.

    Args:
        reconcile: Of the controller.
        states: Where results are kept.
        turns: Of those that merge into one Secret.
    """

    def __init__(
        self,
        reconcile: Callable[[str], Awaitable[QueueOutcome]],
        states: SyncStateStore,
        turns: WriteTurns,
    ) -> None:
        self._reconcile = reconcile
        self._states = states
        self._turns = turns

    async def reconcile(self, concerned: Callable[[str], bool], key: str) -> QueueOutcome:
        """Reconcile one ExternalSecret, and keep the result where it would be written.

        Args:
            concerned: Which are looked at; the others are known, and left alone.
            key: Of the ExternalSecret.
        """
        if not concerned(key):
            return Done()
        try:
            return await self._reconcile(key)
        except WouldWrite as change:
            # The others that merge into the Secret have their turn.
            self._turns.leave(key)
            outcome = Outcome(change.action.value)
            keep(self._states.of(key), DryRunResult(outcome, change.secret, change.keys))
            return Done()


def keep(state: SyncState, result: DryRunResult) -> None:
    """Keep a result, and log it if it is another one than before."""
    before, state.dry_run = state.dry_run, result
    if before is not None and _summary(before) == _summary(result):
        return
    if result.problem is not None:
        _log.warning("dry run: nothing would be written", **result.problem.log_fields())
    elif not result.writes:
        _log.info("dry run: the Secret is as it should be", secret=result.secret)
    else:
        keys = result.keys
        parts = (("added", keys.added), ("changed", keys.changed), ("removed", keys.removed))
        named = {part: _named(names) for part, names in parts if names}
        _log.info(f"dry run: would {result.outcome} the Secret", secret=result.secret, **named)


def _summary(result: DryRunResult) -> tuple[object, ...]:
    """Return what makes a result another one."""
    problem = result.problem
    why = () if problem is None else (problem.reason, unnumbered(problem.message))
    return result.outcome, result.secret, result.keys, *why


def count_dry_run(states: Iterable[SyncState]) -> dict[str, int]:
    """Count objects by what would become of them."""
    counts = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    for state in states:
        if state.dry_run is not None:
            counts[state.dry_run.outcome.value] += 1
    return counts


def _named(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
