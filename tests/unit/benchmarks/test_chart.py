"""A chart shows what it is given, where the axes say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from benchmarks.chart import Panel, draw, ticks

SVG = "{http://www.w3.org/2000/svg}"
LINE = [(1000.0, 0.0), (10_000.0, 50.0), (100_000.0, 100.0)]


def drawn(*panels: Panel) -> ET.Element:
    return ET.fromstring(draw("Title", "objects", panels))  # noqa: S314 (ours)


def texts(root: ET.Element) -> list[str]:
    return ["".join(found.itertext()) for found in root.iter(f"{SVG}text")]


def places(root: ET.Element) -> list[tuple[float, float]]:
    return [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in root.iter(f"{SVG}circle")]


def test_labels_of_axes_lines_and_units_are_written() -> None:
    root = drawn(Panel("Memory", "MiB", {"resident": LINE, "peak": LINE}, goal=350.0))
    found = texts(root)
    assert found[:2] == ["Title", "Memory, MiB"]
    assert found[2:7] == ["0", "100", "200", "300", "400"]
    assert found[7:10] == ["1,000", "10,000", "100,000"]
    assert found[10:] == ["objects", "goal 350", "residentpeak"]


def test_points_lie_evenly_on_a_logarithmic_and_a_linear_axis() -> None:
    (x1, y1), (x2, y2), (x3, y3) = places(drawn(Panel("Memory", "MiB", {"a": LINE})))
    assert x1 < x2 < x3
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    # Down is more in an SVG.
    assert y1 > y2 > y3
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)


def test_points_lie_beside_the_label_of_their_value() -> None:
    root = drawn(Panel("Memory", "MiB", {"a": LINE}))
    labels = {found.text: found for found in root.iter(f"{SVG}text")}
    x, y = places(root)[-1]
    assert float(labels["100"].get("y", "")) == pytest.approx(y + 4, abs=0.1)
    assert float(labels["100,000"].get("x", "")) == pytest.approx(x, abs=0.1)


def test_line_joins_its_points() -> None:
    root = drawn(Panel("Memory", "MiB", {"a": LINE}))
    joined = next(p for p in root.iter(f"{SVG}path") if p.get("stroke-width"))
    numbers = [float(number) for number in re.findall(r"[\d.]+", joined.get("d", ""))]
    assert list(zip(numbers[::2], numbers[1::2], strict=True)) == places(root)


def test_line_of_one_point_is_in_the_middle() -> None:
    (place,) = places(drawn(Panel("Memory", "MiB", {"a": [(500.0, 0.0)]})))
    assert 200 < place[0] < 260


def test_panels_do_not_cover_each_other() -> None:
    root = drawn(*(Panel(f"Panel {n}", "s", {"a": LINE}) for n in range(4)))
    moved = [group.get("transform") for group in root.iter(f"{SVG}g")]
    assert len(set(moved)) == 4


def test_names_are_quoted() -> None:
    evil = "</g><script>&"
    assert evil in texts(drawn(Panel("Memory", "MiB", {evil: LINE})))


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0.0, [0, 1]),
        (0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (7.0, [0, 2, 4, 6, 8]),
        (100.0, [0, 20, 40, 60, 80, 100]),
        (101.0, [0, 50, 100, 150]),
        (350.0, [0, 100, 200, 300, 400]),
    ],
)
def test_ticks_are_few_and_round(top: float, expected: list[float]) -> None:
    assert ticks(top) == pytest.approx(expected)
