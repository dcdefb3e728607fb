"""Draws panels of a dashboard, with what Prometheus answered, as one SVG.

It is Grafana's look without Grafana: each panel at its place, its lines, its axis in its unit.
Nothing is smoothed or filled in: where Prometheus has no number, a line is interrupted.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.monitoring.points import thinned, unbroken
from tests.monitoring.scales import axis_for, written
from tests.monitoring.svg import LETTER, SIZE, Box, cut, plain, tag, text_at, wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.monitoring.scales import Axis

#: Kinds of panels that show the last number and no course.
NUMBERS: Final = frozenset({"stat", "gauge", "bargauge"})

COLUMNS: Final = 24
COLUMN, ROW, GAP, HEAD = 45, 32, 6, 44
FONT: Final = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, sans-serif"
BACKGROUND, SURFACE, FRAME, GRID = "#111217", "#181b1f", "#2c3038", "#2a2e36"
TEXT, MUTED, GOOD = "#dfe0e8", "#a9abb8", "#73bf69"
COLOURS: Final = (
    *("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9"),
    *("#8ae0d4", "#ffa6b0", "#c0d8ff", "#c8c46a", "#a16a3c", "#e0e0e0"),
)
BANDS: Final = ("#ff9830", "#f2495c", "#5794f2", "#b877d9")
LEGEND_ROWS, LEGEND_HEIGHT, NAME = 3, 18, 36
#: Pixels by which a line may be off where points are omitted.
TOLERANCE: Final = 0.4


@dataclass(frozen=True)
class Series:
    """A line: seconds since the picture begins, and the value then."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        place: Column, row, width and height in the grid of the dashboard.
        unit: As Grafana names it.
        least: Where the axis begins, unless there is something below.
        by_name: Instead of a number its name is what is to be read.
    """

    title: str
    kind: str
    place: tuple[int, int, int, int]
    unit: str
    least: float | None
    by_name: bool
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Band:
    """A time in which something happened, shown in every panel with a course."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True)
class Picture:
    """All that is drawn.

    Attributes:
        seconds: How long it is.
        step: Seconds from one point to the next; where more are between, there is a gap.
    """

    title: str
    subtitle: str
    seconds: float
    step: float
    panels: tuple[Panel, ...]
    bands: tuple[Band, ...] = ()


def draw(picture: Picture) -> str:
    """The text of an SVG file."""
    width = COLUMNS * COLUMN + GAP
    rows = max((panel.place[1] + panel.place[3] for panel in picture.panels), default=0)
    height = HEAD + rows * ROW + GAP
    return (
        tag(
            "svg",
            tag("title", html.escape(picture.title)),
            tag("rect", width=width, height=height, fill=BACKGROUND),
            *_head(picture, width),
            # A line each, so that a version's differences are those of panels.
            *(f"\n{_panel(panel, picture)}" for panel in picture.panels),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width} {height}",
            width=width,
            height=height,
            font_family=FONT,
            font_size=SIZE,
            fill=TEXT,
        )
        + "\n"
    )


def _head(picture: Picture, width: float) -> list[str]:
    """The dashboard's title, and what the bands mean."""
    parts = [
        text_at(picture.title, 12, 28, font_size=17, font_weight="600"),
        text_at(picture.subtitle, 24 + wide(picture.title, 17), 28, fill=MUTED),
    ]
    right = width - 12.0
    for colour, name in reversed(list(zip(BANDS, _names(picture.bands), strict=False))):
        right -= wide(name)
        parts.append(text_at(name, right, 28))
        parts.append(
            tag("rect", x=right - 20, y=18, width=14, height=12, fill=colour, opacity="0.5")
        )
        right -= 36
    return parts


def _names(bands: Sequence[Band]) -> list[str]:
    return list(dict.fromkeys(band.name for band in bands))


def _panel(panel: Panel, picture: Picture) -> str:
    column, row, width, height = panel.place
    box = Box(
        column * COLUMN + GAP, HEAD + row * ROW, width * COLUMN - GAP, height * ROW - GAP
    )  # fmt: skip
    body = [
        tag("title", html.escape(panel.title)),
        tag(
            "rect",
            x=box.left,
            y=box.top,
            width=box.width,
            height=box.height,
            rx=3,
            fill=SURFACE,
            stroke=FRAME,
        ),
    ]
    lines = _wrapped(panel.title, box.width - 20)
    for number, line in enumerate(lines):
        body.append(
            text_at(
                line, box.left + 10, box.top + 20 + 16 * number, font_weight="600", font_size=13
            )
        )
    below = box.top + 20 + 16 * (len(lines) - 1)
    if panel.kind == "row":
        pass
    elif not any(math.isfinite(value) for one in panel.series for _, value in one.points):
        middle = box.left + box.width / 2, (below + box.bottom) / 2 + 6
        body.append(text_at("No data", *middle, text_anchor="middle", fill=MUTED, font_size=14))
    elif panel.kind in NUMBERS:
        body += _numbers(panel, Box(box.left, below, box.width, box.bottom - below))
    else:
        body += _course(panel, picture, Box(box.left, below, box.width, box.bottom - below))
    return tag("g", *body, class_="panel")


def _wrapped(text: str, width: float) -> list[str]:
    """In two lines where it is too long for one."""
    if wide(text, 13) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if wide(longer, 13) <= width or not lines[-1] or len(lines) == 2:
            lines[-1] = longer
        else:
            lines.append(word)
    return [cut(line, int(width / 13 / LETTER)) for line in lines]


def _numbers(panel: Panel, box: Box) -> list[str]:
    """The last number of each series, as great as it fits."""
    shown = [
        (one.name, one.name if panel.by_name else written(finite[-1], panel.unit))
        for one in panel.series
        if (finite := [value for _, value in one.points if math.isfinite(value)])
    ]
    each = box.width / len(shown)
    size = min(34.0, *((each - 14) / LETTER / max(1, len(text)) for _, text in shown))
    named = len(shown) > 1 and not panel.by_name
    parts = []
    for number, (name, text) in enumerate(shown):
        x, y = box.left + each * (number + 0.5), (box.top + box.bottom) / 2 + size * 0.36
        if named:
            parts.append(text_at(name, x, y - size, text_anchor="middle", fill=MUTED))
            y += 8
        parts.append(
            text_at(text, x, y, text_anchor="middle", font_size=size, font_weight="600", fill=GOOD)
        )
    return parts


def _course(panel: Panel, picture: Picture, box: Box) -> list[str]:
    """Lines over time, their axes and their legend."""
    values = [value for one in panel.series for _, value in one.points if math.isfinite(value)]
    axis = axis_for(values, panel.unit, panel.least)
    series, legend = _keyed(panel.series, box)
    margin = 16 + max(map(wide, axis.labels))
    plot = Box(
        box.left + margin,
        box.top + 16,
        box.width - margin - 16,
        box.height - 16 - 24 - LEGEND_HEIGHT * len(legend) - 6,
    )
    parts = _bands(picture, plot) + _upright(axis, plot) + _level(picture.seconds, plot)
    lines = []
    for number, one in enumerate(series):
        drawn = _line(one, picture, axis, plot)
        if drawn:
            dashes = {} if number < len(COLOURS) else {"stroke_dasharray": "5 3"}
            lines.append(
                tag(
                    "path",
                    tag("title", html.escape(one.name)),
                    d=drawn,
                    stroke=COLOURS[number % len(COLOURS)],
                    **dashes,
                )
            )
    pen = {"stroke_linejoin": "round", "stroke_linecap": "round"}
    # The first of the legend is drawn last, so that nothing hides it.
    parts.append(tag("g", *reversed(lines), fill="none", stroke_width=1.7, **pen))
    return parts + _named(legend, box)


def _named(legend: Sequence[Sequence[tuple[float, str, str]]], box: Box) -> list[str]:
    parts = []
    for number, row in enumerate(legend):
        y = box.bottom - 10 - LEGEND_HEIGHT * (len(legend) - 1 - number)
        for x, name, colour in row:
            if colour:
                parts.append(tag("rect", x=x, y=y - 6, width=14, height=4, rx=2, fill=colour))
            parts.append(
                text_at(name, x + (19 if colour else 0), y, fill=TEXT if colour else MUTED)
            )
    return parts


def _bands(picture: Picture, plot: Box) -> list[str]:
    colours = dict(zip(_names(picture.bands), BANDS, strict=False))
    return [
        tag(
            "rect",
            x=plot.left + plot.width * band.begin / picture.seconds,
            y=plot.top,
            width=plot.width * (band.end - band.begin) / picture.seconds,
            height=plot.height,
            fill=colours.get(band.name, BANDS[-1]),
            opacity="0.16",
        )
        for band in picture.bands
    ]


def _upright(axis: Axis, plot: Box) -> list[str]:
    """The axis of values, with a line across the panel at each tick."""
    parts = []
    for value, label in zip(axis.ticks, axis.labels, strict=True):
        y = plot.bottom - plot.height * axis.share(value)
        parts.append(tag("path", d=f"M{plain(plot.left)} {plain(y)}h{plain(plot.width)}",
                         stroke=GRID))  # fmt: skip
        parts.append(text_at(label, plot.left - 7, y + 4, text_anchor="end", fill=MUTED))
    return parts


def _level(seconds: float, plot: Box) -> list[str]:
    """The axis of time, in minutes."""
    minutes = seconds / 60
    step = next(
        (s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10) if plot.width * s / minutes >= 44), 30
    )  # fmt: skip
    parts = []
    for number in range(int(minutes / step + 1e-9) + 1):
        at = number * step
        x = plot.left + plot.width * at / minutes
        label = f"{at:g} min" if number == 0 else f"{at:g}"
        parts.append(tag("path", d=f"M{plain(x)} {plain(plot.top)}v{plain(plot.height)}",
                         stroke=GRID, opacity="0.6"))  # fmt: skip
        parts.append(text_at(label, x, plot.bottom + 17, text_anchor="middle", fill=MUTED))
    return parts


def _line(series: Series, picture: Picture, axis: Axis, plot: Box) -> str:
    """What a pen does: it is put down again after each gap."""
    strokes = []
    for part in unbroken(series.points, picture.step):
        pixels = [
            (
                plot.left + plot.width * at / picture.seconds,
                plot.bottom - plot.height * axis.share(value),
            )
            for at, value in part
        ]
        kept = thinned(pixels, TOLERANCE)
        # A point alone is a dot: the ends of a line are round.
        rest = " ".join(f"{plain(x)} {plain(y)}" for x, y in kept[1:]) or "h0"
        start = f"M{plain(kept[0][0])} {plain(kept[0][1])}"
        strokes.append(f"{start}{rest}" if rest == "h0" else f"{start}L{rest}")
    return "".join(strokes)


def _keyed(
    series: Sequence[Series], box: Box
) -> tuple[list[Series], list[list[tuple[float, str, str]]]]:
    """The series as they are coloured, and the legend.

    Where there is no room for all names, those that rise highest are named.
    """
    ordered = list(series)
    legend, reported = _legend([one.name for one in ordered], box, "")
    if reported < len(ordered):
        ordered.sort(key=_peak, reverse=True)
        _, reported = _legend([one.name for one in ordered], box, "and 99 more")
        flat = not any(map(_peak, ordered[reported:]))
        more = f"and {len(ordered) - reported} {'at 0' if flat else 'more'}"
        legend, _ = _legend([one.name for one in ordered], box, more)
    return ordered, legend


def _peak(one: Series) -> float:
    return max((abs(value) for _, value in one.points if math.isfinite(value)), default=0.0)


def _legend(
    names: Sequence[str], box: Box, more: str
) -> tuple[list[list[tuple[float, str, str]]], int]:
    """Rows of names: where each begins, what it says, its colour; and how many names these are.

    Args:
        names: In their order.
        box: The panel.
        more: What stands at the end if these are not all.
    """
    begin, end = box.left + 12, box.right - 8
    rows: list[list[tuple[float, str, str]]] = [[]]
    x = begin
    for number, name in enumerate(names):
        short = cut(name, NAME)
        long = 19 + wide(short)
        room = wide(more) + 14 if more and len(rows) == LEGEND_ROWS else 0
        if x + long + room > end and rows[-1]:
            if len(rows) == LEGEND_ROWS:
                if more:
                    rows[-1].append((x, more, ""))
                return rows, number
            rows.append([])
            x = begin
        rows[-1].append((x, short, COLOURS[number % len(COLOURS)]))
        x += long + 14
    return rows, len(names)
