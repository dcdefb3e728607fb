"""Writes that do not stand: a Secret that has changed, a refusal, writers that revert each other.

A change of another writer is reverted at once, three times in a minute. From then on there is one
write in a minute, and the conflict is over when a write has stood for one.

Where a change may hide, only a write shows it; one that changes nothing is not a conflict. But
a Secret that is edited all the time must not be rechecked each time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from secret_sync.controller.sync import Changed, Problem, Refused, Unchanged
from secret_sync.kube import ApiRefusedError, ApiUnavailableError, ImmutableError
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secret_sync.controller.secret_target.secret_client import SecretClient
    from secret_sync.controller.sync import SyncContext, WriteResult
    from secret_sync.kube import ApiError
    from secret_sync.kube.errors import Cause
    from secret_sync.resources import ExternalSecret, SecretMeta

R = TypeVar("R")

#: A change is reverted so often within so many seconds.
REPAIRS: Final = 3
CONFLICT_SECONDS: Final = 60.0
#: A Secret that was found right so often (``REPAIRS``) in a minute is left for so many seconds.
RECHECK_SECONDS: Final = 5.0
#: A write that finds another version than it was decided on is decided again, so often at most;
#: then the change itself enqueues the object.
MAX_ATTEMPTS: Final = 4


@dataclass(slots=True)
class RepairBudget:
    """Limits the writes to one Secret that another writer keeps changing.

    Attributes:
        repairs: Loop times of the latest writes that reverted a change of another writer.
        rechecks: Loop times of the latest writes that found nothing to change, three at most.
        conflicted_at: Loop time of the latest write in a conflict with another writer, or ``None``.
    """

    repairs: tuple[float, ...] = ()
    rechecks: tuple[float, ...] = ()
    conflicted_at: float | None = None

    def allow(self, now: float) -> bool:
        """Return whether what was written before may be written again; to be asked before that.

        Args:
            now: The loop's time, in seconds.
        """
        if self.conflicted_at is None:
            self.repairs = tuple(t for t in self.repairs if now - t < CONFLICT_SECONDS)
            if len(self.repairs) < REPAIRS:
                return True
        elif now - self.conflicted_at < CONFLICT_SECONDS:
            return False
        first = self.conflicted_at is None
        self.conflicted_at = now
        return not first

    def record(self, now: float, result: WriteResult) -> None:
        """Record what came of a write that was allowed.

        Args:
            now: When it was allowed.
            result: What came of it.
        """
        if self.conflicted_at is None:
            if isinstance(result, Changed):
                self.repairs = (*self.repairs, now)
            elif isinstance(result, Unchanged):
                self.rechecks = (*self.rechecks, now)[-REPAIRS:]
        elif isinstance(result, Unchanged):
            # What was written last has stood, whatever else became of the Secret.
            self._settle()

    def recheck_delay(self, now: float) -> float:
        """Return for how many seconds a Secret that was rechecked often is not rechecked."""
        often = len(self.rechecks) == REPAIRS and now - self.rechecks[0] < CONFLICT_SECONDS
        if not often or self.conflicted_at is not None:
            return 0.0
        return max(0.0, self.rechecks[-1] + RECHECK_SECONDS - now)

    def is_settled(self, now: float) -> bool:
        """Return whether there is no conflict, or the last write has stood for long enough."""
        if self.conflicted_at is None:
            return True
        if now - self.conflicted_at < CONFLICT_SECONDS:
            return False
        self._settle()
        return True

    def _settle(self) -> None:
        self.conflicted_at = None
        self.repairs = ()


async def retry_on_conflict(
    client: SecretClient,
    ctx: SyncContext,
    current: SecretMeta | None,
    write: Callable[[SecretMeta | None], Awaitable[R]],
    conflicts: tuple[type[ApiError], ...],
    *,
    must_exist: bool = False,
) -> R | Refused:
    """Write the target; decide again while it is not what was decided on.

    Args:
        client: Reads the target.
        ctx: Whose target.
        current: It, as the cache has it.
        write: Decides on the target as it is given, ``None`` if there is none, and writes it.
        conflicts: What it raises if the target is not as it was given.
        must_exist: Whether the API server is asked, too, before it is taken for missing.

    Raises:
        ApiUnavailableError: Later, perhaps; also if it changes all the time.
    """
    es = ctx.es
    try:
        for attempt in range(MAX_ATTEMPTS):
            if attempt or (must_exist and current is None):
                current = await client.read(es)
                if current is None:
                    ctx.state.applied = None
            try:
                return await write(current)
            except conflicts:
                # The cache is behind, or what was taken over is frozen with keys beside ours;
                # what the server says now counts.
                continue
    except ApiRefusedError as error:
        return Refused(refused(es, error))
    raise ApiUnavailableError(f"Secret {es.namespace}/{es.target.name} changes all the time")


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
        advice = "; add that to the controller's RBAC rules" if error.lacks_right else ""
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
