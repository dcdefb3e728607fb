"""Comparison of this machine's clock with the date of a response."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Tolerated difference of clocks in seconds; a service refuses signatures outside of it.
TOLERATED_SKEW: Final = 15 * 60.0


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the ``Date`` of a response; ``None`` if it is missing or malformed.

    It may be that of a proxy instead of the service.
    """
    try:
        return with_zone(parsedate_to_datetime(headers.get("Date", "")))
    except (TypeError, ValueError, OverflowError):
        return None


def with_zone(moment: datetime) -> datetime:
    """Return the time; without a zone it is UTC, as all services mean it."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def minutes(seconds: float) -> str:
    """Format the difference of two clocks, rounded so that a status rarely changes."""
    return f"about {abs(round(seconds / 60.0))} minutes"


def compare(headers: Mapping[str, str]) -> str:
    """Explain which clock seems to be wrong when a service rejects ours.

    Returns:
        What to append to a message; ``""`` if the response has no ``Date``.
    """
    date = date_of(headers)
    if date is None:
        return ""
    ahead = (datetime.now(UTC) - date).total_seconds()
    if abs(ahead) < TOLERATED_SKEW:
        return (
            "; the Date of the answer agrees with this machine's clock, so the request was held up"
            " on its way, the clock of the service is wrong, or a proxy wrote that Date"
        )
    which = "ahead" if ahead > 0.0 else "behind"
    return f"; by the Date of the answer that of this machine is {minutes(ahead)} {which}: set it"
