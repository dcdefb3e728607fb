"""Writers that keep reverting each other, and when to stop.

A change of another writer is reverted at once, three times in a minute. From then on there is one
write in a minute, and the conflict is over when a write has stood for one.

Where a change may hide, only a write shows it; one that changes nothing is not a conflict. But
a Secret that is edited all the time must not be rechecked each time.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from secret_sync.controller.sync import Problem
from secret_sync.kube import ImmutableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.kube import ApiError
    from secret_sync.kube.errors import Cause
    from secret_sync.resources import ExternalSecret

#: A change is reverted so often within so many seconds.
REPAIRS: Final = 3
CONFLICT_SECONDS: Final = 60.0
#: A Secret that was found right so often (``REPAIRS``) in a minute is left for so many seconds.
RECHECK_SECONDS: Final = 5.0


async def repair_within_limit(
    state: SyncState,
    write: Coroutine[Any, Any, bool | Problem],
    conflict: Callable[[], Awaitable[Problem]],
) -> bool | Problem:
    """Write again what was written before, unless that has become a write conflict.

    Args:
        state: Of the object.
        write: The write; what it returns is returned.
        conflict: Builds the problem to report.
    """
    now = asyncio.get_running_loop().time()
    lately = tuple(t for t in state.repairs if now - t < CONFLICT_SECONDS)
    if state.conflicted_at is None and len(lately) < REPAIRS:
        changed = await write
        state.repairs = (*lately, now) if changed is True else lately
        if changed is False:
            state.rechecks = (*state.rechecks, now)[-REPAIRS:]
        return changed
    if state.conflicted_at is not None and now - state.conflicted_at >= CONFLICT_SECONDS:
        state.conflicted_at = now
        changed = await write
        if changed is False:
            # What was written last has stood, whatever else became of the Secret.
            state.conflicted_at = None
            state.repairs = ()
            return False
        return changed if isinstance(changed, Problem) else await conflict()
    if state.conflicted_at is None:
        state.conflicted_at = now
    write.close()
    return await conflict()


def recheck_delay(state: SyncState) -> float:
    """Return for how many seconds a Secret that was rechecked often is not rechecked."""
    now = asyncio.get_running_loop().time()
    often = len(state.rechecks) == REPAIRS and now - state.rechecks[0] < CONFLICT_SECONDS
    if not often or state.conflicted_at is not None:
        return 0.0
    return max(0.0, state.rechecks[-1] + RECHECK_SECONDS - now)


def is_settled(state: SyncState) -> bool:
    """Return whether there is no conflict, or the last write has stood for long enough."""
    if state.conflicted_at is None:
        return True
    if asyncio.get_running_loop().time() - state.conflicted_at < CONFLICT_SECONDS:
        return False
    state.conflicted_at = None
    state.repairs = ()
    return True


def write_conflict(es: ExternalSecret, editors: tuple[str, ...]) -> Problem:
    """Return the problem to report for a write conflict.

    Args:
        es: Whose Secret it is about.
        editors: The field managers that set data of it, as far as they are known.
    """
    return Problem(
        Reason.WRITE_CONFLICT,
        f"Secret {es.namespace}/{es.target.name} was changed back or deleted {REPAIRS} times "
        f"within {CONFLICT_SECONDS:.0f} s by {', '.join(editors) or 'another writer'}; it is now "
        "written once a minute: stop the other writer",
    )


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
    """Return the problem to report for a write that the API server refuses.

    Of a 422 it says which field is meant and why, by the causes' reasons: their sentences, and
    the API server's own, can quote what is in the Secret.
    """
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
