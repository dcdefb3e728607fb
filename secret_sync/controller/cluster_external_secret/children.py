"""What is to be done in one namespace: a decision on cached objects, and what is applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import orjson

from secret_sync.controller import kinds
from secret_sync.resources.meta import object_key
from secret_sync.resources.names import ADOPT_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret


class ChildStep(Enum):
    """The next step in a namespace."""

    NOTHING = auto()
    WAIT = auto()
    """Something of that name is being deleted; its end enqueues the namespace."""
    CONFLICT = auto()
    """An ExternalSecret of that name belongs to another owner; it is not touched."""
    CREATE = auto()
    APPLY = auto()
    """The child differs from the template."""
    ADOPT = auto()
    """Its author lets us have the ExternalSecret of that name."""
    HAND_OVER = auto()
    """The former child is told which one takes its Secret over."""
    DELETE = auto()


@dataclass(frozen=True, slots=True)
class ChildDecision:
    """The next step in a namespace.

    Attributes:
        subject: The ExternalSecret that it is about.
        conflict: For ``CONFLICT``: what stands in the way, beginning with one word for it.
        child: The child of the namespace, if it has one.
        surplus: Names of all children that are to be deleted, now or once that can be done.
    """

    step: ChildStep
    subject: ExternalSecret | None = None
    conflict: str = ""
    child: ExternalSecret | None = None
    surplus: tuple[str, ...] = ()


def decide(
    ces: ClusterExternalSecret,
    *,
    selected: bool,
    ours: Iterable[ExternalSecret],
    occupant: ExternalSecret | None,
) -> ChildDecision:
    """Decide what to do in one namespace.

    Args:
        ces: Whose children are looked at; nothing may be wrong with it.
        selected: Whether the namespace should have a child.
        ours: The ExternalSecrets of the namespace that have this very object as controller.
        occupant: The one that has the name of the child, whosever it is.
    """
    living = [child for child in ours if not child.deleting]
    former = [child for child in living if not selected or child.name != ces.child_name]
    if selected:
        decision = _decide_selected(ces, former, occupant)
    elif former:
        decision = ChildDecision(ChildStep.DELETE, former[0])
    else:
        decision = ChildDecision(ChildStep.NOTHING)
    return replace(decision, surplus=tuple(old.name for old in former)) if former else decision


def _decide_selected(
    ces: ClusterExternalSecret, former: list[ExternalSecret], occupant: ExternalSecret | None
) -> ChildDecision:
    if occupant is None:
        return _handed_over(ces, former, None) or ChildDecision(ChildStep.CREATE)
    if occupant.deleting:
        return ChildDecision(ChildStep.WAIT)
    if not _is_ours(ces, occupant):
        return _of_others(occupant)
    if occupant.applied != ces.digest:
        return ChildDecision(ChildStep.APPLY, occupant, child=occupant)
    return (
        _handed_over(ces, former, occupant)
        or _replaced(ces, former, occupant)
        or ChildDecision(ChildStep.NOTHING, child=occupant)
    )


def _is_ours(ces: ClusterExternalSecret, child: ExternalSecret) -> bool:
    return child.controller is not None and child.controller.uid == ces.uid


def _of_others(occupant: ExternalSecret) -> ChildDecision:
    """Return what to do about an ExternalSecret that we did not create."""
    where = f"ExternalSecret {occupant.namespace}/{occupant.name}"
    if occupant.controller is not None:
        belongs = f"AlreadyExists: {where} belongs to {occupant.controller.title}"
        return ChildDecision(
            ChildStep.CONFLICT, occupant, f"{belongs}; set another externalSecretName"
        )
    if occupant.adopt:
        return ChildDecision(ChildStep.ADOPT, occupant)
    return ChildDecision(
        ChildStep.CONFLICT,
        occupant,
        f"AlreadyExists: {where} was not created by a ClusterExternalSecret; set another "
        f'externalSecretName, delete it, or annotate it with {ADOPT_ANNOTATION}: "true"',
    )


def _handed_over(
    ces: ClusterExternalSecret, former: list[ExternalSecret], child: ExternalSecret | None
) -> ChildDecision | None:
    """Return how a former child learns who takes its Secret over, before that is created.

    One that merges has nothing to hand over: its keys stay when it is deleted.
    """
    for old in former:
        shared = old.target.name == ces.target and not old.target.merge
        if shared and old.replaced_by != ces.child_name:
            return ChildDecision(ChildStep.HAND_OVER, old, child=child)
    return None


def _replaced(
    ces: ClusterExternalSecret, former: list[ExternalSecret], child: ExternalSecret
) -> ChildDecision | None:
    """Return the former child that is no longer needed."""
    for old in former:
        merged = old.target.merge and old.target.name == ces.target
        if child.in_step or merged:
            return ChildDecision(ChildStep.DELETE, old, child=child)
    return None


def configuration(ces: ClusterExternalSecret, namespace: str) -> dict[str, Any]:
    """Return all that we apply to the child of a namespace."""
    metadata: dict[str, Any] = {
        "namespace": namespace,
        "name": ces.child_name,
        "ownerReferences": [
            {
                "apiVersion": kinds.CLUSTER_EXTERNAL_SECRETS.api_version,
                "kind": kinds.CLUSTER_EXTERNAL_SECRETS.kind,
                "name": ces.name,
                "uid": ces.uid,
                "controller": True,
            }
        ],
    }
    if ces.labels:
        metadata["labels"] = dict(ces.labels)
    if ces.annotations:
        metadata["annotations"] = dict(ces.annotations)
    return {
        "apiVersion": kinds.EXTERNAL_SECRETS.api_version,
        "kind": kinds.EXTERNAL_SECRETS.kind,
        "metadata": metadata,
        "spec": orjson.loads(ces.spec),
    }


def surplus(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch that removes what others added to maps; empty if nothing.

    An apply leaves it in place. Lists are replaced as a whole by it.
    """
    patch: dict[str, Any] = {}
    for key, value in found.items():
        if key not in wanted:
            patch[key] = None
        elif isinstance(value, dict) and isinstance(wanted[key], dict):
            below = surplus(value, wanted[key])
            if below:
                patch[key] = below
    return patch


def where_of(ces: ClusterExternalSecret, namespace: str) -> str:
    """Return the key of the child of a namespace."""
    return object_key(namespace, ces.child_name)
