"""The log of calls and their results, for tests and for people."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

_MAX_CALLS: Final = 20_000
_MAX_SUBJECTS: Final = 50_000
"""Clients choose the names they ask for, so the table of counters has an end."""
OTHERS: Final = "(others)"


@dataclass(slots=True)
class CallRecord:
    """One call.

    Attributes:
        time: When it came, in seconds since the epoch.
        subject: What it was about, as the client wrote it: the name of a secret or a
            parameter, or the ARN of a role.
        access_key: The id that the client gave, known or not.
        status: HTTP status; 0 while it is not answered, 499 if the client went away.
        code: Error code; "OK" for a success.
        token_in_url: An OIDC token or a security token was in the query, where logs keep it.
    """

    time: float
    action: str = ""
    subject: str = ""
    access_key: str = ""
    status: int = 0
    code: str = ""
    token_in_url: bool = False


class Journal:
    """A bounded log of calls, and counters."""

    def __init__(self) -> None:
        self.connections = 0
        self._calls: deque[CallRecord] = deque(maxlen=_MAX_CALLS)
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._in_flight = 0
        self._max_in_flight = 0

    def begin(self, now: float) -> CallRecord:
        """Enter a call; the caller fills in what it learns and then ends it."""
        record = CallRecord(now)
        self._calls.append(record)
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        return record

    def end(self, record: CallRecord, status: int, code: str) -> None:
        """Count a call that was answered or given up."""
        self._in_flight -= 1
        record.status, record.code = status, code
        key = (record.action, record.subject, code)
        if len(self._ended) >= _MAX_SUBJECTS and key not in self._ended:
            key = (OTHERS, OTHERS, code)
        self._ended[key] += 1

    def reset(self) -> None:
        """Forget calls and counters, but not what is in flight."""
        self._calls.clear()
        self._ended.clear()
        self._max_in_flight = self._in_flight
        self.connections = 0

    def calls(self, last: int) -> list[CallRecord]:
        """Return the last calls, oldest first."""
        return list(self._calls)[-last:] if last > 0 else []

    def counters(self) -> dict[str, Any]:
        """Return the number of ended calls in all and by action, subject and code.

        `secrets` counts by subject alone, `subjects` by action and subject.
        """
        subjects: dict[str, Counter[str]] = {}
        by: dict[str, Counter[str]] = {
            "actions": Counter(),
            "secrets": Counter(),
            "codes": Counter(),
        }
        for (action, subject, code), count in self._ended.items():
            by["actions"][action] += count
            by["secrets"][subject] += count
            subjects.setdefault(action, Counter())[subject] += count
            by["codes"][code] += count
        return {
            "total": self._ended.total(),
            **by,
            "subjects": subjects,
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
            "connections": self.connections,
        }
