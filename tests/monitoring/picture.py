"""Draws the dashboard as one SVG from the answers of a Prometheus: ``make picture``."""

from __future__ import annotations

import html
import math
import re
from typing import TYPE_CHECKING, Any, Final

from tests.monitoring.rules import filled, panels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.prometheus import Prometheus

#: The name of a line, and its points: seconds since the picture begins, and the value then.
Line = tuple[str, list[tuple[float, float]]]

COLUMN, ROW, HEAD, LETTER = 45, 32, 40, 6.2
SURFACE, TEXT, MUTED = "#181b1f", "#dfe0e8", "#a9abb8"
COLOURS: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ae0d4")
NUMBERS: Final = frozenset({"stat", "gauge", "bargauge"})
SCALES: Final = {
    "s": ((1.0, " s"), (1e-3, " ms")),
    "bytes": ((2.0**30, " GiB"), (2.0**20, " MiB"), (2.0**10, " KiB"), (1.0, " B")),
    "percentunit": ((0.01, "%"),),
    "ops": ((1.0, " ops/s"),),
}


async def answers(found: Prometheus, begin: float, end: float) -> list[list[Line]]:
    """The lines of each panel, in the order of the dashboard, with a point for each second."""
    return [
        [
            line_of(target.get("legendFormat", ""), one, begin)
            for target in panel.get("targets", [])
            for one in (
                await found.get(
                    "/api/v1/query_range",
                    query=filled(target["expr"]),
                    start=f"{begin:.3f}",
                    end=f"{end:.3f}",
                    step="1",
                )
            )["result"]
        ]
        for panel in panels()
    ]


def line_of(form: str, one: Mapping[str, Any], begin: float) -> Line:
    """A series as it is drawn: without what is not a number."""
    name = re.sub(r"{{\s*(\w+)\s*}}", lambda label: one["metric"].get(label[1], ""), form)
    points = [(float(at) - begin, float(text)) for at, text in one["values"]]
    return name, [(at, value) for at, value in points if math.isfinite(value)]


def draw(panels: Sequence[Mapping[str, Any]], lines: Sequence[list[Line]], seconds: float) -> str:
    """The text of an SVG file, with each panel where the dashboard has it."""
    height = HEAD + ROW * max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    drawn = "".join(
        f"\n{_panel(panel, shown, seconds)}" for panel, shown in zip(panels, lines, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}"'
        f' font-family="Inter, Helvetica, Arial, sans-serif" font-size="11" fill="{TEXT}">'
        f'<rect width="100%" height="100%" fill="#111217"/>'
        f"{_text(10, 26, f'secret-sync: {seconds:.0f} s of a run', 17)}{drawn}\n</svg>\n"
    )


def written(value: float, unit: str) -> str:
    """A number in its unit, short."""
    scales = SCALES.get(unit, ((1.0, ""),))
    factor, suffix = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    return f"{value / factor:.3g}{suffix}" if value else f"0{scales[0][1]}"


def _panel(panel: Mapping[str, Any], lines: list[Line], seconds: float) -> str:
    place = panel["gridPos"]
    left, top = place["x"] * COLUMN + 3, HEAD + place["y"] * ROW + 3
    width, height = place["w"] * COLUMN - 6, place["h"] * ROW - 6
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "none")
    known = [(name, points) for name, points in lines if points]
    if panel["type"] == "row":
        body = ""
    elif not known:
        body = _text(width / 2, height / 2 + 10, "No data", 14, "middle")
    elif panel["type"] in NUMBERS:
        named = panel.get("options", {}).get("textMode") == "name"
        shown = [name if named else written(points[-1][1], unit) for name, points in known]
        body = _text(width / 2, height / 2 + 16, " / ".join(shown), 22, "middle")
    else:
        body = _course(known, unit, (width - 20, height - 66), seconds)
    return (
        f'<g transform="translate({left} {top})"><title>{html.escape(panel["title"])}</title>'
        f'<rect width="{width}" height="{height}" rx="3" fill="{SURFACE}"/>'
        f"{_text(10, 19, panel['title'], 12)}{body}</g>"
    )


def _course(lines: list[Line], unit: str, size: tuple[float, float], seconds: float) -> str:
    """Lines over time: the highest first, and so many names as there is room for."""
    lines = sorted(lines, key=lambda line: -max(value for _, value in line[1]))
    top = max(0.0, *(value for _, points in lines for _, value in points))
    parts, names, room = [_text(10, 42, written(top, unit), colour=MUTED)], "", size[0] / LETTER
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path, last = "", -math.inf
        for at, value in points:
            x, y = 10 + size[0] * at / seconds, 46 + size[1] * (1 - max(0.0, value) / (top or 1))
            path += f"{'L' if at - last < 1.5 else 'M'}{x:.0f} {y:.0f}"
            last = at
        # A point alone is a dot: the ends of a line are round.
        style = 'fill="none" stroke-width="1.6" stroke-linecap="round"'
        parts.append(f'<path d="{path}h0" stroke="{colour}" {style}/>')
        room -= len(name) + 2
        if room > 0:
            names += f'<tspan fill="{colour}" dx="9">{html.escape(name)}</tspan>'
    return "".join(parts) + f'<text x="1" y="{62 + size[1]:.0f}">{names}</text>'


def _text(
    x: float, y: float, text: str, size: int = 11, anchor: str = "start", *, colour: str = TEXT
) -> str:
    look = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {look}>{html.escape(text)}</text>'
