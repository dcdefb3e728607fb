"""What is told of a reconcile: as status, as Event, as metric."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from secret_sync.controller.merge_problems import shared
from secret_sync.controller.status import condition, problem_condition, status_of
from secret_sync.queue import reconcile_id
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import CREATED_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.announcer import Announcer
    from secret_sync.controller.desired import Desired, EntryOutcome
    from secret_sync.controller.memory import Memory
    from secret_sync.controller.problem import Problem
    from secret_sync.controller.status_writer import StatusWriter
    from secret_sync.resources import Condition, ExternalSecret, ExternalSecretStatus

_log = structlog.get_logger(__name__)

#: After so many seconds without an answer an object that is not in sync says that it waits.
TELL_PENDING_AFTER: Final = 10.0
#: The same of one whose Secret holds good values: their sources may change faster than they can
#: be read together, or there are too many for the rate.
TELL_LATE_AFTER: Final = 300.0

#: Keys that a message names, of those that several entries write.
_NAMED: Final = 10


class SyncObserver(Protocol):
    """What the loop tells its metrics."""

    def synced(self, result: str, latency: float | None, line: str) -> None:
        """A reconcile came to a result.

        Args:
            result: ``written``, ``unchanged``, ``pending`` or ``failed``.
            latency: Seconds from the event that caused it to the applied write, if any.
            line: ``reconcile_id`` of the line in the log that tells of it; ``""`` if none does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """One reconcile of one object."""

    key: str
    es: ExternalSecret
    memory: Memory


class Telling:
    """Says how a reconcile went, wherever somebody may look.

    Args:
        statuses: Of the objects.
        announcer: Of transitions.
        observer: Of every reconcile.
    """

    def __init__(
        self,
        statuses: StatusWriter[ExternalSecretStatus],
        announcer: Announcer,
        observer: SyncObserver,
    ) -> None:
        self._statuses = statuses
        self.announcer = announcer
        self._observer = observer

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._statuses.forget(key)

    def written(
        self,
        case: Case,
        desired: Desired,
        outcomes: Sequence[EntryOutcome],
        *,
        changed: bool,
        controller: str = "",
    ) -> None:
        """The Secret is as desired.

        Args:
            case: Of which object.
            desired: What it holds.
            outcomes: Of the entries.
            changed: Whether it took a write.
            controller: Who else made itself the Secret's controller, if somebody did.
        """
        message = _success(case, desired)
        if controller:
            message += f"; its controller is {controller}, which may change or delete it"
        before, ready = self._put(case, message, outcomes, changed=changed)
        self.announcer.synced(
            case.es, before, ready, changed=changed, overwritten=desired.overwritten
        )

    def succeeded(self, case: Case, message: str, outcomes: Sequence[EntryOutcome] | None) -> None:
        """The Secret was looked at, and nothing was to be done; what was told of it stands."""
        known = self._statuses.known(case.key, case.es)
        told = known.ready
        if (
            told is not None
            and told.status == "True"
            and told.observed_generation == case.es.generation
        ):
            forced = _answered_wish(case.es)
            if known.forced is None and forced is not None:
                # An older version told the rest.
                self._statuses.put(case.key, case.es, replace(known, forced=forced))
            return
        before, ready = self._put(case, message, outcomes, changed=False)
        self.announcer.synced(case.es, before, ready, changed=False)

    def failed(self, case: Case, problem: Problem, outcomes: Sequence[EntryOutcome]) -> None:
        """Something is wrong; the Secret stays as it is (all or nothing)."""
        case.memory.waiting_since = None
        before = self._statuses.known(case.key, case.es)
        ready = problem_condition(before.ready, generation=case.es.generation, problem=problem)
        status = status_of(before, ready, outcomes)
        news = self._statuses.put(case.key, case.es, status)
        if news:
            _log.warning("not synced", reason=problem.reason.value, message=problem.message)
        self.observe(case, "failed", logged=news)
        self.announcer.failed(case.es, before.ready, ready, problem)

    def pending(
        self, case: Case, entries: int, waited: float, *, known: bool = False
    ) -> float | None:
        """The object waits for its sources.

        Args:
            case: Which object.
            entries: How many of its entries wait.
            waited: For how many seconds.
            known: Whether all of its values are known, and some are to be confirmed.

        Returns:
            The seconds until it is worth telling, or ``None`` if there is nothing left to tell.
        """
        self._observer.synced("pending", None, "")
        before = self._statuses.known(case.key, case.es)
        generation = case.es.generation
        told = before.ready
        synced = (
            told is not None and told.status == "True" and told.observed_generation == generation
        )
        if synced and not known:
            # After a restart: that its sources have their turn later concerns nobody.
            return None
        limit = TELL_LATE_AFTER if synced else TELL_PENDING_AFTER
        if waited < limit:
            return limit - waited
        total = len(case.es.entries)
        if not entries:
            message = "the values wait to be fetched again, or to be parsed"
        elif synced:
            message = (
                f"values have changed, and {entries} of {total} entries wait for a newer answer "
                "of Alibaba Cloud; the Secret holds the former values"
            )
        else:
            message = f"{entries} of {total} entries wait for an answer of Alibaba Cloud"
        ready = condition(
            told, generation=generation, status="Unknown", reason=Reason.PENDING, message=message
        )
        self._statuses.put(case.key, case.es, status_of(before, ready, None))
        return None

    def observe(self, case: Case, result: str, *, logged: bool = False) -> None:
        """Counts a result, with the time that passed since its cause; see ``SyncObserver``.

        Args:
            case: Of which object.
            result: What the reconcile came to.
            logged: Whether a line in the log tells of it.
        """
        latency = None
        if result == "written" and case.memory.caused_at is not None:
            latency = asyncio.get_running_loop().time() - case.memory.caused_at
        case.memory.caused_at = None
        self._observer.synced(result, latency, reconcile_id() if logged else "")

    def _put(
        self,
        case: Case,
        message: str,
        outcomes: Sequence[EntryOutcome] | None,
        *,
        changed: bool,
    ) -> tuple[Condition | None, Condition]:
        """Says that the Secret is in step; returns the condition before and now."""
        es = case.es
        case.memory.waiting_since = None
        before = self._statuses.known(case.key, es)
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
        self._statuses.put(case.key, es, status)
        return before.ready, ready


def _success(case: Case, desired: Desired) -> str:
    es = case.es
    count = _count(len(desired.keys), "key")
    message = f"Secret {es.target.name} holds {count}"
    if es.target.merge:
        message += " of this object"
        if case.memory.shared:
            message += f"; {shared(dict(case.memory.shared))}"
    if es.refresh_policy == CREATED_ONCE:
        message += f"; it is not fetched again (refreshPolicy {CREATED_ONCE})"
    if desired.overwritten:
        twice = sorted({o.key for o in desired.overwritten})
        more = f" and {len(twice) - _NAMED} more" if len(twice) > _NAMED else ""
        keys = ", ".join(twice[:_NAMED]) + more
        message += f"; written by more than one entry, the last one counts: {keys}"
    return message


def _answered_wish(es: ExternalSecret) -> str | None:
    """Return the ``force-sync`` that the status of an object that is in step answers."""
    return es.force_sync if es.refresh_policy == CREATED_ONCE else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
