"""Functions of Sprig on dates and durations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secret_sync.templates.calendars import UTC_ZONE
from secret_sync.templates.date_parsing import NotATimeError, parse_time
from secret_sync.templates.dates import NANOSECONDS, Time, duration_text, required_zone
from secret_sync.templates.durations import parse_duration
from secret_sync.templates.errors import FunctionError
from secret_sync.templates.functions import FunctionTable, Kind
from secret_sync.templates.kinds import described
from secret_sync.templates.values import Int64

if TYPE_CHECKING:
    from secret_sync.templates.calendars import Zone
    from secret_sync.templates.rendering import Rendering

DATES: Final = FunctionTable()

_DATE: Final = b"2006-01-02"
#: Bytes of a layout, and of what is read by it.
_MAX_TEXT: Final = 256
#: An element of one character can be written as a name of nine.
_LONGEST: Final = 9
_UNITS: Final = (
    ("y", 365 * 24 * 3600), ("mo", 30 * 24 * 3600), ("d", 24 * 3600), ("h", 3600), ("m", 60),
    ("s", 1),
)  # fmt: skip


@DATES.function("now")
def _now(rendering: Rendering) -> Time:
    return Time(rendering.now)


@DATES.function("date", Kind.STRING, Kind.ANY)
def _date(rendering: Rendering, layout: bytes, value: Any) -> bytes:
    return _formatted(rendering, layout, _time("date", value), UTC_ZONE)


@DATES.function("dateInZone date_in_zone", Kind.STRING, Kind.ANY, Kind.STRING)
def _date_in_zone(rendering: Rendering, layout: bytes, value: Any, zone: bytes) -> bytes:
    return _formatted(
        rendering, layout, _time("dateInZone", value), required_zone("dateInZone", zone)
    )


@DATES.function("htmlDate", Kind.ANY)
def _html_date(rendering: Rendering, value: Any) -> bytes:
    return _formatted(rendering, _DATE, _time("htmlDate", value), UTC_ZONE)


@DATES.function("htmlDateInZone", Kind.ANY, Kind.STRING)
def _html_date_in_zone(rendering: Rendering, value: Any, zone: bytes) -> bytes:
    return _formatted(
        rendering, _DATE, _time("htmlDateInZone", value), required_zone("htmlDateInZone", zone)
    )


def _formatted(rendering: Rendering, layout: bytes, time: Time, zone: Zone) -> bytes:
    rendering.budget.create(len(layout) * _LONGEST)
    rendering.budget.step(8 + len(layout) // 4)
    return Time(time.seconds, time.nanoseconds, zone).format(layout)


def _time(name: str, value: Any) -> Time:
    """Return a time that is given as one or as seconds since 1970."""
    if isinstance(value, Time):
        return value
    if value.__class__ is int or value.__class__ is Int64:
        return Time(int(value))
    raise FunctionError(
        f"{name} needs a time or seconds since 1970, this is {described(value)}; read a string "
        "with toDate, or convert a number with int64"
    )


@DATES.function("dateModify date_modify mustDateModify must_date_modify", Kind.STRING, Kind.TIME)
def _date_modify(rendering: Rendering, text: bytes, time: Time) -> Time:
    rendering.budget.step(2)
    return time.plus(_duration("dateModify", text))


def _duration(name: str, text: bytes) -> int:
    nanoseconds = parse_duration(text)
    if nanoseconds is None:
        raise FunctionError(f"{name} needs a duration such as 90s, -1.5h or 1h30m")
    return nanoseconds


@DATES.function("toDate mustToDate", Kind.STRING, Kind.STRING)
def _to_date(rendering: Rendering, layout: bytes, text: bytes) -> Time:
    if max(len(layout), len(text)) > _MAX_TEXT:
        raise FunctionError(f"toDate takes a layout and a string of at most {_MAX_TEXT} bytes")
    rendering.budget.step(6 + len(layout))
    try:
        return parse_time(layout, text)
    except NotATimeError as error:
        raise FunctionError(f"toDate cannot read the string by its layout: {error}") from None


@DATES.function("unixEpoch", Kind.TIME)
def _unix_epoch(_: Rendering, time: Time) -> bytes:
    return b"%d" % time.seconds


@DATES.function("ago", Kind.ANY)
def _ago(rendering: Rendering, value: Any) -> bytes:
    past = _time("ago", value).since_epoch
    elapsed = rendering.now * NANOSECONDS - past
    seconds = (abs(elapsed) + NANOSECONDS // 2) // NANOSECONDS
    return duration_text((seconds if elapsed >= 0 else -seconds) * NANOSECONDS)


@DATES.function("duration", Kind.ANY)
def _duration_of(_: Rendering, value: Any) -> bytes:
    if isinstance(value, bytes):
        try:
            seconds = int(value) if value.strip() == value and b"_" not in value else None
        except ValueError:
            seconds = None
        if seconds is None:
            raise FunctionError("duration needs a number of seconds; the string is none")
    elif value.__class__ is Int64:
        seconds = int(value)
    else:
        raise FunctionError(
            f"duration needs a string or an int64, this is {described(value)}; convert it with "
            "int64"
        )
    return duration_text(seconds * NANOSECONDS)


@DATES.function("durationRound", Kind.ANY)
def _duration_round(rendering: Rendering, value: Any) -> bytes:
    if isinstance(value, bytes):
        nanoseconds = _duration("durationRound", value)
    elif isinstance(value, Time):
        nanoseconds = rendering.now * NANOSECONDS - value.since_epoch
    elif value.__class__ is Int64:
        nanoseconds = int(value)
    else:
        raise FunctionError(
            "durationRound needs a duration as a string, an int64 of nanoseconds or a time, this "
            f"is {described(value)}"
        )
    for unit, seconds in _UNITS:
        # A whole unit is written in the next smaller one, as in Sprig.
        if abs(nanoseconds) > seconds * NANOSECONDS:
            return b"%d%b" % (abs(nanoseconds) // (seconds * NANOSECONDS), unit.encode())
    return b"0s"
