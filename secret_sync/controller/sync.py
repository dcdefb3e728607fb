"""What each step of a sync is given, what it comes to, and the condition that reports it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from secret_sync import clock
from secret_sync.resources import Condition, Reason
from secret_sync.resources.conditions import READY, STALLED, STALLED_REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.controller.external_secret.extraction import EntryOutcome
    from secret_sync.controller.external_secret.state import SyncState
    from secret_sync.resources import ExternalSecret
    from secret_sync.resources.meta import CustomObject, FieldPath

_REASONS: Final = frozenset(Reason)
#: Counted even where there is none.
_WITHOUT_REASON: Final = (("True", ""), ("False", ""), ("Unknown", ""))
#: Characters of a message. What a user wrote may be part of it, and may be as long as an object.
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as the user wants it.

    Attributes:
        message: What, where, and what to do about it.
        field: What it is about: a path from the object whose problem it is or, for a problem of
            one entry, from that entry; empty for the whole.
        request_id: Of the answer of Alibaba Cloud that reported it, or ``""``.
    """

    reason: Reason
    message: str
    field: FieldPath = ()
    request_id: str = ""

    def __post_init__(self) -> None:
        """Shorten the message."""
        object.__setattr__(self, "message", shortened(self.message))

    def log_fields(self) -> dict[str, str]:
        """Return what a log line about it has."""
        fields = {"reason": self.reason.value, "message": self.message}
        return fields | {"request_id": self.request_id} if self.request_id else fields


@dataclass(slots=True)
class SyncContext:
    """One sync of one ExternalSecret.

    Attributes:
        key: Its key, ``namespace/name``.
        es: The object as the informer had it at the beginning.
        state: What is kept of it between two syncs.
        outcomes: How its entries fared, as far as that is known.
        desired: The Secret to be, once it is what the sync reports on.
    """

    key: str
    es: ExternalSecret
    state: SyncState
    outcomes: Sequence[EntryOutcome] = ()
    desired: Desired | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The Secret was written.

    Attributes:
        log: What the log says of that, such as ``secret created``.
        keys: How many keys it holds; ``None`` if they are another writer's.
        removed: How many keys of others were removed from it; ``None`` if that was not looked for.
        controller: Kind and name of another controller of the Secret, or ``""``.
        created: Whether there was no Secret.
    """

    log: str
    keys: int | None = None
    removed: int | None = None
    controller: str = ""
    created: bool = False


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The Secret needed no write; ``controller`` as of ``Changed``."""

    controller: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The Secret was left as it is, because of a problem.

    Attributes:
        written: A write that was made in spite of it, as one a minute is in a conflict.
    """

    problem: Problem
    written: Changed | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The sync waits for sources, for a parser, or for its turn to write.

    Attributes:
        entries: How many of its entries wait for an answer.
        known: Whether all values are known, and some are to be confirmed.
        turn: Whether other ExternalSecrets that merge into the Secret write it first.
    """

    entries: int = 0
    known: bool = False
    turn: bool = False


#: What a sync comes to.
SyncResult: TypeAlias = Changed | Unchanged | Refused | Pending
#: What a write comes to.
WriteResult: TypeAlias = Changed | Unchanged | Refused

#: The usual one.
UNCHANGED: Final = Unchanged()
#: Others write the Secret first.
WAITS_FOR_ITS_TURN: Final = Pending(known=True, turn=True)


def shortened(message: str) -> str:
    """Return a message that a condition, an Event and a log line can bear."""
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 Secret``, ``2 Secrets``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def why_missing(namespace: str, home: str) -> str:
    """Return why something that was referred to from another namespace may not be found."""
    if namespace == home:
        return "which does not exist"
    return "which does not exist or is in a namespace that this controller does not watch"


# As cloud/errors.py and cloud/clocks.py write them.
_NUMBERS: Final = re.compile(r", request [A-Za-z0-9._-]+|about [0-9]+ minutes")


def count_by_ready(objects: Iterable[CustomObject[Any]]) -> dict[tuple[str, str], int]:
    """Count objects by status and reason of their condition.

    Without one the status is ``Unknown`` and the reason ``""``. What was not written by secret-sync
    is ``Unknown``, or ``other``.
    """
    # Not by pairs: to make and hash one takes as long as all the rest, and there are many objects.
    found: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for obj in objects:
        if (ready := obj.status.ready) is None:
            found[""][""] += 1
        else:
            found[ready.status][ready.reason] += 1
    counts = dict.fromkeys(_WITHOUT_REASON, 0)
    for status, reasons in found.items():
        known = status if (status, "") in _WITHOUT_REASON else "Unknown"
        for reason, number in reasons.items():
            word = reason if not reason or reason in _REASONS else "other"
            counts[known, word] = counts.get((known, word), 0) + number
    return counts


def condition(
    before: Condition | None,
    *,
    generation: int,
    status: str,
    reason: Reason,
    message: str,
    type_: str = READY,
) -> Condition:
    """Return a condition; its transition time changes only with its status."""
    same = before is not None and before.status == status
    return Condition(
        type=type_,
        status=status,
        reason=reason.value,
        message=shortened(message),
        last_transition_time=before.last_transition_time if same and before else clock.utc_text(),
        observed_generation=generation,
    )


def problem_condition(before: Condition | None, *, generation: int, problem: Problem) -> Condition:
    """Return the condition that reports a problem.

    The same one stays as it is although the service numbers each of its answers:
    otherwise every retry would write it.
    """
    now = condition(
        before,
        generation=generation,
        # Nothing of what is read can be trusted then, not even that it is not in sync.
        status="Unknown" if problem.reason is Reason.CRD_OUTDATED else "False",
        reason=problem.reason,
        message=problem.message,
    )
    if before is not None and _unnumbered(before) == _unnumbered(now):
        return before
    return now


def stalled_condition(before: Condition | None, ready: Condition) -> Condition | None:
    """Return the condition ``Stalled`` that belongs to a ``Ready``, or ``None``."""
    if ready.status != "False" or ready.reason not in STALLED_REASONS:
        return None
    return condition(
        before,
        generation=ready.observed_generation,
        status="True",
        reason=Reason(ready.reason),
        message=ready.message,
        type_=STALLED,
    )


def _unnumbered(reported: Condition) -> Condition:
    return replace(reported, message=unnumbered(reported.message))


def unnumbered(message: str) -> str:
    """Return a message without what differs in each answer of a service."""
    return _NUMBERS.sub("", message)
