"""Reports reconciles: as condition, Event, metric and log line."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.controller.external_secret.status import (
    answered_wish,
    is_synced,
    pending_message,
    status_of,
    success_message,
)
from secret_sync.controller.publishing import publish_problem
from secret_sync.controller.sync import Changed, Pending, Refused, condition, problem_condition
from secret_sync.queue import reconcile_id
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import CREATED_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.extraction import EntryOutcome
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.sync import SyncContext, SyncResult, Unchanged, WriteResult
    from secret_sync.resources import Condition, ExternalSecretStatus

_log = structlog.get_logger(__name__)

#: After so many seconds without an answer an object that is not in sync says that it waits.
REPORT_PENDING_AFTER: Final = 10.0
#: The same of one whose Secret holds good values: their sources may change faster than they can
#: be read together, or there are too many for the rate.
REPORT_LATE_AFTER: Final = 300.0


class SyncObserver(Protocol):
    """The metrics of reconciles."""

    def synced(self, result: str, latency: float | None, line: str) -> None:
        """Record the result of a reconcile.

        Args:
            result: ``written``, ``unchanged``, ``pending`` or ``failed``.
            latency: Seconds from the event that caused it to the applied write, if any.
            line: ``reconcile_id`` of the log line that reports it; ``""`` if none does.
        """
        ...


class SyncReporter:
    """Reports the result of a sync, in every place."""

    def __init__(
        self,
        statuses: StatusWriter[ExternalSecretStatus],
        publisher: EventPublisher,
        observer: SyncObserver,
    ) -> None:
        self._statuses = statuses
        self.publisher = publisher
        self._observer = observer

    def report(self, ctx: SyncContext, result: SyncResult) -> float | None:
        """Report a result: as condition, Event, metric and log line.

        Args:
            ctx: Of which object; with the outcomes of its entries and, of a success, the Secret
                that was desired, unless that was not looked at.
            result: What the sync came to.

        Returns:
            The seconds until there is more to report of an object that waits, or ``None``.
        """
        if isinstance(result, Pending):
            return self._pending(ctx, result)
        ctx.state.waiting_since = None
        if isinstance(result, Refused):
            self._failed(ctx, result)
        elif ctx.desired is None:
            self._created_once(ctx, result)
        else:
            changed = isinstance(result, Changed)
            if isinstance(result, Changed):
                self._log_write(ctx, result)
            self._observe(ctx, "written" if changed else "unchanged", logged=changed)
            message = success_message(ctx, ctx.desired, result.controller)
            before, ready = self._put(ctx, message, ctx.outcomes, changed=changed)
            self.publisher.synced(
                ctx.es, before, ready, changed=changed, overwritten=ctx.desired.overwritten
            )
        return None

    def restored(self, ctx: SyncContext, result: WriteResult | Pending) -> None:
        """Report that previous values were to be written again; what new ones wait for follows."""
        if isinstance(result, Refused):
            if result.written is not None:
                self._log_write(ctx, result.written)
            # The condition reports what the values wait for; this one is for the log.
            _log.warning("not restored", **result.problem.log_fields())
        elif isinstance(result, Changed):
            self._log_write(ctx, result)
            self._observe(ctx, "written", logged=True)

    def _created_once(self, ctx: SyncContext, result: Changed | Unchanged) -> None:
        """Report a Secret that is there; a condition that says so already is kept."""
        es = ctx.es
        if isinstance(result, Changed):
            self._log_write(ctx, result)
        self._observe(ctx, "unchanged", logged=isinstance(result, Changed))
        known = self._statuses.known(ctx.key, es)
        if is_synced(es, known.ready):
            forced = answered_wish(es)
            if known.forced is None and forced is not None:
                # An older version reported the rest.
                self._statuses.put(ctx.key, es, replace(known, forced=forced))
            return
        message = (
            f"Secret {es.target.name} was created; it is not fetched again "
            f"(refreshPolicy {CREATED_ONCE})"
        )
        before, ready = self._put(ctx, message, None, changed=False)
        self.publisher.synced(es, before, ready, changed=False)

    def _failed(self, ctx: SyncContext, result: Refused) -> None:
        """Report a problem; the Secret stays as it is: all or nothing."""
        problem = result.problem
        if result.written is not None:
            self._log_write(ctx, result.written)
        before = self._statuses.known(ctx.key, ctx.es)
        ready = problem_condition(before.ready, generation=ctx.es.generation, problem=problem)
        changed = self._statuses.put(ctx.key, ctx.es, status_of(before, ready, ctx.outcomes))
        if changed:
            _log.warning("not synced", **problem.log_fields())
        self._observe(ctx, "failed", logged=changed)
        publish_problem(
            ctx.state,
            before.ready,
            problem,
            lambda: self.publisher.failed(ctx.es, before.ready, ready, problem),
            lambda: self._statuses.known(ctx.key, ctx.es).ready == ready,
        )

    def _pending(self, ctx: SyncContext, result: Pending) -> float | None:
        """Report that the object waits, once it has waited long enough."""
        self._observer.synced("pending", None, "")
        now = asyncio.get_running_loop().time()
        if ctx.state.waiting_since is None:
            ctx.state.waiting_since = now
        waited = now - ctx.state.waiting_since
        before = self._statuses.known(ctx.key, ctx.es)
        synced = is_synced(ctx.es, before.ready)
        if synced and not result.known:
            # After a restart: that its sources are fetched later is nothing to report.
            return None
        limit = REPORT_LATE_AFTER if synced else REPORT_PENDING_AFTER
        if waited < limit:
            return limit - waited
        ready = condition(
            before.ready,
            generation=ctx.es.generation,
            status="Unknown",
            reason=Reason.PENDING,
            message=pending_message(ctx.es, result, synced=synced),
        )
        self._statuses.put(ctx.key, ctx.es, status_of(before, ready, None))
        return None

    @staticmethod
    def _log_write(ctx: SyncContext, result: Changed) -> None:
        counts = {"keys": result.keys, "removed": result.removed}
        known = {name: number for name, number in counts.items() if number is not None}
        _log.info(result.log, secret=ctx.es.target.name, **known)

    def _observe(self, ctx: SyncContext, result: str, *, logged: bool) -> None:
        """Count a result, with the time since the event that caused it; see ``SyncObserver``."""
        latency = None
        if result == "written" and ctx.state.triggered_at is not None:
            latency = asyncio.get_running_loop().time() - ctx.state.triggered_at
        ctx.state.triggered_at = None
        self._observer.synced(result, latency, reconcile_id() if logged else "")

    def _put(
        self,
        ctx: SyncContext,
        message: str,
        outcomes: Sequence[EntryOutcome] | None,
        *,
        changed: bool,
    ) -> tuple[Condition | None, Condition]:
        """Report that the Secret is in sync; return the condition before and now."""
        es = ctx.es
        before = self._statuses.known(ctx.key, es)
        ready = condition(
            before.ready,
            generation=es.generation,
            status="True",
            reason=Reason.SYNCED,
            message=message,
        )
        status = status_of(
            before,
            ready,
            outcomes,
            written=True,
            changed=changed,
            target=es.target.name,
            forced=answered_wish(es),
            now=told.now if (told := ctx.desired and ctx.desired.clock) else None,
        )
        self._statuses.put(ctx.key, es, status)
        return before.ready, ready
