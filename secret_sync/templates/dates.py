"""Times, durations, months and days of the week, with their methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from secret_sync.templates.calendars import (
    MONTHS,
    SECONDS_PER_DAY,
    UTC_ZONE,
    WEEKDAYS,
    days_of,
    zone_named,
)
from secret_sync.templates.date_layouts import RFC3339_NANO, formatted, moment_of
from secret_sync.templates.errors import BadValueError, FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.values import Int64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.templates.calendars import (
        Zone,
    )
    from secret_sync.templates.date_layouts import Moment
    from secret_sync.templates.functions import Function
    from secret_sync.templates.rendering import Rendering

NANOSECONDS: Final = 10**9
_INT64: Final = 2**63
#: Years that RFC 3339 can write.
_YEARS: Final = range(10_000)

_DURATION: Final = FunctionTable()
_MONTH: Final = FunctionTable()
_LOCATION: Final = FunctionTable()
_TIME: Final = FunctionTable()


class Duration(int):
    """A number of nanoseconds."""

    __slots__ = ()
    names: ClassVar = ("time.Duration", "int64", "a duration")
    methods: ClassVar[Mapping[str, Function]] = _DURATION.functions

    def __bytes__(self) -> bytes:
        """Return ``1h2m3.5s``."""
        return duration_text(self)


class Month(int):
    """A month, which prints as its name."""

    __slots__ = ()
    names: ClassVar = ("time.Month", "int", "a month")
    methods: ClassVar[Mapping[str, Function]] = _MONTH.functions

    def __bytes__(self) -> bytes:
        return MONTHS[self - 1].encode()


class Weekday(int):
    """A day of the week, 0 for Sunday, which prints as its name."""

    __slots__ = ()
    names: ClassVar = ("time.Weekday", "int", "a day of the week")
    methods: ClassVar[Mapping[str, Function]] = _MONTH.functions

    def __bytes__(self) -> bytes:
        return WEEKDAYS[self].encode()


class Location:
    """A time zone as a value."""

    __slots__ = ("zone",)
    names: ClassVar = ("*time.Location", "ptr", "a time zone")
    methods: ClassVar[Mapping[str, Function]] = _LOCATION.functions

    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def __bytes__(self) -> bytes:
        return self.zone.name.encode()


class Time:
    """A time.

    Attributes:
        seconds: Since 1970-01-01, in UTC.
        nanoseconds: Of the second.
        zone: In which it is printed.
    """

    __slots__ = ("nanoseconds", "seconds", "zone")
    names: ClassVar = ("time.Time", "struct", "a time")
    methods: ClassVar[Mapping[str, Function]] = _TIME.functions

    def __init__(self, seconds: int, nanoseconds: int = 0, zone: Zone = UTC_ZONE) -> None:
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.zone = zone

    def __eq__(self, other: object) -> bool:
        """Compare as ``deepEqual`` does: with the zone."""
        return isinstance(other, Time) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __bytes__(self) -> bytes:
        return self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")

    def _parts(self) -> tuple[int, int, Zone]:
        return self.seconds, self.nanoseconds, self.zone

    @property
    def since_epoch(self) -> int:
        """Nanoseconds since 1970-01-01."""
        return self.seconds * NANOSECONDS + self.nanoseconds

    def moment(self) -> Moment:
        """Return the fields in the zone."""
        return moment_of(self.seconds, self.nanoseconds, self.zone)

    def format(self, layout: bytes) -> bytes:
        """Return the time as a layout of Go says."""
        return formatted(layout, self.moment())

    def plus(self, nanoseconds: int) -> Time:
        """Return the time so much later."""
        return Time(*divmod(self.since_epoch + nanoseconds, NANOSECONDS), self.zone)

    def json_text(self) -> bytes:
        """Return what JSON has for it, without quotes."""
        moment = self.moment()
        if moment.year not in _YEARS or abs(moment.offset) >= SECONDS_PER_DAY:
            raise BadValueError("JSON has no time before the year 0, after 9999, or so far away")
        return self.format(RFC3339_NANO)


def duration_text(nanoseconds: int) -> bytes:
    """Return a duration as Go prints it: ``1h2m3.5s``, ``1.5ms``."""
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest == 0:
        return b"0s"
    if rest < NANOSECONDS:
        unit, places = ("ns", 0) if rest < 10**3 else ("µs", 3) if rest < 10**6 else ("ms", 6)
        return f"{sign}{_decimal(rest, places)}{unit}".encode()
    minutes, rest = divmod(rest, 60 * NANOSECONDS)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(rest, 9)}s".encode()


def _decimal(number: int, places: int) -> str:
    whole, fraction = divmod(number, 10**places)
    digits = f"{fraction:0{places}d}".rstrip("0") if places else ""
    return f"{whole}.{digits}" if digits else str(whole)


def date_time(year: int, month: int, day: int, of_day: int, nanoseconds: int, zone: Zone) -> Time:
    """Return the time of a date and seconds of the day in a zone, as Go's ``time.Date`` does."""
    local = days_of(year, month, day) * SECONDS_PER_DAY + of_day
    offset = zone.at(local)[1]
    if offset:
        # That was the offset at the local time read as UTC; a change may be in between.
        offset = zone.at(local - offset)[1]
    return Time(local - offset, nanoseconds, zone)


def _nanoseconds(name: str, value: Any) -> int:
    """Return a duration that is given as one or as a number of nanoseconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise FunctionError(
        f"{name} needs a duration or nanoseconds, this is {described(value)}; for a duration as a "
        "string use dateModify"
    )


@_DURATION.function("Hours")
def _hours(_: Rendering, duration: Duration) -> float:
    return duration / (3600 * NANOSECONDS)


@_DURATION.function("Minutes")
def _minutes(_: Rendering, duration: Duration) -> float:
    return duration / (60 * NANOSECONDS)


@_DURATION.function("Seconds")
def _seconds(_: Rendering, duration: Duration) -> float:
    return duration / NANOSECONDS


@_DURATION.function("Milliseconds")
def _milliseconds(_: Rendering, duration: Duration) -> Int64:
    return Int64(int(duration / 10**6))


@_DURATION.function("Nanoseconds")
def _all_nanoseconds(_: Rendering, duration: Duration) -> Int64:
    return Int64(duration)


@_TIME.function("String")
@_LOCATION.function("String")
@_MONTH.function("String")
@_DURATION.function("String")
def _string(rendering: Rendering, value: Any) -> bytes:
    text = bytes(value)
    rendering.budget.create(len(text))
    return text


@_TIME.function("Year")
def _year(_: Rendering, time: Time) -> int:
    return time.moment().year


@_TIME.function("Month")
def _month(_: Rendering, time: Time) -> Month:
    return Month(time.moment().month)


@_TIME.function("Day")
def _day(_: Rendering, time: Time) -> int:
    return time.moment().day


@_TIME.function("Hour")
def _hour(_: Rendering, time: Time) -> int:
    return time.moment().hour


@_TIME.function("Minute")
def _minute(_: Rendering, time: Time) -> int:
    return time.moment().minute


@_TIME.function("Second")
def _second(_: Rendering, time: Time) -> int:
    return time.moment().second


@_TIME.function("Nanosecond")
def _nanosecond(_: Rendering, time: Time) -> int:
    return time.nanoseconds


@_TIME.function("Weekday")
def _weekday(_: Rendering, time: Time) -> Weekday:
    return Weekday(time.moment().weekday)


@_TIME.function("YearDay")
def _yearday(_: Rendering, time: Time) -> int:
    return time.moment().yearday


@_TIME.function("Unix")
def _unix(_: Rendering, time: Time) -> Int64:
    return Int64(time.seconds)


@_TIME.function("UnixMilli")
def _unix_milli(_: Rendering, time: Time) -> Int64:
    return Int64(time.since_epoch // 10**6)


@_TIME.function("UnixNano")
def _unix_nano(_: Rendering, time: Time) -> Int64:
    return Int64(time.since_epoch)


@_TIME.function("Format", Kind.STRING)
def _format(rendering: Rendering, time: Time, layout: bytes) -> bytes:
    rendering.budget.create(len(layout) * 9)
    rendering.budget.step(8 + len(layout) // 4)
    return time.format(layout)


@_TIME.function("Add", Kind.ANY)
def _add(_: Rendering, time: Time, duration: Any) -> Time:
    return time.plus(_nanoseconds("Add", duration))


@_TIME.function("AddDate", Kind.INT, Kind.INT, Kind.INT)
def _add_date(rendering: Rendering, time: Time, years: int, months: int, days: int) -> Time:
    rendering.budget.step(8)
    at = time.moment()
    of_day = (at.hour * 60 + at.minute) * 60 + at.second
    return date_time(
        at.year + years, at.month + months, at.day + days, of_day, at.nanosecond, time.zone
    )


@_TIME.function("Sub", Kind.TIME)
def _sub(_: Rendering, time: Time, other: Time) -> Duration:
    return Duration(max(-_INT64, min(time.since_epoch - other.since_epoch, _INT64 - 1)))


@_TIME.function("Before", Kind.TIME)
def _before(_: Rendering, time: Time, other: Time) -> bool:
    return time.since_epoch < other.since_epoch


@_TIME.function("After", Kind.TIME)
def _after(_: Rendering, time: Time, other: Time) -> bool:
    return time.since_epoch > other.since_epoch


@_TIME.function("Equal", Kind.TIME)
def _equal(_: Rendering, time: Time, other: Time) -> bool:
    return time.since_epoch == other.since_epoch


@_TIME.function("Compare", Kind.TIME)
def _compare(_: Rendering, time: Time, other: Time) -> int:
    return (time.since_epoch > other.since_epoch) - (time.since_epoch < other.since_epoch)


@_TIME.function("IsZero")
def _is_zero(_: Rendering, time: Time) -> bool:
    return time.since_epoch == days_of(1, 1, 1) * SECONDS_PER_DAY * NANOSECONDS


@_TIME.function("UTC Local")
def _utc(_: Rendering, time: Time) -> Time:
    return Time(time.seconds, time.nanoseconds)


@_TIME.function("Location")
def _location(_: Rendering, time: Time) -> Location:
    return Location(time.zone)


@_TIME.function("In", Kind.ANY)
def _in(_: Rendering, time: Time, zone: Any) -> Time:
    if isinstance(zone, bytes):
        return Time(time.seconds, time.nanoseconds, required_zone("In", zone))
    if not isinstance(zone, Location):
        raise FunctionError(f"In needs the name of a time zone, this is {described(zone)}")
    return Time(time.seconds, time.nanoseconds, zone.zone)


def required_zone(name: str, zone: bytes) -> Zone:
    """Return the zone of this name.

    Raises:
        FunctionError: There is none.
    """
    found = zone_named(zone.decode("ascii", "replace"))
    if found is None:
        raise FunctionError(f"{name} needs a time zone by its name, such as Asia/Shanghai or UTC")
    return found
