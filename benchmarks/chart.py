"""Lines over a logarithmic axis, drawn as one SVG without a plotting library."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_COLUMNS: Final = 2
_WIDTH, _HEIGHT, _HEAD = 440, 270, 44
#: Of a panel, to its plot: left, right, top, bottom.
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 52, 44
_TEXT, _MUTED, _GRID, _GOAL = "#24292f", "#57606a", "#d8dee4", "#cf222e"
_COLOURS: Final = ("#0969da", "#bf8700", "#1a7f37", "#8250df")
_INTERVALS: Final = 5


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram.

    Attributes:
        title: What is drawn.
        unit: Of all values.
        lines: Points by the name of their line; all x are positive.
        goal: What no value should exceed; ``None`` where there is no goal.
    """

    title: str
    unit: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    goal: float | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where points are in a panel."""

    first: float
    last: float
    top: float

    def x(self, value: float) -> float:
        """Return the place of a value on the logarithmic axis."""
        width = _WIDTH - _LEFT - _RIGHT
        span = math.log(self.last / self.first)
        return _LEFT + width * (math.log(value / self.first) / span if span else 0.5)

    def y(self, value: float) -> float:
        """Return the place of a value on the linear axis."""
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.top


def draw(title: str, axis: str, panels: Sequence[Panel]) -> str:
    """Return the text of an SVG file.

    Args:
        title: Of all.
        axis: What the logarithmic axis of each panel counts.
        panels: Two in a row.
    """
    height = _HEAD + _HEIGHT * math.ceil(len(panels) / _COLUMNS)
    drawn = "".join(
        f'\n<g transform="translate({number % _COLUMNS * _WIDTH} '
        f'{_HEAD + number // _COLUMNS * _HEIGHT})">{_panel(panel, axis)}</g>'
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_COLUMNS * _WIDTH} {height}"'
        f' font-family="Inter, Helvetica, Arial, sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f"{_text(16, 28, title, size=16)}{drawn}\n</svg>\n"
    )


def ticks(top: float) -> list[float]:
    """Return round values from 0 to at least ``top``, at equal distances."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / _INTERVALS))
    step = next(power * f for f in (1, 2, 5, 10) if power * f * _INTERVALS >= top * (1 - 1e-9))
    return [number * step for number in range(math.ceil(top / step - 1e-9) + 1)]


def _panel(panel: Panel, axis: str) -> str:
    points = [point for line in panel.lines.values() for point in line]
    places = sorted({x for x, _ in points})
    values = ticks(max([y for _, y in points] + [panel.goal or 0.0]))
    scale = _Scale(places[0], places[-1], values[-1])
    parts = [
        _text(16, 16, f"{panel.title}, {panel.unit}", size=13),
        *_axes(scale, places, values),
        _text(_WIDTH / 2, _HEIGHT - 8, axis, "middle", colour=_MUTED),
    ]
    if panel.goal is not None:
        parts += _goal(scale, panel.goal)
    names = ""
    for (name, line), colour in zip(panel.lines.items(), _COLOURS, strict=False):
        parts += _line(((scale.x(x), scale.y(y)) for x, y in line), colour)
        names += f'<tspan fill="{colour}" dx="12">{html.escape(name)}</tspan>'
    return "".join(parts) + f'<text x="4" y="36">{names}</text>'


def _axes(scale: _Scale, places: Iterable[float], values: Iterable[float]) -> Iterable[str]:
    for value in values:
        y = scale.y(value)
        yield f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>'
        yield _text(_LEFT - 6, y + 4, f"{value:g}", "end", colour=_MUTED)
    for place in places:
        x = scale.x(place)
        yield f'<path d="M{x:.1f} {_HEIGHT - _BOTTOM}v4" stroke="{_MUTED}"/>'
        yield _text(x, _HEIGHT - _BOTTOM + 17, f"{place:,.0f}", "middle", colour=_MUTED)


def _goal(scale: _Scale, goal: float) -> Iterable[str]:
    y = scale.y(goal)
    yield f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GOAL}" stroke-dasharray="5 4"/>'
    yield _text(_LEFT + 6, y - 4, f"goal {goal:g}", colour=_GOAL)


def _line(places: Iterable[tuple[float, float]], colour: str) -> Iterable[str]:
    found = [f"{x:.1f} {y:.1f}" for x, y in places]
    yield f'<path d="M{"L".join(found)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    for place in found:
        x, y = place.split()
        yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, size: int = 11, colour: str = _TEXT
) -> str:
    look = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{html.escape(text)}</text>'
