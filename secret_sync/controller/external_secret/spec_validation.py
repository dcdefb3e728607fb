"""What is wrong with an ExternalSecret as a whole, whatever stores and documents there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.controller.external_secret.template_validation import wrong_template
from secret_sync.controller.sync import Problem
from secret_sync.errors import DefiniteError
from secret_sync.parse import check_data
from secret_sync.parse.keys import check_names
from secret_sync.resources import Reason
from secret_sync.resources.external_secret import DEFAULT_PROVIDER, OOS
from secret_sync.resources.meta import InvalidField

if TYPE_CHECKING:
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.secret_store import Service

#: What can be fetched from.
PROVIDERS: Final[tuple[Service, ...]] = (DEFAULT_PROVIDER, OOS)

#: Types that no ExternalSecret can have, and why.
REFUSED_TYPES: Final = {
    "kubernetes.io/service-account-token": (
        "the API server would issue a token of the ServiceAccount that it names"
    ),
    "bootstrap.kubernetes.io/token": "the API server would let its bearer join the cluster",
}

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
    if not es.entries and (es.template is None or not es.template.renders_keys):
        return Problem(
            Reason.NO_DATA,
            "spec.data and spec.dataProcess have no entries, so there is nothing to write",
        )
    if not all(entry.key for entry in es.entries):
        return Problem(
            Reason.INVALID_SPEC, "there is an entry whose key, the secret to fetch, is empty"
        )
    wrong = es.invalid or _wrong_target(es) or _wrong_type(es)
    if wrong is None and es.template is not None:
        wrong = wrong_template(es, es.template)
    return Problem(Reason.INVALID_SPEC, wrong.message, wrong.field) if wrong else None


def key_problem(es: ExternalSecret) -> Problem | None:
    """Return what is wrong with the keys of the Secret that are known without any value."""
    template = es.template
    try:
        if template is not None:
            check_names(template.named_keys, "choose another one in spec.target.template")
    except DefiniteError as error:
        return Problem(Reason.INVALID_KEY, error.message, ("spec", "target", "template"))
    try:
        if template is None or not template.replaces:
            check_data({e.name: b"" for e in es.entries if e.plain})
    except DefiniteError as error:
        reason = Reason.INVALID_KEY if error.code == Reason.INVALID_KEY else Reason.INVALID_SPEC
        return Problem(reason, error.message)
    return None


def _wrong_type(es: ExternalSecret) -> InvalidField | None:
    """Refuse what would make the cluster issue or accept a credential."""
    why = REFUSED_TYPES.get(es.secret_type)
    if why is None:
        return None
    return InvalidField(
        ("spec", "type"), f"a Secret of type {es.secret_type} is not written: {why}"
    )


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
