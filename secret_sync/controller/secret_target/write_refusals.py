"""Why the API server refuses the write of a Secret, in words for users.

Of a 422 they say which field is meant and why, by the causes' reasons: their sentences, and
the API server's own, can quote what is in the Secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from secret_sync.controller.problem import Problem
from secret_sync.kube import ImmutableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from secret_sync.kube import ApiError
    from secret_sync.kube.errors import Cause
    from secret_sync.resources import ExternalSecret

_FORBIDDEN: Final = 403
_KEY: Final = re.compile(r"data\[([^\]]*)\]")
_REASON: Final = re.compile(r"FieldValue[A-Za-z]+")
#: Fields that a message names.
_NAMED: Final = 10
#: Of these one key is enough.
_EITHER: Final = "kubernetes.io/basic-auth"
_ACCOUNT: Final = "metadata.annotations[kubernetes.io/service-account.name]"
#: What the value of a key has to be, by the key.
_DOCUMENTS: Final = {
    ".dockerconfigjson": 'a JSON object like {"auths": {...}}, not encoded in base64',
    ".dockercfg": 'a JSON object like {"<registry>": {...}}, not encoded in base64',
}


def refused(es: ExternalSecret, error: ApiError) -> Problem:
    """Return the problem to report for a write that the API server refuses."""
    where = f"Secret {es.namespace}/{es.target.name}"
    if error.status == _FORBIDDEN:
        advice = "; see its RBAC rules" if error.lacks_right else ""
        return Problem(Reason.WRITE_FORBIDDEN, f"{where} was not written: {error.message}{advice}")
    if isinstance(error, ImmutableError) and es.target.merge:
        return Problem(Reason.WRITE_FAILED, f"{where} was not written: it is immutable")
    of = "its type" if es.target.merge else f"type {es.secret_type}"
    said = "; ".join(_in_words(error.causes, of)) or error.message
    return Problem(
        Reason.WRITE_FAILED, f"{where} was not written, the API server refused it: {said}"
    )


def _in_words(causes: tuple[Cause, ...], of: str) -> list[str]:
    """Return what each cause of a 422 means; nothing if one of them has no field."""
    if not all(cause.field and _REASON.fullmatch(cause.reason) for cause in causes):
        return []
    required = [c.field for c in causes if c.reason == "FieldValueRequired"]
    if of.endswith(_EITHER) and len(required) > 1:
        others = tuple(c for c in causes if c.field not in required)
        either = f"{' or '.join(sorted(required))} is required by {of}: add an entry that writes it"
        return [either, *_in_words(others, of)]
    reasons = dict.fromkeys(_meaning(cause, of) for cause in causes)
    more = [f"and {len(reasons) - _NAMED} more"] if len(reasons) > _NAMED else []
    return [*list(reasons)[:_NAMED], *more]


def _meaning(cause: Cause, of: str) -> str:
    field, reason = cause.field, cause.reason
    found = _KEY.fullmatch(field)
    key = found[1] if found is not None else None
    match reason:
        case "FieldValueRequired" if field == _ACCOUNT:
            said = f"{field} is required by {of}, which secret-sync does not write: omit spec.type"
        case "FieldValueRequired" if key is not None:
            said = f"{field} is required by {of}: add an entry that writes it"
        case "FieldValueInvalid" if key in _DOCUMENTS:
            said = f"{field} is not what {of} requires: {_DOCUMENTS[key]}"
        case "FieldValueInvalid" if key is not None:
            said = f"{field} is not a legal key of a Secret"
        case "FieldValueTooLong" if field == "data":
            said = "data is longer than the 1 MiB that a Secret may hold, all keys together"
        case "FieldValueForbidden" if field in {"data", "immutable"}:
            said = f"{field} cannot be changed, the Secret is immutable"
        case "FieldValueInvalid" if field == "type":
            said = "type cannot be changed; delete the Secret, or write its type in spec.type"
        case _:
            said = f"{field} ({reason})"
    return said
