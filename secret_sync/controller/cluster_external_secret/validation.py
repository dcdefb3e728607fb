"""Mistakes of a ClusterExternalSecret that are certain without looking at any namespace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from secret_sync.controller.cluster_external_secret.matcher import selection_mistake
from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason
from secret_sync.resources.meta import object_key
from secret_sync.resources.namespace_rule import label_mistake

if TYPE_CHECKING:
    from secret_sync.controller.crd_schema import Schemas
    from secret_sync.controller.external_secret.expressions import ExpressionChecker
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret

_SPEC: Final = re.compile(r"\bspec\.")


class SpecValidator(Protocol):
    """Finds mistakes in the spec of an ExternalSecret."""

    def problem_of_spec(self, es: ExternalSecret) -> Problem | None:
        """Return a mistake that is certain without the cluster."""
        ...


class Checked(NamedTuple):
    """The result of a check; ``pending`` while expressions are compiled."""

    problem: Problem | None = None
    pending: bool = False


class _Known(NamedTuple):
    """The result for one generation of one object, and the key of its template."""

    of: tuple[str, int]
    template: str
    result: Checked


class SpecChecker:
    """Checks each generation of an object once.

    Args:
        schemas: Which fields the CRDs lack.
        validator: Checks the spec of an ExternalSecret.
        expressions: Checks its expressions; the object is enqueued when that is finished.
    """

    def __init__(
        self, schemas: Schemas, validator: SpecValidator, expressions: ExpressionChecker
    ) -> None:
        self._schemas = schemas
        self._validator = validator
        self._expressions = expressions
        self._checked: dict[str, _Known] = {}

    def outdated(self, ces: ClusterExternalSecret) -> Problem | None:
        """Return that nothing that is read of the object can be trusted, or ``None``."""
        return self._schemas.cluster_refusal(ces)

    def check(self, ces: ClusterExternalSecret) -> Checked:
        """Return the first mistake."""
        known = self._checked.get(ces.name)
        if known is not None and known.of == (ces.uid, ces.generation):
            if not known.result.pending:
                return known.result
        else:
            self.forget(ces.name)
        result = self._check(ces)
        template = object_key(ces.name, ces.child_name)
        self._checked[ces.name] = _Known((ces.uid, ces.generation), template, result)
        if not result.pending:
            # What was compiled is for the children to keep.
            self._expressions.forget(template)
        return result

    def forget(self, name: str) -> None:
        """Forget an object that is gone."""
        known = self._checked.pop(name, None)
        if known is not None:
            self._expressions.forget(known.template)

    def _check(self, ces: ClusterExternalSecret) -> Checked:
        wrong = selection_mistake(ces)
        if wrong is not None:
            message = f"{wrong.message}; nothing is created, changed or deleted until it is fixed"
            return Checked(Problem(Reason.CONDITIONS_INVALID, message, wrong.field))
        template = ces.template
        problem = _metadata_problem(ces) or self._validator.problem_of_spec(template)
        if problem is None:
            problems = self._expressions.check(template)
            if problems is None:
                return Checked(pending=True)
            problem = next(iter(problems.values()), None)
        return Checked(_of_template(problem) if problem is not None else None)


def _metadata_problem(ces: ClusterExternalSecret) -> Problem | None:
    what = "labels"
    wrong = next((bad for key, value in ces.labels if (bad := label_mistake(key, (value,)))), "")
    if not wrong:
        what = "annotations"
        wrong = next((bad for key, _ in ces.annotations if (bad := label_mistake(key, ()))), "")
    if not wrong:
        return None
    field = ("spec", "externalSecretMetadata", what)
    return Problem(Reason.INVALID_SPEC, f"{'.'.join(field)}: {wrong}", field)


def _of_template(problem: Problem) -> Problem:
    """Return a problem of the children as one of the object."""
    message = _SPEC.sub("spec.externalSecretSpec.", problem.message)
    if problem.field[:1] == ("spec",) and problem.field[1:2] == ("externalSecretMetadata",):
        message = problem.message
    return Problem(
        Reason.INVALID_SPEC, f"{message}; the ExternalSecrets stay as they are", problem.field
    )
