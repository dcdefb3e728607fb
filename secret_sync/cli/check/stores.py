"""Check stores with the controller's own resolver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.findings import CheckReason, Severity
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.store.references import mistake, refusal
from secret_sync.controller.sync import Problem
from secret_sync.credentials import AccessKeyProvider
from secret_sync.errors import SecretSyncError
from secret_sync.resources import Reason
from secret_sync.resources.secret_store import BLOCKS

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Findings
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.cli.check.simulated_cluster import SimulatedCluster
    from secret_sync.controller.store.identity import Identity
    from secret_sync.credentials import CredentialProvider
    from secret_sync.resources import SecretStore
    from secret_sync.resources.meta import FieldPath

_AUTH_FLAG: Final = "--enable-cross-namespace-auth-ref"


def check_store(
    obj: CheckedObject, store: SecretStore, cluster: SimulatedCluster, findings: Findings
) -> None:
    """Report the errors of a store that are independent of its users."""
    for kind, key in cluster.assume_references(store):
        if store.namespace and not cluster.rules.cross_auth:
            problem = refusal(f"the store refers to {kind} {key}", _AUTH_FLAG)
            findings.add(Severity.WARNING, obj, ("spec",), problem.message, problem.reason)
    for service in store.auths:
        identity = cluster.identities.resolve(store, service)
        path = BLOCKS[service]
        if isinstance(identity, Problem):
            report_reference(obj, identity.field or path, identity, findings)
            continue
        if identity.ignored:
            message = f"set, but ignored: {', '.join(identity.ignored)}"
            findings.add(Severity.WARNING, obj, path, message, CheckReason.IGNORED)
        broken = _broken_key(identity)
        if broken is not None:
            findings.add_problem(obj, path, broken.message, broken.reason)
    conditions = mistake(store)
    if conditions is not None:
        message = f"{store.title}: {conditions.message}; that matches no namespace"
        findings.add_problem(obj, conditions.field, message, Reason.CONDITIONS_INVALID)


def report_reference(
    obj: CheckedObject, path: FieldPath, problem: Problem, findings: Findings
) -> None:
    """Report a problem; one of a reference is certain only between known namespaces."""
    if obj.assumed and problem.reason is Reason.REFERENCE_REFUSED:
        message = (
            f"{problem.message} (if the object belongs into another namespace than "
            f"{obj.ref.namespace}, name it with -n)"
        )
        findings.add(Severity.WARNING, obj, path, message, problem.reason)
    else:
        findings.add_problem(obj, path, problem.message, problem.reason)


def _broken_key(identity: Identity) -> Problem | None:
    """Return what is wrong with an AccessKey whose Secrets are in the files."""
    provider: CredentialProvider | None = identity.provider
    while provider is not None and provider.base is not None:
        provider = provider.base
    if not isinstance(provider, AccessKeyProvider):
        return None
    try:
        asyncio.run(provider.fetch(None))
    except SecretSyncError as error:
        return problem_of(error)
    return None
