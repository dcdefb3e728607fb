"""Times read by a layout, as Go's ``time.ParseInLocation`` does in UTC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from secret_sync.templates.calendars import MONTHS, UTC_ZONE, WEEKDAYS, Zone, days_in, days_of
from secret_sync.templates.date_layouts import elements_of
from secret_sync.templates.dates import Time, date_time

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGITS: Final = re.compile(rb"[0-9]+")
_SPACES: Final = re.compile(rb" *")
_FRACTION: Final = re.compile(rb"[.,]([0-9]+)")
_ZONE_NAME: Final = re.compile(
    rb"ChST|MeST|GMT(?:[+-]0*(?:2[0-3]|1?[0-9])(?![0-9]))?|[+-]0*(?:2[0-3]|1?[0-9])(?![0-9])"
    rb"|(?:[A-Z]{4}T|[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z])"
)
#: From this two-digit year on it is the last century.
_CENTURY: Final = 69


class NotATimeError(Exception):
    """A text does not match its layout; the message has nothing of the text."""


def parse_time(layout: bytes, text: bytes) -> Time:
    """Return the time that a text is by a layout.

    Raises:
        NotATimeError: The text does not match the layout, or there is no such time.
    """
    return _DateReader(text).parse(layout)


def _fail(what: str) -> NoReturn:
    raise NotATimeError(what)


class _DateReader:
    """Reads one text.

    What the text does not have is zero, or the first of January.
    """

    def __init__(self, text: bytes) -> None:
        self._rest = text
        self._year = 0
        self._month = -1
        self._day = -1
        self._yearday = -1
        self._hour = 0
        self._minute = 0
        self._second = 0
        self._nanosecond = 0
        self._afternoon: bool | None = None
        self._zone: Zone | None = None
        self._offset: int | None = None
        self._zone_name = ""

    def parse(self, layout: bytes) -> Time:
        """Read the whole text."""
        elements = elements_of(layout)
        for index, (literal, element) in enumerate(elements):
            self._skip(literal)
            if element:
                self._read(element)
                if element in {b"5", b"05"}:
                    self._extra_fraction(elements[index + 1][1])
        if self._rest:
            _fail("it is longer than the layout")
        return self._time()

    def _skip(self, literal: bytes) -> None:
        """Pass literal text, in which any number of spaces equals any other."""
        position = 0
        while position < len(literal):
            if literal[position] == ord(" "):
                if self._rest and not self._rest.startswith(b" "):
                    _fail("it differs from the layout")
                position = _end(_SPACES, literal, position)
                self._rest = self._rest.lstrip(b" ")
            elif self._rest[:1] == literal[position : position + 1]:
                position += 1
                self._rest = self._rest[1:]
            else:
                _fail("it differs from the layout")

    def _read(self, element: bytes) -> None:
        reader = _READERS.get(element)
        if reader is not None:
            reader(self)
        elif element[0] in b".,":
            self._fraction(len(element) if element[1:2] == b"0" else 0)
        else:
            self._numeric_zone(element)

    def _take(self, length: int) -> bytes:
        taken, self._rest = self._rest[:length], self._rest[length:]
        if len(taken) < length:
            _fail("it is shorter than the layout")
        return taken

    def _number(self, longest: int, *, fixed: bool = False) -> int:
        match = _DIGITS.match(self._rest[:longest])
        if match is None or (fixed and match.end() != longest):
            _fail("it lacks a number that the layout has")
        self._rest = self._rest[match.end() :]
        return int(match[0])

    def _name(self, names: tuple[str, ...]) -> int:
        for number, name in enumerate(names):
            if self._rest[: len(name)].lower() == name.lower().encode():
                self._rest = self._rest[len(name) :]
                return number
        _fail("it has no name of a month or day where the layout has one")

    def _in_range(self, number: int, allowed: range) -> int:
        if number not in allowed:
            _fail("a number of it is out of range")
        return number

    def long_year(self) -> None:
        digits = self._take(4)
        if _DIGITS.fullmatch(digits) is None:
            _fail("it lacks a year of four digits")
        self._year = int(digits)

    def short_year(self) -> None:
        digits = self._take(2)
        if _DIGITS.fullmatch(digits) is None:
            _fail("it lacks a year of two digits")
        self._year = int(digits) + (1900 if int(digits) >= _CENTURY else 2000)

    def long_month(self) -> None:
        self._month = self._name(MONTHS) + 1

    def short_month(self) -> None:
        self._month = self._name(tuple(name[:3] for name in MONTHS)) + 1

    def numeric_month(self, *, fixed: bool) -> None:
        self._month = self._in_range(self._number(2, fixed=fixed), range(1, 13))

    def weekday(self, length: int | None) -> None:
        self._name(tuple(name[:length] for name in WEEKDAYS))

    def date(self, *, fixed: bool, padded: bool = False) -> None:
        if padded:
            self._rest = self._rest.removeprefix(b" ")
        self._day = self._number(2, fixed=fixed)

    def day_of_year(self, *, fixed: bool) -> None:
        if not fixed:
            self._rest = self._rest.removeprefix(b" ").removeprefix(b" ")
        self._yearday = self._number(3, fixed=fixed)

    def hour24(self) -> None:
        self._hour = self._in_range(self._number(2), range(24))

    def hour12(self, *, fixed: bool) -> None:
        self._hour = self._in_range(self._number(2, fixed=fixed), range(13))

    def minutes(self, *, fixed: bool) -> None:
        self._minute = self._in_range(self._number(2, fixed=fixed), range(60))

    def seconds(self, *, fixed: bool) -> None:
        self._second = self._in_range(self._number(2, fixed=fixed), range(60))

    def half(self, morning: bytes, afternoon: bytes) -> None:
        half = self._take(2)
        if half not in (morning, afternoon):
            _fail("it lacks AM or PM")
        self._afternoon = half == afternoon

    def _extra_fraction(self, following: bytes) -> None:
        """Read a fraction of a second that only the text has."""
        if following[:1] not in {b".", b","} and _FRACTION.match(self._rest):
            self._fraction(0)

    def _fraction(self, length: int) -> None:
        """Read a fraction of this length, or of any if it is 0."""
        match = _FRACTION.match(self._rest[:length] if length else self._rest)
        if match is None or (length and match.end() != length):
            if length:
                _fail("it lacks a fraction of a second")
            return
        self._rest = self._rest[match.end() :]
        self._nanosecond = int(match[1][:9].ljust(9, b"0"))

    def _numeric_zone(self, element: bytes) -> None:
        if element.startswith(b"Z") and self._rest.startswith(b"Z"):
            self._rest = self._rest[1:]
            self._zone = UTC_ZONE
            return
        text = self._take(len(element))
        pattern = rb"[+-]" + re.sub(rb"[0-9]{2}", rb"([0-9]{2})", element[1:])
        match = re.fullmatch(pattern, text)
        if match is None:
            _fail("it lacks the offset of a zone")
        numbers = [int(digits) for digits in match.groups()]
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        self._in_range(hours, range(25))
        self._in_range(minutes, range(61))
        self._in_range(seconds, range(61))
        offset = (hours * 60 + minutes) * 60 + seconds
        self._offset = -offset if text.startswith(b"-") else offset

    def named_zone(self) -> None:
        if self._rest.startswith(b"UTC"):
            self._rest = self._rest[3:]
            self._zone = UTC_ZONE
            return
        match = _ZONE_NAME.match(self._rest)
        if match is None or len(self._rest) < len("UTC"):
            _fail("it lacks the name of a zone")
        self._rest = self._rest[match.end() :]
        self._zone_name = match[0].decode()

    def _time(self) -> Time:
        month, day = self._month_and_day()
        hour = self._hour
        if self._afternoon and hour < 12:  # noqa: PLR2004 (noon)
            hour += 12
        elif self._afternoon is False and hour == 12:  # noqa: PLR2004 (midnight)
            hour = 0
        of_day = (hour * 60 + self._minute) * 60 + self._second
        time = date_time(self._year, month, day, of_day, self._nanosecond, UTC_ZONE)
        if self._zone is not None:
            return time
        name, offset = self._zone_name, self._offset
        if offset is not None:
            if offset == 0 and name in {"", "UTC"}:
                return time
            return Time(time.seconds - offset, time.nanoseconds, Zone(name, None, offset, name))
        if not name:
            return time
        # As in Go: the time is the one in UTC, and only printed in that zone.
        offset = int(name[3:]) * 3600 if name.startswith("GMT") and len(name) > len("GMT") else 0
        return Time(time.seconds, time.nanoseconds, Zone(name, None, offset, name))

    def _month_and_day(self) -> tuple[int, int]:
        if self._yearday < 0:
            month, day = max(self._month, 1), 1 if self._day < 0 else self._day
            if not 1 <= day <= days_in(self._year, month):
                _fail("its month has no such day")
            return month, day
        month, day = 1, self._yearday
        if not 1 <= day <= days_of(self._year + 1, 1, 1) - days_of(self._year, 1, 1):
            _fail("its year has no such day")
        while day > days_in(self._year, month):
            day -= days_in(self._year, month)
            month += 1
        if self._month not in {-1, month} or self._day not in {-1, day}:
            _fail("its day of the year does not match the date")
        return month, day


def _end(pattern: re.Pattern[bytes], text: bytes, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


_READERS: Final[dict[bytes, Callable[[_DateReader], None]]] = {
    b"2006": _DateReader.long_year,
    b"06": _DateReader.short_year,
    b"January": _DateReader.long_month,
    b"Jan": _DateReader.short_month,
    b"1": lambda parser: parser.numeric_month(fixed=False),
    b"01": lambda parser: parser.numeric_month(fixed=True),
    b"Monday": lambda parser: parser.weekday(None),
    b"Mon": lambda parser: parser.weekday(3),
    b"2": lambda parser: parser.date(fixed=False),
    b"_2": lambda parser: parser.date(fixed=False, padded=True),
    b"02": lambda parser: parser.date(fixed=True),
    b"__2": lambda parser: parser.day_of_year(fixed=False),
    b"002": lambda parser: parser.day_of_year(fixed=True),
    b"15": _DateReader.hour24,
    b"3": lambda parser: parser.hour12(fixed=False),
    b"03": lambda parser: parser.hour12(fixed=True),
    b"4": lambda parser: parser.minutes(fixed=False),
    b"04": lambda parser: parser.minutes(fixed=True),
    b"5": lambda parser: parser.seconds(fixed=False),
    b"05": lambda parser: parser.seconds(fixed=True),
    b"PM": lambda parser: parser.half(b"AM", b"PM"),
    b"pm": lambda parser: parser.half(b"am", b"pm"),
    b"MST": _DateReader.named_zone,
}
