"""From the outcome of a reconcile to the status a user reads."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from secret_sync.controller.problem import shortened
from secret_sync.resources import Condition, ExternalSecretStatus, Reason, SyncResult
from secret_sync.resources.conditions import READY
from secret_sync.resources.external_secret import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from secret_sync.controller.desired import EntryOutcome
    from secret_sync.controller.problem import Problem
    from secret_sync.resources import ExternalSecret

# As cloud/errors.py and cloud/clocks.py write them.
_NUMBERS: Final = re.compile(r", request [A-Za-z0-9._-]+|about [0-9]+ minutes")


class HasReady(Protocol):
    """A status of ours."""

    @property
    def ready(self) -> Condition | None:
        """The condition ``Ready``."""
        ...


class Told(Protocol):
    """An object of one of our kinds, as far as its status goes."""

    @property
    def status(self) -> HasReady:
        """As the informer has it."""
        ...


def count_by_ready(objects: Iterable[Told]) -> dict[str, int]:
    """Numbers of objects by the status of their condition; without one it is ``Unknown``."""
    counts = {"True": 0, "False": 0, "Unknown": 0}
    for obj in objects:
        ready = obj.status.ready
        status = ready.status if ready is not None else ""
        # What is not one of the three is somebody else's writing.
        counts[status if status in counts else "Unknown"] += 1
    return counts


def now_text() -> str:
    """The present time as the API writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(
    before: Condition | None, *, generation: int, status: str, reason: Reason, message: str
) -> Condition:
    """The condition ``Ready``; its transition time moves only when the status flips (A10)."""
    same = before is not None and before.status == status
    return Condition(
        type=READY,
        status=status,
        reason=reason.value,
        message=shortened(message),
        last_transition_time=before.last_transition_time if same and before else now_text(),
        observed_generation=generation,
    )


def problem_condition(before: Condition | None, *, generation: int, problem: Problem) -> Condition:
    """The condition that tells of a mistake or a fault.

    The same one stays as it is although the service numbers its answers anew each time:
    otherwise every retry would write it.
    """
    now = condition(
        before,
        generation=generation,
        # Nothing of what is read can be trusted then, not even that it is not in step.
        status="Unknown" if problem.reason is Reason.CRD_OUTDATED else "False",
        reason=problem.reason,
        message=problem.message,
    )
    if before is not None and _unnumbered(before) == _unnumbered(now):
        return before
    return now


def _unnumbered(told: Condition) -> Condition:
    return replace(told, message=_NUMBERS.sub("", told.message))


def results(
    before: Sequence[SyncResult], outcomes: Sequence[EntryOutcome], *, written: bool
) -> tuple[SyncResult, ...]:
    """``dataSyncResults``: the outcome of each entry's fetch.

    Args:
        before: The results so far; an outcome that did not change keeps its time.
        outcomes: The entries as they fared, in their order.
        written: Whether the Secret holds them; a good entry says ``NotWritten`` otherwise.
    """
    made = []
    for index, outcome in enumerate(outcomes):
        problem = outcome.problem
        known = before[index] if index < len(before) else None
        if outcome.pending:
            # It keeps what was told of it; nothing, if nothing was.
            if known is not None and known.key == outcome.entry.key:
                made.append(known)
            continue
        if problem is not None:
            status, reason = "Failed", problem.reason.value
        else:
            status, reason = "Succeeded", "" if written else Reason.NOT_WRITTEN.value
        same = known is not None and (known.key, known.status, known.reason, known.version_id) == (
            outcome.entry.key,
            status,
            reason,
            outcome.version_id,
        )
        made.append(
            SyncResult(
                key=outcome.entry.key,
                status=status,
                reason=reason,
                time=known.time if same and known else now_text(),
                version_id=outcome.version_id,
            )
        )
    return tuple(made)


def written_versions(es: ExternalSecret) -> Sequence[str] | None:
    """Return the version of each entry that the Secret was written from, as the status says.

    Returns:
        ``""`` for an entry whose version is not known; ``None`` for an object that was never
        synced, and for OOS: a parameter that is deleted and created again counts its versions
        from one again.
    """
    status = es.status
    if es.provider != DEFAULT_PROVIDER or not status.last_sync_time:
        return None
    unknown = [""] * len(es.entries)
    if not es.in_step or len(status.results) != len(es.entries):
        return unknown
    # An entry that failed, or that was not written, says what was fetched.
    return [
        result.version_id if result.key == entry.key and not result.reason else ""
        for entry, result in zip(es.entries, status.results, strict=True)
    ]


def status_of(
    before: ExternalSecretStatus,
    ready: Condition,
    outcomes: Sequence[EntryOutcome] | None,
    *,
    written: bool = False,
    changed: bool = False,
    target: str = "",
    forced: str | None = None,
) -> ExternalSecretStatus:
    """The whole status; equal to ``before`` where there is nothing new to tell.

    Args:
        before: What the user can read now.
        ready: The condition to tell.
        outcomes: Of the entries; ``None`` keeps what was told of them.
        written: Whether the Secret holds what the entries gave.
        changed: Whether the Secret was changed just now.
        target: The Secret that holds them; ``""`` keeps what was told.
        forced: The ``force-sync`` that it answers; ``None`` keeps what was told.
    """
    return ExternalSecretStatus(
        ready=ready,
        observed_generation=ready.observed_generation,
        results=(
            before.results
            if outcomes is None
            else results(before.results, outcomes, written=written)
        ),
        # Of a Secret that was in step before anyone told so, this is the first that is known.
        last_sync_time=(
            now_text()
            if changed or (written and not before.last_sync_time)
            else before.last_sync_time
        ),
        target=target or before.target,
        forced=before.forced if forced is None else forced,
    )
