"""Check ClusterExternalSecrets with the controller's own checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secret_sync.cli.check.findings import CheckReason, Severity
from secret_sync.controller.cluster_external_secret.validation import SpecChecker
from secret_sync.controller.crd_schema import Schemas
from secret_sync.controller.external_secret.expressions import ImmediateChecker

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.cli.check.simulated_cluster import SimulatedCluster
    from secret_sync.resources.cluster_external_secret import ClusterExternalSecret
    from secret_sync.resources.meta import FieldPath


def check_cluster_external_secret(
    obj: CheckedObject, ces: ClusterExternalSecret, cluster: SimulatedCluster, findings: Findings
) -> None:
    """Report what the controller would refuse, and what it takes to be processed at all."""
    checker = SpecChecker(Schemas(), cluster.planner, ImmediateChecker())
    problem = checker.check(ces).problem
    if problem is not None:
        findings.add_problem(obj, _path(problem.field), problem.message, problem.reason)
    findings.add(
        Severity.NOTE,
        obj,
        ("kind",),
        "a controller processes it that may list namespaces (not with the overlay namespaced) "
        "and has the component cluster-external-secrets",
        CheckReason.REQUIRES,
    )


def _path(field: FieldPath) -> FieldPath:
    """Return where a field of the children is written."""
    own = ("conditions", "namespaceSelectors", "externalSecretMetadata", "externalSecretName")
    if field[:1] != ("spec",) or field[1:2] in [(name,) for name in own]:
        return field
    return ("spec", "externalSecretSpec", *field[1:])
