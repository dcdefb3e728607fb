"""Which points of a series a line is drawn through."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def unbroken(
    points: Sequence[tuple[float, float]], step: float
) -> list[list[tuple[float, float]]]:  # fmt: skip
    """The stretches in which no step is missing and every value is a number."""
    finite = [point for point in points if math.isfinite(point[1])]
    parts = [finite[:1]] if finite else []
    for before, now in pairwise(finite):
        if now[0] - before[0] > 1.5 * step:
            parts.append([])
        parts[-1].append(now)
    return parts


def thinned(points: Sequence[tuple[float, float]], tolerance: float) -> list[tuple[float, float]]:
    """Without the points that a line through their neighbours passes that close anyway."""
    kept = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        (x1, y1), (x2, y2) = points[first], points[last]
        off, worst = max(
            (abs(y - y1 - (y2 - y1) * (x - x1) / (x2 - x1)), -number)
            for number, (x, y) in enumerate(points[first + 1 : last], first + 1)
        ) if last - first > 1 else (0.0, 0)  # fmt: skip
        if off > tolerance:
            kept.add(-worst)
            spans += [(first, -worst), (-worst, last)]
    return [points[number] for number in sorted(kept)]
