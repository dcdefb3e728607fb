"""Temporary credentials as STS and the metadata service return them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secret_sync.cloud.clocks import TOLERATED_SKEW, date_of, minutes, with_zone
from secret_sync.errors import ClockError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The longest session of a RAM role, in seconds.
_LONGEST_SESSION: Final = 12 * 3600.0


@dataclass(frozen=True, slots=True, repr=False)
class TemporaryKeys:
    """Temporary credentials of either service. Nothing of them is ever shown.

    Attributes:
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        security_token: The token that belongs to them.
        expires_at: When they expire, on the running loop's clock.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "<temporary keys>"


def read_keys(
    document: Any, headers: Mapping[str, str], *, what: str, session: float | None = None
) -> TemporaryKeys | None:
    """Return the ``AccessKeyId, AccessKeySecret, SecurityToken, Expiration`` of a response.

    Called as soon as the response has arrived. ``Expiration`` is a time of the service's clock,
    which is the response's ``Date``; but a proxy may have written that, and the clock of this
    machine may be wrong. So neither is relied on alone.

    Args:
        document: The decoded response.
        headers: Its headers, by case-insensitive name.
        what: What was requested and where; error messages begin with it.
        session: The requested duration in seconds, if the credentials are new; ``None`` if they
            may be older, as those of the metadata service.

    Returns:
        ``None`` if one of the four is missing or malformed.

    Raises:
        ClockError: They have expired by every clock (code ``ClockSkew``).
    """
    if not isinstance(document, dict):
        return None
    access_key_id = _text(document.get("AccessKeyId"))
    access_key_secret = _text(document.get("AccessKeySecret"))
    security_token = _text(document.get("SecurityToken"))
    expiration = _utc(document.get("Expiration"))
    if not (access_key_id and access_key_secret and security_token) or expiration is None:
        return None
    by_ours = (expiration - datetime.now(UTC)).total_seconds()
    date = date_of(headers)
    by_date = None if date is None else (expiration - date).total_seconds()
    # By a wrong clock they have expired, or last longer than possible.
    candidates = [left for left in (by_ours, by_date) if left is not None and left > 0.0]
    if not candidates:
        raise ClockError(f"{what}: the credentials {_ended(by_ours, by_date)}", code="ClockSkew")
    if session is not None:
        left = min(max(candidates), session)
    else:
        left = min(*candidates, _longest(expiration, _utc(document.get("LastUpdated"))))
    expires_at = asyncio.get_running_loop().time() + left
    return TemporaryKeys(access_key_id, access_key_secret, security_token, expires_at)


def _longest(expiration: datetime, updated: datetime | None) -> float:
    """Return the duration of a session in seconds, as far as it is known."""
    whole = 0.0 if updated is None else (expiration - updated).total_seconds()
    return min(whole, _LONGEST_SESSION) if whole > 0.0 else _LONGEST_SESSION


def _ended(by_ours: float, by_date: float | None) -> str:
    ours = f"ended {minutes(by_ours)} ago by the clock of this machine"
    if by_date is None:
        return f"{ours}; check that clock"
    theirs = f"and {minutes(by_date)} ago by the Date of the answer"
    if abs(by_ours - by_date) < TOLERATED_SKEW:
        return f"{ours}, {theirs}; both clocks agree: the service returned expired ones"
    return f"{ours}, {theirs}; check both clocks"


def _text(value: Any) -> str:
    # They become parts of headers.
    fits = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    return value if fits else ""


def _utc(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return with_zone(datetime.fromisoformat(text))
    except ValueError:
        return None
