"""What is wrong with an ExternalSecret as a whole, whatever stores and documents there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER, OOS
from secret_sync.resources.meta import InvalidField

if TYPE_CHECKING:
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.secret_store import Service

#: What can be fetched from.
PROVIDERS: Final[tuple[Service, ...]] = (DEFAULT_PROVIDER, OOS)

_MAX_NAME: Final = 253
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def spec_problem(es: ExternalSecret) -> Problem | None:
    """Return a mistake that concerns the object as a whole; what costs too much comes first."""
    if es.excess:
        return Problem(
            Reason.TOO_COSTLY,
            f"{es.excess.message}; nothing was fetched or written",
            es.excess.field,
        )
    if es.provider not in PROVIDERS:
        return Problem(
            Reason.UNKNOWN_PROVIDER,
            f"spec.provider is {es.provider[:80]!r}; it can be kms (the default) or oos",
            ("spec", "provider"),
        )
    if es.unsupported:
        return Problem(
            Reason.UNSUPPORTED,
            f"{', '.join('.'.join(map(str, path)) for path in es.unsupported)}: "
            "not supported in this version; nothing was fetched or written",
            es.unsupported[0],
        )
    if not es.entries:
        return Problem(
            Reason.NO_DATA,
            "spec.data and spec.dataProcess have no entries, so there is nothing to write",
        )
    if not all(entry.key for entry in es.entries):
        return Problem(
            Reason.INVALID_SPEC, "there is an entry whose key, the secret to fetch, is empty"
        )
    wrong = es.invalid or _wrong_target(es)
    return Problem(Reason.INVALID_SPEC, wrong.message, wrong.field) if wrong else None


def _wrong_target(es: ExternalSecret) -> InvalidField | None:
    name = es.target.name
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        return InvalidField(
            ("spec", "target", "name"),
            f"spec.target.name is {name[:80]!r}, which is not a name that a Secret can have",
        )
    if es.target.merge and es.target.immutable:
        return InvalidField(
            ("spec", "target", "immutable"),
            "spec.target.immutable does not go with creationPolicy Merge: "
            "the Secret is not managed by secret-sync",
        )
    return None
