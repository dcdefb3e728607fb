"""The status that a user reads, from what a sync came to; nothing here has an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secret_sync import clock
from secret_sync.controller.secret_target.merge_problems import shared
from secret_sync.controller.sync import stalled_condition
from secret_sync.resources import DataSyncResult, ExternalSecretStatus, Reason
from secret_sync.resources.external_secret import CREATED_ONCE, DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.extraction import EntryOutcome
    from secret_sync.controller.sync import Pending, SyncContext
    from secret_sync.resources import Condition, ExternalSecret

#: Keys that a message names, of those that several entries write.
_NAMED: Final = 10


def results(
    before: Sequence[DataSyncResult], outcomes: Sequence[EntryOutcome], *, written: bool
) -> tuple[DataSyncResult, ...]:
    """Return ``dataSyncResults``: the outcome of each entry's fetch.

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
            # It keeps what was reported of it; nothing, if nothing was.
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
            DataSyncResult(
                key=outcome.entry.key,
                status=status,
                reason=reason,
                time=known.time if same and known else clock.utc_text(),
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


def status_of(  # noqa: PLR0913 (all that a status says)
    before: ExternalSecretStatus,
    ready: Condition,
    outcomes: Sequence[EntryOutcome] | None,
    *,
    written: bool = False,
    changed: bool = False,
    target: str = "",
    forced: str | None = None,
    now: int | None = None,
) -> ExternalSecretStatus:
    """Return the whole status; equal to ``before`` where there is nothing new to report.

    Args:
        before: What the user can read now.
        ready: The condition to report.
        outcomes: Of the entries; ``None`` keeps what was reported of them.
        written: Whether the Secret holds what the entries gave.
        changed: Whether the Secret was changed just now.
        target: The Secret that holds them; ``""`` keeps what was reported.
        forced: The ``force-sync`` that it answers; ``None`` keeps what was reported.
        now: The time that its template was told, in seconds; ``None`` for the current one.
    """
    return ExternalSecretStatus(
        ready=ready,
        observed_generation=ready.observed_generation,
        results=(
            before.results
            if outcomes is None
            else results(before.results, outcomes, written=written)
        ),
        # Of a Secret that was in sync before that was reported, this is the first that is known.
        last_sync_time=(
            clock.utc_text(now)
            if changed or (written and not before.last_sync_time)
            else before.last_sync_time
        ),
        target=target or before.target,
        forced=before.forced if forced is None else forced,
        stalled=stalled_condition(before.stalled, ready),
        restart=before.restart,
        restarted=before.restarted,
    )


def success_message(ctx: SyncContext, desired: Desired, controller: str) -> str:
    """Return what the condition says of a Secret that is as desired.

    Args:
        ctx: Of which object.
        desired: What the Secret holds.
        controller: Another controller of the Secret, or ``""``.
    """
    es = ctx.es
    count = f"{len(desired.keys)} key" if len(desired.keys) == 1 else f"{len(desired.keys)} keys"
    message = f"Secret {es.target.name} holds {count}"
    if es.target.merge:
        message += " of this object"
        if ctx.state.shared:
            message += f"; {shared(dict(ctx.state.shared))}"
    if es.refresh_policy == CREATED_ONCE:
        message += f"; it is not fetched again (refreshPolicy {CREATED_ONCE})"
    if desired.overwritten:
        twice = sorted({o.key for o in desired.overwritten})
        more = f" and {len(twice) - _NAMED} more" if len(twice) > _NAMED else ""
        keys = ", ".join(twice[:_NAMED]) + more
        message += f"; written by more than one entry, the last one counts: {keys}"
    if controller:
        message += f"; its controller is {controller}, which may change or delete it"
    return message


def pending_message(es: ExternalSecret, pending: Pending, *, synced: bool) -> str:
    """Return what the condition says of an object that waits.

    Args:
        es: The object.
        pending: For what.
        synced: Whether its Secret holds good values.
    """
    if pending.turn:
        return f"waiting for other ExternalSecrets that merge their keys into {es.target.name}"
    entries = pending.entries
    if not entries:
        return "waiting for the values to be fetched again, parsed or rendered"
    total = len(es.entries)
    if synced:
        return (
            f"values have changed: {entries} of {total} entries are waiting for Alibaba Cloud; "
            "the Secret holds the previous values"
        )
    return f"{entries} of {total} entries are waiting for Alibaba Cloud"


def is_synced(es: ExternalSecret, ready: Condition | None) -> bool:
    """Return whether a condition says that this generation of an object is in sync."""
    return (
        ready is not None and ready.status == "True" and ready.observed_generation == es.generation
    )


def answered_wish(es: ExternalSecret) -> str | None:
    """Return the ``force-sync`` that the status of an object that is in sync answers."""
    return es.force_sync if es.refresh_policy == CREATED_ONCE else None
