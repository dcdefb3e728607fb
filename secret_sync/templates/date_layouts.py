"""Layouts of dates, such as ``2006-01-02``, and times written by them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.templates.calendars import (
    MONTHS,
    SECONDS_PER_DAY,
    WEEKDAYS,
    date_of,
    days_of,
    weekday_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from secret_sync.templates.calendars import Zone

RFC3339_NANO: Final = b"2006-01-02T15:04:05.999999999Z07:00"

#: A part of a layout that stands for a part of a time.
_ELEMENT: Final = re.compile(
    rb"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|15|1|2006|2|__2|_2(?!006)|3|4|5"
    rb"|PM|pm|-070000|-07:00:00|-0700|-07:00|-07|Z070000|Z07:00:00|Z0700|Z07:00|Z07"
    rb"|[.,](?:0+|9+)(?![0-9])"
)


class Moment(NamedTuple):
    """The fields of a time in its zone."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    weekday: int
    yearday: int
    zone: str
    offset: int


def moment_of(seconds: int, nanoseconds: int, zone: Zone) -> Moment:
    """Return the fields of a time in its zone."""
    name, offset = zone.at(seconds)
    days, of_day = divmod(seconds + offset, SECONDS_PER_DAY)
    year, month, day = date_of(days)
    minutes, second = divmod(of_day, 60)
    hour, minute = divmod(minutes, 60)
    return Moment(
        year,
        month,
        day,
        hour,
        minute,
        second,
        nanoseconds,
        weekday_of(days),
        days - days_of(year, 1, 1) + 1,
        name,
        offset,
    )


@lru_cache(maxsize=64)
def elements_of(layout: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return pairs of literal text and the element after it; the last element is empty."""
    pairs = []
    end = 0
    for element in _ELEMENT.finditer(layout):
        pairs.append((layout[end : element.start()], element[0]))
        end = element.end()
    return (*pairs, (layout[end:], b""))


def formatted(layout: bytes, moment: Moment) -> bytes:
    """Return the time as the layout says."""
    return b"".join(
        [
            literal + (_written(element, moment).encode() if element else b"")
            for literal, element in elements_of(layout)
        ]
    )


def _written(element: bytes, moment: Moment) -> str:
    simple = _SIMPLE.get(element)
    if simple is not None:
        return simple(moment)
    if element[0] in b".,":
        digits = f"{moment.nanosecond:09d}"[: len(element) - 1]
        if element[1:2] == b"9":
            digits = digits.rstrip("0")
        return chr(element[0]) + digits if digits else ""
    if element.startswith(b"Z") and moment.offset == 0:
        return "Z"
    return offset_text(moment.offset, element.decode())


def offset_text(offset: int, element: str = "-0700") -> str:
    """Return an offset as an element such as ``-07:00`` has it."""
    # Go rounds the minutes of a negative offset towards zero.
    hours, minutes = divmod(abs(offset) // 60, 60)
    text = ("-" if -offset >= 60 else "+") + f"{hours:02d}"  # noqa: PLR2004 (a minute)
    colon = ":" if ":" in element else ""
    if len(element) > len("-07"):
        text += f"{colon}{minutes:02d}"
    if len(element) > len("-07:00"):
        text += f"{colon}{abs(offset) % 60:02d}"
    return text


def year_text(year: int) -> str:
    """Return a year with at least four digits."""
    return f"-{-year:04d}" if year < 0 else f"{year:04d}"


def _hour12(moment: Moment) -> int:
    return moment.hour % 12 or 12


_SIMPLE: Final[dict[bytes, Callable[[Moment], str]]] = {
    b"2006": lambda moment: year_text(moment.year),
    b"06": lambda moment: f"{abs(moment.year) % 100:02d}",
    b"January": lambda moment: MONTHS[moment.month - 1],
    b"Jan": lambda moment: MONTHS[moment.month - 1][:3],
    b"1": lambda moment: str(moment.month),
    b"01": lambda moment: f"{moment.month:02d}",
    b"Monday": lambda moment: WEEKDAYS[moment.weekday],
    b"Mon": lambda moment: WEEKDAYS[moment.weekday][:3],
    b"2": lambda moment: str(moment.day),
    b"_2": lambda moment: f"{moment.day:2d}",
    b"02": lambda moment: f"{moment.day:02d}",
    b"__2": lambda moment: f"{moment.yearday:3d}",
    b"002": lambda moment: f"{moment.yearday:03d}",
    b"15": lambda moment: f"{moment.hour:02d}",
    b"3": lambda moment: str(_hour12(moment)),
    b"03": lambda moment: f"{_hour12(moment):02d}",
    b"4": lambda moment: str(moment.minute),
    b"04": lambda moment: f"{moment.minute:02d}",
    b"5": lambda moment: str(moment.second),
    b"05": lambda moment: f"{moment.second:02d}",
    b"PM": lambda moment: "PM" if moment.hour >= 12 else "AM",  # noqa: PLR2004 (noon)
    b"pm": lambda moment: "pm" if moment.hour >= 12 else "am",  # noqa: PLR2004 (noon)
    b"MST": lambda moment: moment.zone or offset_text(moment.offset),
}
