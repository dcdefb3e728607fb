"""Days and dates for any year, and zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

SECONDS_PER_DAY: Final = 86_400
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = (
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
)  # fmt: skip

#: The Gregorian calendar repeats after 400 years.
_ERA_YEARS: Final = 400
_ERA_DAYS: Final = 146_097
#: Days from the first of March of the year 0 until 1970.
_EPOCH: Final = 719_468
#: 1970-01-01 was a Thursday.
_EPOCH_WEEKDAY: Final = 4
#: Years in which zones are looked up, within what `datetime` can hold.
_FIRST_YEAR, _LAST_YEAR = 2, 9998


def days_of(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01; months and days beyond a year or month are carried on."""
    carried, month = divmod(month - 1, 12)
    # The year begins in March, so that a leap day is its last.
    shifted = (month - 2) % 12
    year += carried - (1 if month < 2 else 0)  # noqa: PLR2004 (January and February)
    era, of_era = divmod(year, _ERA_YEARS)
    days = of_era * 365 + of_era // 4 - of_era // 100 + (153 * shifted + 2) // 5
    return era * _ERA_DAYS + days - _EPOCH + day - 1


def date_of(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01."""
    era, of_era = divmod(days + _EPOCH, _ERA_DAYS)
    years = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * of_year + 2) // 153
    month = (shifted + 2) % 12 + 1
    year = era * _ERA_YEARS + years + (1 if month <= 2 else 0)  # noqa: PLR2004 (as above)
    return year, month, of_year - (153 * shifted + 2) // 5 + 1


def weekday_of(days: int) -> int:
    """Return the day of the week, 0 for Sunday."""
    return (days + _EPOCH_WEEKDAY) % 7


def days_in(year: int, month: int) -> int:
    """Return the number of days of a month."""
    return days_of(year, month + 1, 1) - days_of(year, month, 1)


class Zone(NamedTuple):
    """A time zone.

    Attributes:
        name: As ``Location`` prints it.
        rules: From the time zone database; ``None`` for a fixed offset.
        offset: Seconds east of Greenwich, if there are no rules.
        abbreviation: Likewise; ``""`` is printed as the offset.
    """

    name: str
    rules: ZoneInfo | None = None
    offset: int = 0
    abbreviation: str = ""

    def at(self, seconds: int) -> tuple[str, int]:
        """Return the abbreviation and the offset at a time in seconds since the epoch."""
        if self.rules is None:
            return self.abbreviation, self.offset
        year, month, day = date_of(seconds // SECONDS_PER_DAY)
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            year = _FIRST_YEAR if year < _FIRST_YEAR else _LAST_YEAR - (-year - 2) % _ERA_YEARS
        moment = datetime(year, month, min(day, days_in(year, month)), tzinfo=UTC) + timedelta(
            seconds=seconds % SECONDS_PER_DAY
        )
        local = moment.astimezone(self.rules)
        offset = local.utcoffset() or timedelta()
        return local.tzname() or "", offset.days * SECONDS_PER_DAY + offset.seconds


UTC_ZONE: Final = Zone("UTC", abbreviation="UTC")


def zone_named(name: str) -> Zone | None:
    """Return a zone of the time zone database; ``None`` if there is none of this name."""
    if name in {"", "UTC", "Local"}:
        return UTC_ZONE
    # 1 MiB, only if a template names a zone.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415

    try:
        return Zone(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
