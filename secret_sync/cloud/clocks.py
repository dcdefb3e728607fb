"""The clock of this machine beside that of an answer."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds by which clocks may differ: a service refuses what was signed outside of that.
TOLERATED_SKEW: Final = 15 * 60.0


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Read an answer's ``Date``; ``None`` if it is missing or malformed.

    It need not be the service's: a proxy may have written it.
    """
    try:
        return with_zone(parsedate_to_datetime(headers.get("Date", "")))
    except (TypeError, ValueError, OverflowError):
        return None


def with_zone(moment: datetime) -> datetime:
    """Take a time without a zone as UTC, which is what all services mean."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def minutes(seconds: float) -> str:
    """Tell a difference of two clocks; a status does not take another number for news."""
    return f"about {abs(round(seconds / 60.0))} minutes"


def compare(headers: Mapping[str, str]) -> str:
    """Say which clock seems to be wrong where a service says that ours differs from its own.

    Returns:
        What to append to a message; ``""`` where the answer has no ``Date``.
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
