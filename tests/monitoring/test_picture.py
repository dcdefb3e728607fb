"""What is drawn of a panel is what Prometheus said of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from tests.monitoring.picture import draw, line_of, written
from tests.monitoring.rules import panels
from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from tests.monitoring.picture import Line

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = ROOT / "docs" / "dashboard.svg"


def panel(kind: str = "timeseries", title: str = "A panel") -> dict[str, Any]:
    return {"title": title, "type": kind, "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8}}


def drawn(one: dict[str, Any], *lines: Line) -> ET.Element:
    return ET.fromstring(draw([one], [[*lines]], 10.0))  # noqa: S314 (ours)


def texts(root: ET.Element) -> list[str]:
    return [found.text or "" for found in root.iter(f"{SVG}text")][1:]


def test_points_that_are_not_numbers_interrupt_a_line() -> None:
    answer = {"metric": {"a": "x"}, "values": [[5, "1"], [6, "2"], [7, "NaN"], [8, "4"]]}
    line = line_of("{{a}} {{ gone }}", answer, 5.0)
    assert line == ("x ", [(0.0, 1.0), (1.0, 2.0), (3.0, 4.0)])
    (path,) = drawn(panel(), line).iter(f"{SVG}path")
    assert re.sub(r"[\d. ]+", "", path.get("d", "")) == "MLMh"


@pytest.mark.parametrize("kind", ["timeseries", "stat"])
def test_without_a_number_there_is_no_data(kind: str) -> None:
    assert texts(drawn(panel(kind), ("line", []))) == ["A panel", "No data"]


def test_numbers_are_the_last_ones_in_their_unit() -> None:
    assert texts(drawn(panel("stat"), ("a", [(0, 5), (1, 7)]))) == ["A panel", "7"]
    assert written(70 * 2.0**20, "bytes") == "70 MiB"
    assert written(0.017, "s") == "17 ms"
    assert written(0.3, "percentunit") == "30%"
    assert written(0.0, "s") == "0 s"


def test_names_are_quoted() -> None:
    evil = "</g><script>&"
    root = drawn(panel(title=evil), (evil, [(0, 1)]))
    assert texts(root) == [evil, "1", ""]
    assert [found.text for found in root.iter(f"{SVG}tspan")] == [evil]


def test_lines_without_room_for_their_names_are_drawn_all_the_same() -> None:
    root = drawn(panel(), *(("x" * 40, [(0.0, float(n))]) for n in range(9)))
    assert len(list(root.iter(f"{SVG}path"))) == 9
    assert 0 < len(list(root.iter(f"{SVG}tspan"))) < 9


def test_picture_in_the_documents_has_every_panel_of_the_dashboard() -> None:
    """Otherwise: ``make picture``."""
    root = ET.fromstring(DRAWN.read_text("utf-8"))  # noqa: S314 (ours)
    shown = [group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g")]
    assert shown == [one["title"] for one in panels()]


def test_picture_in_the_documents_is_fit_to_be_shown() -> None:
    text = DRAWN.read_text("utf-8")
    assert len(text.encode()) < 300_000
    # GitHub shows it as an image: what it would have to load is not loaded.
    assert re.findall(r"<script|<style|<image|href|url\(", text) == []
    assert re.findall(r"127\.0\.0\.1|localhost|/tmp|/work|/home", text) == []
    assert "docs/dashboard.svg" in (ROOT / "README.md").read_text()
