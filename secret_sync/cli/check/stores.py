"""Check stores with the controller's own resolver."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.findings import CheckReason, Severity
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.store.auth_validation import STORE_WORDS
from secret_sync.controller.store.identity import SERVICES
from secret_sync.controller.store.references import mistake, refusal
from secret_sync.controller.sync import Problem
from secret_sync.credentials import AccessKeyProvider
from secret_sync.errors import SecretSyncError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Findings, Path
    from secret_sync.cli.check.objects import CheckedObject
    from secret_sync.cli.check.simulated_cluster import SimulatedCluster
    from secret_sync.controller.store.identity import Identity, Service
    from secret_sync.credentials import CredentialProvider
    from secret_sync.resources import SecretStore

_BLOCKS: Final[dict[str, Path]] = {
    "kms": ("spec", "KMS", "KMSAuth"),
    "oos": ("spec", "OOS", "OOSAuth"),
}
_FIELDS: Final = re.compile("|".join(sorted(STORE_WORDS.values(), key=len, reverse=True)))
_CONDITION: Final = re.compile(r"spec\.conditions\[([0-9]+)\]\.([A-Za-z]+)")
_AUTH_FLAG: Final = "--enable-cross-namespace-auth-ref"


def check_store(
    obj: CheckedObject, store: SecretStore, cluster: SimulatedCluster, findings: Findings
) -> None:
    """Report the errors of a store that are independent of its users."""
    for kind, key in cluster.assume_references(store):
        if store.namespace and not cluster.rules.cross_auth:
            problem = refusal(f"the store refers to {kind} {key}", _AUTH_FLAG)
            findings.add(Severity.WARNING, obj, ("spec",), problem.message, problem.reason)
    for service in _services(store):
        identity = cluster.identities.resolve(store, service)
        path = _BLOCKS[service]
        if isinstance(identity, Problem):
            report_reference(obj, _field(obj, path, identity), identity, findings)
            continue
        if identity.ignored:
            message = f"set, but ignored: {', '.join(identity.ignored)}"
            findings.add(Severity.WARNING, obj, path, message, CheckReason.IGNORED)
        broken = _broken_key(identity)
        if broken is not None:
            findings.add_problem(obj, path, broken.message, broken.reason)
    conditions = mistake(store)
    if conditions:
        found = _CONDITION.match(conditions)
        path = ("spec", "conditions", int(found[1]), found[2]) if found else ("spec", "conditions")
        message = f"{store.title}: {conditions}; that matches no namespace"
        findings.add_problem(obj, path, message, Reason.CONDITIONS_INVALID)


def report_reference(obj: CheckedObject, path: Path, problem: Problem, findings: Findings) -> None:
    """Report a problem; one of a reference is certain only between known namespaces."""
    if obj.assumed and problem.reason is Reason.REFERENCE_REFUSED:
        message = (
            f"{problem.message} (if the object belongs into another namespace than "
            f"{obj.ref.namespace}, name it with -n)"
        )
        findings.add(Severity.WARNING, obj, path, message, problem.reason)
    else:
        findings.add_problem(obj, path, problem.message, problem.reason)


def _services(store: SecretStore) -> list[Service]:
    """Return the services that a store configures, as the reconciler of stores does."""
    auths = {"kms": store.kms is not None or store.dedicated, "oos": store.oos is not None}
    return [service for service in SERVICES if auths[service]]


def _field(obj: CheckedObject, block: Path, problem: Problem) -> Path:
    """Return the field that a message is about: the first field in it that is set."""
    if problem.reason is Reason.UNSUPPORTED:
        return (*block[:-1], "dedicatedKMSAuth")
    written = obj.value
    for step in block:
        written = written.get(str(step)) or {}
    _, _, said = problem.message.partition(str(block[-1]))
    name = next((name for name in _FIELDS.findall(said) if name in written), None)
    return block if name is None else (*block, name)


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
