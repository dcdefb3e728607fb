"""From the outcome of a reconcile to the status a user reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.controller import sync
from secret_sync.resources import DataSyncResult, ExternalSecretStatus, Reason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.extraction import EntryOutcome
    from secret_sync.resources import Condition, ExternalSecret


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
                time=known.time if same and known else sync.now_text(),
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
    """Return the whole status; equal to ``before`` where there is nothing new to report.

    Args:
        before: What the user can read now.
        ready: The condition to report.
        outcomes: Of the entries; ``None`` keeps what was reported of them.
        written: Whether the Secret holds what the entries gave.
        changed: Whether the Secret was changed just now.
        target: The Secret that holds them; ``""`` keeps what was reported.
        forced: The ``force-sync`` that it answers; ``None`` keeps what was reported.
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
            sync.now_text()
            if changed or (written and not before.last_sync_time)
            else before.last_sync_time
        ),
        target=target or before.target,
        forced=before.forced if forced is None else forced,
    )
