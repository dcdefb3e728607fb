"""What a run that writes would do for a ClusterExternalSecret: the result of a dry run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from secret_sync.controller.cluster_external_secret.children import ChildStep
from secret_sync.controller.cluster_external_secret.reporter import ClusterReporter
from secret_sync.controller.sync import unnumbered
from secret_sync.queue import Done
from secret_sync.resources.meta import namespace_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.controller.cluster_external_secret.children import ChildDecision
    from secret_sync.controller.cluster_external_secret.state import ClusterState
    from secret_sync.controller.cluster_external_secret.status import Survey
    from secret_sync.controller.sync import Problem
    from secret_sync.queue import Outcome as QueueOutcome
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

_log = structlog.get_logger(__name__)

#: Namespaces that a line of the log names.
_NAMED: Final = 20


class ChildAction(StrEnum):
    """What would become of the ExternalSecret of a namespace."""

    CREATE = "create"
    CHANGE = "change"
    ADOPT = "adopt"
    DELETE = "delete"
    CONFLICT = "conflict"


_OF_STEP: Final = {
    ChildStep.CREATE: ChildAction.CREATE,
    ChildStep.APPLY: ChildAction.CHANGE,
    ChildStep.ADOPT: ChildAction.ADOPT,
}


class PlannedChild(NamedTuple):
    """An ExternalSecret that would not stay as it is, or that is in the way.

    Attributes:
        why: For a conflict: what is in the way.
    """

    namespace: str
    name: str
    action: ChildAction
    why: str = ""

    @property
    def writes(self) -> bool:
        """Return whether anything would be written."""
        return self.action is not ChildAction.CONFLICT


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What a run that writes would do for an object.

    Attributes:
        children: Those that would not stay as they are, by namespace and name.
        problem: Why all would.
    """

    children: tuple[PlannedChild, ...] = ()
    problem: Problem | None = None

    def namespaces(self, action: ChildAction) -> list[str]:
        """Return where this would be done."""
        return [child.namespace for child in self.children if child.action is action]


class DryRunClusterReporter(ClusterReporter):
    """Keeps a plan of each object and logs a new one, instead of Events and statuses."""

    def surveyed(
        self,
        ces: ClusterExternalSecret,
        state: ClusterState,
        survey: Survey,
        forbidden: Problem | None,
    ) -> None:
        """Keep what would be done in the namespaces."""
        del forbidden
        found = [child for where in survey.due for child in planned(ces, *where)]
        conflicts = (
            PlannedChild(namespace, ces.child_name, ChildAction.CONFLICT, why)
            for namespace, why in survey.failed
        )
        keep(state, ClusterPlan(tuple(sorted((*found, *conflicts)))))
        state.reported_at = asyncio.get_running_loop().time()

    def refused(self, ces: ClusterExternalSecret, state: ClusterState, problem: Problem) -> None:
        """Keep why nothing would be done."""
        del ces
        keep(state, ClusterPlan(problem=problem))


class DryRunClusterReconciler:
    """Surveys namespaces, and does nothing in them.

    Args:
        reconcile: Of the controller.
    """

    def __init__(self, reconcile: Callable[[str], Awaitable[QueueOutcome]]) -> None:
        self._reconcile = reconcile

    async def reconcile(self, key: str) -> QueueOutcome:
        """Reconcile an object; the step in a namespace is only reported."""
        return Done() if namespace_of(key) else await self._reconcile(key)


def planned(
    ces: ClusterExternalSecret, namespace: str, decision: ChildDecision
) -> list[PlannedChild]:
    """Return what a run that writes would do in a namespace, of which this is the next step."""
    action = _OF_STEP.get(decision.step)
    if decision.step is ChildStep.HAND_OVER and decision.child is None:
        action = ChildAction.CREATE
    found = [PlannedChild(namespace, name, ChildAction.DELETE) for name in decision.surplus]
    return found if action is None else [*found, PlannedChild(namespace, ces.child_name, action)]


def keep(state: ClusterState, plan: ClusterPlan) -> None:
    """Keep a plan, and log it if it is another one than before."""
    before, state.plan = state.plan, plan
    if before is not None and _summary(before) == _summary(plan):
        return
    if plan.problem is not None:
        _log.warning("dry run: nothing would be written", **plan.problem.log_fields())
        return
    named = {
        action.value: _named(namespaces)
        for action in ChildAction
        if (namespaces := plan.namespaces(action))
    }
    if named:
        _log.info("dry run: ExternalSecrets would not stay as they are, by namespace", **named)
    else:
        _log.info("dry run: the ExternalSecrets are as they should be")


def _summary(plan: ClusterPlan) -> tuple[object, ...]:
    """Return what makes a plan another one."""
    problem = plan.problem
    why = () if problem is None else (problem.reason, unnumbered(problem.message))
    return plan.children, *why


def _named(namespaces: list[str]) -> str:
    more = f" and {len(namespaces) - _NAMED} more" if len(namespaces) > _NAMED else ""
    return ", ".join(namespaces[:_NAMED]) + more
