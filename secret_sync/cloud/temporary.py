"""Temporary credentials as STS and the metadata service write them down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, repr=False)
class TemporaryKeys:
    """What both services give out. Nothing of it is ever shown.

    Attributes:
        access_key_id: The public half of the pair.
        access_key_secret: The private half.
        security_token: What goes with the pair.
        expires_at: When they cease to be valid, on the running loop's clock.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str
    expires_at: float

    def __repr__(self) -> str:
        return "<temporary keys>"


def read_keys(document: Any, headers: Mapping[str, str]) -> TemporaryKeys | None:
    """Read an answer's ``AccessKeyId, AccessKeySecret, SecurityToken, Expiration``.

    Called as soon as the answer has come. The lifetime is measured against the answer's own
    ``Date``, since the clock of this machine may be off; against that clock where there is none.

    Args:
        document: What was decoded of the answer.
        headers: The answer's, by case-insensitive name.

    Returns:
        ``None`` if one of the four is missing or cannot be one.
    """
    if not isinstance(document, dict):
        return None
    access_key_id = _text(document.get("AccessKeyId"))
    access_key_secret = _text(document.get("AccessKeySecret"))
    security_token = _text(document.get("SecurityToken"))
    expiration = _utc(document.get("Expiration"))
    if not (access_key_id and access_key_secret and security_token) or expiration is None:
        return None
    answered = _date(headers.get("Date")) or datetime.now(UTC)
    left = (expiration - answered).total_seconds()
    expires_at = asyncio.get_running_loop().time() + left
    return TemporaryKeys(access_key_id, access_key_secret, security_token, expires_at)


def _text(value: Any) -> str:
    # They become parts of headers.
    fits = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    return value if fits else ""


def _utc(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError:
        return None


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return _aware(parsedate_to_datetime(text))
    except (TypeError, ValueError, OverflowError):
        return None


def _aware(moment: datetime) -> datetime:
    # Without a zone it is UTC, which is what both services speak.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
