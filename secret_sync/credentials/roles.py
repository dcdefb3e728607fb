"""Roles and their sessions, and the syntax of their parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

SESSION_NAME: Final = "secret-sync"

_SESSION = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_DURATION = re.compile(r"[0-9]{1,6}")
_SHORTEST, _LONGEST = 900, 43_200
_ROLE = re.compile(r"acs:ram:[a-z0-9-]*:[0-9]{1,32}:role/[A-Za-z0-9._/-]{1,128}")
_PROVIDER = re.compile(r"acs:ram:[a-z0-9-]*:[0-9]{1,32}:oidc-provider/[A-Za-z0-9._-]{1,128}")
_ACCOUNT = re.compile(r"acs:[a-z0-9-]+:[a-z0-9-]*:([0-9]{1,32}):.+")


@dataclass(frozen=True, slots=True)
class Role:
    """A RAM role and its session.

    Attributes:
        arn: ``acs:ram::<account>:role/<name>``.
        session_name: The name of the session in the audit trail of Alibaba Cloud.
        duration: The duration of the session in seconds; ``None`` for that of STS (an hour).
    """

    arn: str
    session_name: str = SESSION_NAME
    duration: int | None = None


def check_session_name(text: str) -> None:
    """Check the name of a session.

    Raises:
        ValueError: The name is invalid; the message says what is expected.
    """
    if not _SESSION.fullmatch(text):
        raise ValueError("it must have 2 to 64 characters of A-Z a-z 0-9 . @ _ -")


def read_duration(text: str) -> int:
    """Parse the duration of a session, in seconds.

    Raises:
        ValueError: The duration is invalid; the message says what is expected.
    """
    seconds = int(text) if _DURATION.fullmatch(text) else 0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(f"it must be a whole number of seconds from {_SHORTEST} to {_LONGEST}")
    return seconds


def is_role_arn(text: str) -> bool:
    """Return whether a string has the form of the ARN of a RAM role."""
    return _ROLE.fullmatch(text) is not None


def is_provider_arn(text: str) -> bool:
    """Return whether a string has the form of the ARN of an OIDC provider."""
    return _PROVIDER.fullmatch(text) is not None


def account_of(arn: str) -> str:
    """Return the account of an ARN, ``""`` if it has none."""
    match = _ACCOUNT.fullmatch(arn)
    return match[1] if match else ""
