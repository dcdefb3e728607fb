"""Faults that can be set on calls, and the rule by which one is chosen."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class FaultKind(Enum):
    """What happens to a call that a fault hits."""

    THROTTLE = "throttle"
    """Refused for its rate; see `Fault.qps`, `Fault.retry_after_ms`."""
    ERROR = "error"
    """Refused with `Fault.status` and `Fault.code`."""
    HANG = "hang"
    """Not answered until the fault is cleared."""
    DELAY = "delay"
    """Answered after `Fault.seconds`."""
    DRIP = "drip"
    """Answered byte by byte, `Fault.seconds` apart."""
    HTML = "html"
    """502 with a page of HTML, as a load balancer in between gives."""
    EMPTY = "empty"
    """`Fault.status` (503) with an empty body."""
    BLANK = "blank"
    """200 with an empty body."""
    CLOSE = "close"
    """The connection is closed without an answer, if it has served a call before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault and the calls it hits; an omitted scope matches everything.

    Attributes:
        kind: What happens.
        action: Scope: name of an action.
        subject: Scope: pattern of what a call is about, as of a shell: a secret's or
            parameter's name (`team-a/*`), for STS a role's ARN, for the credentials of metadata
            a role's name.
        access_key: Scope: id of an access key.
        count: How many calls it hits before it is spent; None: every one.
        probability: Share of the calls it hits.
        qps: Throttle only: calls a second that pass; a second's worth may come at once.
        seconds: Delay or drip.
        status: HTTP status; 0: the one usual for the code.
        code: Error code of a throttle or an error.
        retry_after_ms: Sent with a throttle or an error as `x-acs-retry-after`.
    """

    kind: FaultKind
    action: str = ""
    subject: str = ""
    access_key: str = ""
    count: int | None = None
    probability: float = 1.0
    qps: float | None = None
    seconds: float = 0.05
    status: int = 0
    code: str = ""
    retry_after_ms: int | None = None

    def matches(self, action: str, subject: str, access_key: str) -> bool:
        """Tell whether a call is in scope."""
        return (
            (not self.action or self.action == action)
            and (not self.access_key or self.access_key == access_key)
            and (not self.subject or fnmatchcase(subject, self.subject))
        )


@dataclass(slots=True)
class SetFault:
    """A fault in force.

    Attributes:
        left: Calls it still hits; None: no limit.
        cleared: Set when it is cleared: calls that hang on it continue.
    """

    fault: Fault
    left: int | None
    bucket: _TokenBucket | None
    cleared: asyncio.Event = field(default_factory=asyncio.Event)


class _TokenBucket:
    """Lets `rate` calls a second pass, and up to one second's worth at once."""

    __slots__ = ("_burst", "_clock", "_level", "_rate", "_updated")

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._level = self._burst
        self._clock = clock
        self._updated = clock()

    def take(self) -> bool:
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._updated) * self._rate)
        self._updated = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Faults:
    """The faults in force, in the order in which they were set; the first that hits wins."""

    def __init__(self) -> None:
        self._random: Final = random.Random()  # noqa: S311 - decides about faults
        self._faults: dict[str, SetFault] = {}
        self._serial = 0

    def __bool__(self) -> bool:
        return bool(self._faults)

    def set(self, fault: Fault) -> str:
        """Put a fault in force; return its id."""
        self._serial += 1
        fault_id = f"fault-{self._serial}"
        bucket = None if fault.qps is None else _TokenBucket(fault.qps, time.monotonic)
        self._faults[fault_id] = SetFault(fault, fault.count, bucket)
        return fault_id

    def clear(self, fault_id: str = "") -> int:
        """Take back one fault, or all; return how many there were."""
        ids = [fault_id] if fault_id else list(self._faults)
        found = [entry for i in ids if (entry := self._faults.pop(i, None)) is not None]
        for entry in found:
            entry.cleared.set()
        return len(found)

    def hit(self, action: str, subject: str, access_key: str, *, reused: bool) -> SetFault | None:
        """Return the fault that this call is to suffer, and count it.

        Args:
            action: Of the call.
            subject: Of the call.
            access_key: Of the call.
            reused: Whether the call's connection has served another before.
        """
        for fault_id, entry in self._faults.items():
            fault = entry.fault
            if not fault.matches(action, subject, access_key):
                continue
            if fault.kind is FaultKind.CLOSE and not reused:
                continue
            if fault.probability < 1.0 and self._random.random() >= fault.probability:
                continue
            if entry.bucket is not None and entry.bucket.take():
                continue
            if entry.left is not None:
                entry.left -= 1
                # A hang stays in the table: clearing is what lets the call go on.
                if entry.left <= 0 and fault.kind is not FaultKind.HANG:
                    del self._faults[fault_id]
                elif entry.left < 0:
                    continue
            return entry
        return None
