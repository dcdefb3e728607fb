"""Reports reconciles: as condition, Event, metric and log line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.controller.external_secret.status import status_of
from secret_sync.controller.secret_target.merge_problems import shared
from secret_sync.controller.sync import condition, problem_condition
from secret_sync.queue import reconcile_id
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import CREATED_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.extraction import Desired, EntryOutcome
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.controller.publishing import EventPublisher, StatusWriter
    from secret_sync.controller.sync import Problem
    from secret_sync.resources import Condition, ExternalSecret, ExternalSecretStatus

_log = structlog.get_logger(__name__)

#: After so many seconds without an answer an object that is not in sync says that it waits.
REPORT_PENDING_AFTER: Final = 10.0
#: The same of one whose Secret holds good values: their sources may change faster than they can
#: be read together, or there are too many for the rate.
REPORT_LATE_AFTER: Final = 300.0

#: Keys that a message names, of those that several entries write.
_NAMED: Final = 10


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


@dataclass(frozen=True, slots=True)
class SyncContext:
    """One reconcile of one object."""

    key: str
    es: ExternalSecret
    state: SyncState


class SyncReporter:
    """Reports the result of a reconcile, in every place.

    Args:
        statuses: Of the objects.
        publisher: Of transitions.
        observer: Of every reconcile.
    """

    def __init__(
        self,
        statuses: StatusWriter[ExternalSecretStatus],
        publisher: EventPublisher,
        observer: SyncObserver,
    ) -> None:
        self._statuses = statuses
        self.publisher = publisher
        self._observer = observer

    def forget(self, key: str) -> None:
        """Forget an object that is gone."""
        self._statuses.forget(key)

    def written(
        self,
        context: SyncContext,
        desired: Desired,
        outcomes: Sequence[EntryOutcome],
        *,
        changed: bool,
        controller: str = "",
    ) -> None:
        """Report that the Secret is as desired.

        Args:
            context: Of which object.
            desired: What it holds.
            outcomes: Of the entries.
            changed: Whether it took a write.
            controller: Another controller of the Secret, or ``""``.
        """
        message = _success(context, desired)
        if controller:
            message += f"; its controller is {controller}, which may change or delete it"
        before, ready = self._put(context, message, outcomes, changed=changed)
        self.publisher.synced(
            context.es, before, ready, changed=changed, overwritten=desired.overwritten
        )

    def succeeded(
        self, context: SyncContext, message: str, outcomes: Sequence[EntryOutcome] | None
    ) -> None:
        """Report that nothing was to be done; a condition that says so already is kept."""
        known = self._statuses.known(context.key, context.es)
        reported = known.ready
        if (
            reported is not None
            and reported.status == "True"
            and reported.observed_generation == context.es.generation
        ):
            forced = _answered_wish(context.es)
            if known.forced is None and forced is not None:
                # An older version reported the rest.
                self._statuses.put(context.key, context.es, replace(known, forced=forced))
            return
        before, ready = self._put(context, message, outcomes, changed=False)
        self.publisher.synced(context.es, before, ready, changed=False)

    def failed(
        self, context: SyncContext, problem: Problem, outcomes: Sequence[EntryOutcome]
    ) -> None:
        """Report a problem; the Secret stays as it is: all or nothing."""
        context.state.waiting_since = None
        before = self._statuses.known(context.key, context.es)
        ready = problem_condition(before.ready, generation=context.es.generation, problem=problem)
        status = status_of(before, ready, outcomes)
        changed = self._statuses.put(context.key, context.es, status)
        if changed:
            _log.warning("not synced", reason=problem.reason.value, message=problem.message)
        self.observe(context, "failed", logged=changed)
        self.publisher.failed(context.es, before.ready, ready, problem)

    def pending(
        self, context: SyncContext, entries: int, waited: float, *, known: bool = False
    ) -> float | None:
        """Report that the object waits for its sources, once it has waited long enough.

        Args:
            context: Which object.
            entries: How many of its entries wait.
            waited: For how many seconds.
            known: Whether all of its values are known, and some are to be confirmed.

        Returns:
            The seconds until it is reported, or ``None`` if there is nothing left to report.
        """
        self._observer.synced("pending", None, "")
        before = self._statuses.known(context.key, context.es)
        generation = context.es.generation
        reported = before.ready
        synced = (
            reported is not None
            and reported.status == "True"
            and reported.observed_generation == generation
        )
        if synced and not known:
            # After a restart: that its sources are fetched later is nothing to report.
            return None
        limit = REPORT_LATE_AFTER if synced else REPORT_PENDING_AFTER
        if waited < limit:
            return limit - waited
        total = len(context.es.entries)
        if not entries:
            message = "waiting for the values to be fetched again or parsed"
        elif synced:
            message = (
                f"values have changed: {entries} of {total} entries are waiting for Alibaba Cloud; "
                "the Secret holds the previous values"
            )
        else:
            message = f"{entries} of {total} entries are waiting for Alibaba Cloud"
        ready = condition(
            reported,
            generation=generation,
            status="Unknown",
            reason=Reason.PENDING,
            message=message,
        )
        self._statuses.put(context.key, context.es, status_of(before, ready, None))
        return None

    def observe(self, context: SyncContext, result: str, *, logged: bool = False) -> None:
        """Count a result, with the time since the event that caused it; see ``SyncObserver``.

        Args:
            context: Of which object.
            result: What the reconcile came to.
            logged: Whether a log line reports it.
        """
        latency = None
        if result == "written" and context.state.triggered_at is not None:
            latency = asyncio.get_running_loop().time() - context.state.triggered_at
        context.state.triggered_at = None
        self._observer.synced(result, latency, reconcile_id() if logged else "")

    def _put(
        self,
        context: SyncContext,
        message: str,
        outcomes: Sequence[EntryOutcome] | None,
        *,
        changed: bool,
    ) -> tuple[Condition | None, Condition]:
        """Report that the Secret is in sync; return the condition before and now."""
        es = context.es
        context.state.waiting_since = None
        before = self._statuses.known(context.key, es)
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
            forced=_answered_wish(es),
        )
        self._statuses.put(context.key, es, status)
        return before.ready, ready


def _success(context: SyncContext, desired: Desired) -> str:
    es = context.es
    count = _count(len(desired.keys), "key")
    message = f"Secret {es.target.name} holds {count}"
    if es.target.merge:
        message += " of this object"
        if context.state.shared:
            message += f"; {shared(dict(context.state.shared))}"
    if es.refresh_policy == CREATED_ONCE:
        message += f"; it is not fetched again (refreshPolicy {CREATED_ONCE})"
    if desired.overwritten:
        twice = sorted({o.key for o in desired.overwritten})
        more = f" and {len(twice) - _NAMED} more" if len(twice) > _NAMED else ""
        keys = ", ".join(twice[:_NAMED]) + more
        message += f"; written by more than one entry, the last one counts: {keys}"
    return message


def _answered_wish(es: ExternalSecret) -> str | None:
    """Return the ``force-sync`` that the status of an object that is in sync answers."""
    return es.force_sync if es.refresh_policy == CREATED_ONCE else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
