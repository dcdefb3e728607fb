"""From what is found in the namespaces to the status of a ClusterExternalSecret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from secret_sync.controller.sync import Problem, condition, problem_condition, stalled_condition
from secret_sync.resources import ClusterExternalSecretStatus, Reason
from secret_sync.resources.conditions import CHILDREN_READY

if TYPE_CHECKING:
    from secret_sync.controller.cluster_external_secret.children import ChildDecision
    from secret_sync.resources import Condition, ExternalSecret
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

#: So many namespaces a status lists. A status must fit into an object of 1.5 MB.
MAX_PROVISIONED: Final = 5_000
MAX_FAILED: Final = 100
#: So many a message names.
_SHOWN: Final = 3


@dataclass(slots=True)
class Survey:
    """What is found in the namespaces.

    Attributes:
        selected: How many should have a child.
        provisioned: Those that have theirs.
        leaving: How many others still have one, which is to be deleted.
        failed: Those of both where that cannot be done, with the reason.
        pending: How many are about to get or to change theirs.
        ready: How many children are Ready.
        unready: Those whose children are not, with the reason of that.
        partial: A regular expression that matches a part of a name only, and that name.
        due: Namespaces where something is to be done, and the next step there.
    """

    selected: int = 0
    leaving: int = 0
    provisioned: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    pending: int = 0
    ready: int = 0
    unready: list[tuple[str, str]] = field(default_factory=list)
    partial: tuple[str, str] | None = None
    due: list[tuple[str, ChildDecision]] = field(default_factory=list)

    def add_child(self, child: ExternalSecret) -> None:
        """Count a child."""
        self.provisioned.append(child.namespace)
        if child.in_step:
            self.ready += 1
            return
        condition_ = child.status.ready
        stale = condition_ is None or child.status.observed_generation != child.generation
        reason = Reason.PENDING.value if stale or condition_ is None else condition_.reason
        self.unready.append((child.namespace, reason))


def surveyed_status(
    ces: ClusterExternalSecret,
    before: ClusterExternalSecretStatus,
    survey: Survey,
    forbidden: Problem | None,
) -> tuple[ClusterExternalSecretStatus, Problem | None]:
    """Return the status that reports a survey, and the problem in it, if there is one.

    Args:
        ces: The object.
        before: Its status until now.
        survey: What was found.
        forbidden: That RBAC does not let us write, if it does not.
    """
    survey.failed.sort()
    problem = _problem(survey, forbidden)
    if problem is not None:
        ready = problem_condition(before.ready, generation=ces.generation, problem=problem)
    else:
        ready = condition(
            before.ready,
            generation=ces.generation,
            status="True",
            reason=Reason.PROVISIONED,
            message=f"{survey.selected} of {survey.selected} namespaces have the ExternalSecret"
            + _hint(survey),
        )
    return (
        ClusterExternalSecretStatus(
            ready=ready,
            children=_children(ces, before.children, survey),
            observed_generation=ces.generation,
            namespaces=f"{survey.ready}/{survey.selected}",
            child_name=ces.child_name,
            provisioned=tuple(sorted(survey.provisioned)[:MAX_PROVISIONED]),
            failed=tuple(survey.failed[:MAX_FAILED]),
            stalled=stalled_condition(before.stalled, ready),
        ),
        problem,
    )


def refused_status(
    ces: ClusterExternalSecret, before: ClusterExternalSecretStatus, problem: Problem
) -> ClusterExternalSecretStatus:
    """Return the status that reports why nothing is done: the children stay as they are."""
    ready = problem_condition(before.ready, generation=ces.generation, problem=problem)
    return replace(
        before,
        ready=ready,
        observed_generation=ces.generation,
        stalled=stalled_condition(before.stalled, ready),
    )


def _problem(survey: Survey, forbidden: Problem | None) -> Problem | None:
    if forbidden is not None and (survey.pending or survey.leaving):
        return forbidden
    if survey.failed:
        total = survey.selected + survey.leaving
        return Problem(
            Reason.NAMESPACES_FAILED,
            f"{len(survey.failed)} of {total}: {_named(survey.failed)}; see "
            f"status.failedNamespaces{_hint(survey)}",
        )
    if not survey.selected:
        return Problem(
            Reason.NO_NAMESPACE_MATCHES,
            "no namespace matches conditions or namespaceSelectors, so there is no ExternalSecret"
            + _hint(survey),
        )
    if survey.pending:
        done = survey.selected - survey.pending
        return Problem(Reason.PENDING, f"{done} of {survey.selected} namespaces are done")
    return None


def _children(
    ces: ClusterExternalSecret, before: Condition | None, survey: Survey
) -> Condition | None:
    total = len(survey.provisioned)
    if not total:
        return None
    survey.unready.sort()
    message = f"{survey.ready} of {total} are Ready"
    if survey.unready:
        message = f"{len(survey.unready)} of {total} are not Ready: {_named(survey.unready)}"
    return condition(
        before,
        generation=ces.generation,
        status="False" if survey.unready else "True",
        reason=Reason.CHILDREN_NOT_READY if survey.unready else Reason.CHILDREN_READY,
        message=message,
        type_=CHILDREN_READY,
    )


def _named(namespaces: list[tuple[str, str]]) -> str:
    first = ", ".join(f"{name}: {reason.partition(':')[0]}" for name, reason in namespaces[:_SHOWN])
    more = len(namespaces) - _SHOWN
    return f"{first} and {more} more" if more > 0 else first


def _hint(survey: Survey) -> str:
    """Say where another version of ack-secret-manager would select more."""
    if survey.partial is None:
        return ""
    regex, name = survey.partial
    return (
        f" (namespaceRegexes {regex[:64]!r} matches only a part of {name!r}, which does not "
        "count; add .* for the rest of the name)"
    )
