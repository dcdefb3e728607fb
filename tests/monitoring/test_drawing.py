"""What is drawn of a panel is what Prometheus said of it."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.monitoring.answers import named, panel_of
from tests.monitoring.drawing import COLOURS, Band, Panel, Picture, Series, draw
from tests.monitoring.points import thinned, unbroken
from tests.monitoring.rules import dashboard
from tests.monitoring.scales import axis_for, written
from tests.support.documentation import ROOT

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = ROOT / "docs" / "dashboard.svg"


def series(*values: float, name: str = "line", step: float = 2.0) -> Series:
    return Series(name, tuple((number * step, value) for number, value in enumerate(values)))


def panel(*shown: Series, kind: str = "timeseries", unit: str = "none", **more: Any) -> Panel:
    usual: dict[str, Any] = {
        "title": "A panel",
        "place": (0, 0, 12, 8),
        "least": 0,
        "by_name": False,
    }
    return Panel(**{**usual, **more}, kind=kind, unit=unit, series=shown)


def picture(*panels: Panel, bands: tuple[Band, ...] = ()) -> Picture:
    return Picture("A dashboard", "of a test", 120.0, 2.0, panels, bands)


def drawn(*panels: Panel, bands: tuple[Band, ...] = ()) -> ET.Element:
    return ET.fromstring(draw(picture(*panels, bands=bands)))  # noqa: S314 (ours)


def texts(root: ET.Element) -> list[str]:
    return [found.text or "" for found in root.iter(f"{SVG}text")]


def titles(root: ET.Element) -> list[str]:
    """Of the panels."""
    groups = [found for found in root.iter(f"{SVG}g") if found.get("class") == "panel"]
    return [found.findtext(f"{SVG}title", "") for found in groups]


def lines(root: ET.Element) -> dict[str, ET.Element]:
    """The lines of series by the names of these; grids have no title."""
    found = [(path.findtext(f"{SVG}title"), path) for path in root.iter(f"{SVG}path")]
    return {name: path for name, path in found if name is not None}


def strokes(root: ET.Element, name: str = "line") -> list[list[tuple[float, float]]]:
    """What a line goes through, in pixels, for each time that the pen is put down."""
    parts = lines(root)[name].get("d", "").split("M")[1:]
    numbers = [[float(n) for n in re.findall(r"-?[\d.]+", p.removesuffix("h0"))] for p in parts]
    return [list(zip(part[::2], part[1::2], strict=True)) for part in numbers]


def height_of(root: ET.Element, label: str) -> float:
    """Where a tick of the axis of values is."""
    (found,) = [
        one
        for one in root.iter(f"{SVG}text")
        if one.text == label and one.get("text-anchor") == "end"
    ]
    return float(found.get("y", "")) - 4


def test_every_panel_has_its_title() -> None:
    root = drawn(panel(series(1.0), title="One"), panel(title="Two", place=(12, 0, 12, 8)))
    assert titles(root) == ["One", "Two"]
    assert {"One", "Two"} <= set(texts(root))


def test_the_highest_point_is_where_its_value_is_on_the_axis() -> None:
    root = drawn(panel(series(1.0, 2.0, 7.2, 3.0)))
    assert texts(root)[3:7] == ["0", "2.5", "5", "7.5"]
    top, bottom = height_of(root, "7.5"), height_of(root, "0")
    (points,) = strokes(root)
    assert min(y for _, y in points) == pytest.approx(bottom - (bottom - top) * 7.2 / 7.5, abs=0.2)
    assert points[0][1] == pytest.approx(bottom - (bottom - top) * 1 / 7.5, abs=0.2)


def test_a_point_is_where_its_time_is() -> None:
    begin = float("nan")
    root = drawn(panel(series(*[begin] * 30, 1.0, 2.0)))
    (half,) = [one for one in root.iter(f"{SVG}text") if one.text == "1"
               and one.get("text-anchor") == "middle"]  # fmt: skip
    assert strokes(root)[0][0][0] == pytest.approx(float(half.get("x", "")), abs=0.2)


def test_a_gap_interrupts_a_line() -> None:
    root = drawn(panel(series(1.0, 2.0, math.nan, 4.0, 3.0)))
    assert list(map(len, strokes(root))) == [2, 2]


def test_a_missing_step_interrupts_a_line() -> None:
    line = Series("line", ((0.0, 1.0), (2.0, 2.0), (6.0, 4.0), (8.0, 3.0)))
    assert list(map(len, strokes(drawn(panel(line))))) == [2, 2]


def test_a_point_alone_is_a_dot() -> None:
    root = drawn(panel(series(1.0, math.nan, 2.0, math.inf)))
    assert [len(one) for one in strokes(root)] == [1, 1]
    assert lines(root)["line"].get("d", "").endswith("h0")


def test_the_stretches_of_a_series() -> None:
    assert unbroken([], 2) == []
    assert unbroken([(0, math.nan)], 2) == []
    assert unbroken([(0, 1), (2, 1), (4.5, 1), (8, 1)], 2) == [[(0, 1), (2, 1), (4.5, 1)], [(8, 1)]]


def test_only_redundant_points_are_omitted() -> None:
    level = [(float(x), 5.0) for x in range(100)]
    assert thinned(level, 0.4) == [level[0], level[-1]]
    peak = [*level[:50], (50.0, 90.0), *level[51:]]
    assert {(49.0, 5.0), (50.0, 90.0), (51.0, 5.0)} <= set(thinned(peak, 0.4))
    assert thinned([(1.0, 2.0)], 0.4) == [(1.0, 2.0)]


def test_xml_characters_are_escaped() -> None:
    evil = "<script>&\"'"
    text = draw(
        picture(
            panel(series(1.0, name=evil), title=evil),
            panel(series(1.0, name=evil), kind="stat", by_name=True, place=(12, 0, 12, 8)),
            bands=(Band(evil, 10, 20),),
        )
    )
    assert "<script" not in text
    root = ET.fromstring(text)  # noqa: S314 (ours)
    assert texts(root).count(evil) == 4
    assert titles(root) == [evil, "A panel"]


@pytest.mark.parametrize("kind", ["timeseries", "stat"])
@pytest.mark.parametrize("shown", [(), (series(math.nan),), (Series("empty", ()),)])
def test_without_a_number_there_is_no_data(kind: str, shown: tuple[Series, ...]) -> None:
    assert texts(drawn(panel(*shown, kind=kind)))[2:] == ["A panel", "No data"]


def test_numbers_are_the_last_ones_in_their_unit() -> None:
    root = drawn(panel(series(1.0, 2048.0, math.nan), kind="stat", unit="bytes"))
    assert texts(root)[2:] == ["A panel", "2 KiB"]
    two = panel(series(1.0, name="up"), series(0.0, name="leading"), kind="stat")
    assert texts(drawn(two))[2:] == ["A panel", "up", "1", "leading", "0"]
    named_one = panel(series(1.0, name="0.1.0"), kind="stat", by_name=True)
    assert texts(drawn(named_one))[2:] == ["A panel", "0.1.0"]


def test_lines_differ_in_colour() -> None:
    shown = [series(1.0, float(n), name=f"line {n}") for n in range(2 * len(COLOURS))]
    found = lines(drawn(panel(*shown))).values()
    looks = {(one.get("stroke"), one.get("stroke-dasharray")) for one in found}
    assert len(looks) == len(shown)


def test_a_legend_without_room_names_what_rises_highest() -> None:
    shown = [series(1.0, float(n), name=f"quite a long name {n}") for n in range(30)]
    said = texts(drawn(panel(*shown, place=(0, 0, 8, 8))))
    assert "quite a long name 29" in said
    assert "quite a long name 2" not in said
    assert re.fullmatch(r"and \d+ more", said[-1])
    idle = [series(0.0, name=f"quite a long name {n}") for n in range(30)]
    assert texts(drawn(panel(series(1.0), *idle)))[-1].endswith(" at 0")


def test_a_long_name_is_cut() -> None:
    assert f"{'x' * 35}…" in texts(drawn(panel(series(1.0, name="x" * 200))))


def test_every_course_is_drawn() -> None:
    shown = [panel(series(1.0)), panel(series(1.0), kind="stat", place=(12, 0, 12, 8))]
    root = drawn(*shown, bands=(Band("KMS is dead", 30, 60),))
    (band,) = [one for one in root.iter(f"{SVG}rect") if one.get("opacity") == "0.16"]
    (grid, *_) = [one for one in root.iter(f"{SVG}path") if "h" in one.get("d", "")]
    across = float(grid.get("d", "").rpartition("h")[2])
    assert float(band.get("width", "")) == pytest.approx(across / 4, abs=0.2)
    assert "KMS is dead" in texts(root)


@pytest.mark.parametrize(
    ("values", "unit", "labels"),
    [
        ((), "none", ("0", "1")),
        ((0.0,), "s", ("0 s", "1 s")),
        ((0.0, 3.0), "none", ("0", "1", "2", "3")),
        ((0.5, 0.9), "none", ("0", "0.5", "1")),
        ((0.5, 7.0), "ops", ("0 ops/s", "2.5 ops/s", "5 ops/s", "7.5 ops/s")),
        ((0.017,), "s", ("0 ms", "10 ms", "20 ms")),
        ((90.0,), "s", ("0 min", "0.5 min", "1 min", "1.5 min")),
        ((70 * 2.0**20,), "bytes", ("0 MiB", "25 MiB", "50 MiB", "75 MiB")),
        ((0.3,), "percentunit", ("0%", "10%", "20%", "30%")),
        ((8500.0,), "none", ("0", "5000", "10000")),
        ((8500.0,), "a unit of tomorrow", ("0", "5000", "10000")),
    ],
)
def test_axes_have_round_numbers(
    values: tuple[float, ...], unit: str, labels: tuple[str, ...]
) -> None:
    axis = axis_for(values, unit, 0)
    assert axis.labels == labels
    assert all(axis.bottom <= value <= axis.top for value in values)


def test_an_axis_without_a_beginning_is_about_its_values() -> None:
    axis = axis_for([101.0, 104.0], "none")
    assert axis.labels == ("101", "102", "103", "104")
    assert axis_for([-3.0, 4.0], "none", 0).labels == ("-5", "0", "5")


def test_numbers_are_written_short() -> None:
    assert written(0.0, "s") == "0 s"
    assert written(275.3, "none") == "275"
    assert written(2.718, "none") == "2.72"
    assert written(1234567.0, "none") == "1.23 Mil"


def test_prometheus_answer_becomes_a_panel() -> None:
    model = {
        "title": "Calls",
        "type": "timeseries",
        "gridPos": {"x": 1, "y": 2, "w": 3, "h": 4},
        "fieldConfig": {"defaults": {"unit": "ops", "min": 0}},
        "targets": [{"expr": "a", "legendFormat": "{{provider}} {{ result }}"}, {"expr": "b"}],
    }
    a = {"metric": {"provider": "kms", "result": "ok"}, "values": [[100, "1.5"], [102, "NaN"]]}
    b = {"metric": {"pod": "x", "instance": "127.0.0.1:1"}, "value": [104, "3"]}
    found = panel_of(model, [[a], [b]], 100.0)
    assert (found.title, found.place, found.unit, found.least) == ("Calls", (1, 2, 3, 4), "ops", 0)
    one, two = found.series
    assert (one.name, one.points[0]) == ("kms ok", (0.0, 1.5))
    assert math.isnan(one.points[1][1])
    assert (two.name, two.points) == ("pod=x", ((4.0, 3.0),))


def test_a_legend_without_a_form_has_all_labels() -> None:
    assert named("__auto", {"b": "2", "a": "1", "job": "x"}) == "a=1, b=2"
    assert named("", {}) == "value"
    assert named("{{gone}} left", {}) == "left"


def test_the_picture_in_the_documents_has_every_panel_of_the_dashboard() -> None:
    """Where not: ``make picture``."""
    text = DRAWN.read_text("utf-8")
    assert titles(ET.fromstring(text)) == [one["title"] for one in dashboard()["panels"]]  # noqa: S314 (ours)


def test_the_picture_in_the_documents_is_fit_to_be_shown() -> None:
    text = DRAWN.read_text("utf-8")
    assert len(text.encode()) < 300_000
    # GitHub shows it as an image: what it would have to load is not loaded.
    assert re.findall(r"<script|<style|<image|href|url\(", text) == []
    assert re.findall(r"127\.0\.0\.1|localhost|/tmp|/work|/home", text) == []
    assert "docs/dashboard.svg" in (ROOT / "README.md").read_text()
