"""Stores, as the controller reads them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from secret_sync.cli.check.findings import Severity, Word
from secret_sync.controller.admission import mistake
from secret_sync.controller.identity import SERVICES
from secret_sync.controller.problem import Problem
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.references import refusal
from secret_sync.controller.wording import STORE_WORDS
from secret_sync.credentials import AccessKeyProvider
from secret_sync.errors import SecretSyncError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.cli.check.findings import Path
    from secret_sync.cli.check.ledger import Ledger
    from secret_sync.cli.check.objects import Subject
    from secret_sync.cli.check.surroundings import Surroundings
    from secret_sync.controller.identity import Identity, Service
    from secret_sync.credentials import Provider
    from secret_sync.resources import SecretStore

_BLOCKS: Final[dict[str, Path]] = {
    "kms": ("spec", "KMS", "KMSAuth"),
    "oos": ("spec", "OOS", "OOSAuth"),
}
_FIELDS: Final = re.compile("|".join(sorted(STORE_WORDS.values(), key=len, reverse=True)))
_CONDITION: Final = re.compile(r"spec\.conditions\[([0-9]+)\]\.([A-Za-z]+)")
_AUTH_FLAG: Final = "--enable-cross-namespace-auth-ref"


def check_store(
    subject: Subject, store: SecretStore, surroundings: Surroundings, ledger: Ledger
) -> None:
    """Tells what is wrong with a store, whoever uses it."""
    for kind, key in surroundings.assume_references(store):
        if store.namespace and not surroundings.rules.cross_auth:
            problem = refusal(f"it refers to {kind} {key}", _AUTH_FLAG)
            ledger.tell(Severity.WARNING, subject, ("spec",), problem.message, problem.reason)
    for service in _services(store):
        identity = surroundings.identities.resolve(store, service)
        path = _BLOCKS[service]
        if isinstance(identity, Problem):
            tell_reference(subject, _field(subject, path, identity), identity, ledger)
            continue
        if identity.ignored:
            message = f"written too, but ignored: {', '.join(identity.ignored)}"
            ledger.tell(Severity.WARNING, subject, path, message, Word.IGNORED)
        broken = _broken_key(identity)
        if broken is not None:
            ledger.problem(subject, path, broken.message, broken.reason)
    conditions = mistake(store)
    if conditions:
        found = _CONDITION.match(conditions)
        path = ("spec", "conditions", int(found[1]), found[2]) if found else ("spec", "conditions")
        message = f"{store.title}: {conditions}; that matches no namespace"
        ledger.problem(subject, path, message, Reason.CONDITIONS_INVALID)


def tell_reference(subject: Subject, path: Path, problem: Problem, ledger: Ledger) -> None:
    """A problem that may be about a reference, which is certain only between known namespaces."""
    if subject.assumed and problem.reason is Reason.REFERENCE_REFUSED:
        message = (
            f"{problem.message} (if it is to be in another namespace than "
            f"{subject.who.namespace}, say which: -n)"
        )
        ledger.tell(Severity.WARNING, subject, path, message, problem.reason)
    else:
        ledger.problem(subject, path, problem.message, problem.reason)


def _services(store: SecretStore) -> list[Service]:
    """The services that a store is written for, as in the control loop of stores."""
    auths = {"kms": store.kms is not None or store.dedicated, "oos": store.oos is not None}
    return [service for service in SERVICES if auths[service]]


def _field(subject: Subject, block: Path, problem: Problem) -> Path:
    """The field that a message is about: the first it names that is written."""
    if problem.reason is Reason.UNSUPPORTED:
        return (*block[:-1], "dedicatedKMSAuth")
    written = subject.value
    for step in block:
        written = written.get(str(step)) or {}
    _, _, said = problem.message.partition(str(block[-1]))
    named = (word for word in _FIELDS.findall(said) if word in written)
    word = next(named, None)
    return block if word is None else (*block, word)


def _broken_key(identity: Identity) -> Problem | None:
    """What is wrong with an AccessKey whose Secrets are among the files."""
    provider: Provider | None = identity.provider
    while provider is not None and provider.base is not None:
        provider = provider.base
    if not isinstance(provider, AccessKeyProvider):
        return None
    try:
        asyncio.run(provider.fetch(None))
    except SecretSyncError as error:
        return problem_of(error)
    return None
