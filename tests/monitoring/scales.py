"""Axes with round numbers, and numbers as Grafana writes them in the units of a dashboard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Of each unit, from small to great: what one is worth, and how it is written.
_UNITS: Final[Mapping[str, Sequence[tuple[float, str]]]] = {
    "none": ((1, ""), (1e6, " Mil")),
    "short": ((1, ""), (1e3, " K"), (1e6, " Mil"), (1e9, " Bil")),
    "s": ((1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " h")),
    "ms": ((1e-3, " µs"), (1, " ms"), (1e3, " s"), (6e4, " min")),
    "bytes": ((1, " B"), (2**10, " KiB"), (2**20, " MiB"), (2**30, " GiB")),
    "decbytes": ((1, " B"), (1e3, " kB"), (1e6, " MB"), (1e9, " GB")),
    "binBps": ((1, " B/s"), (2**10, " KiB/s"), (2**20, " MiB/s")),
    "Bps": ((1, " B/s"), (1e3, " kB/s"), (1e6, " MB/s")),
    "ops": ((1, " ops/s"), (1e3, "K ops/s")),
    "reqps": ((1, " req/s"), (1e3, "K req/s")),
    "cps": ((1, " c/s"), (1e3, "K c/s")),
    "percent": ((1, "%"),),
    "percentunit": ((0.01, "%"),),
}
_STEPS: Final = (1, 2, 2.5, 5, 10, 20, 25, 50)
#: Of a step; a fourth would crowd a panel.
_INTERVALS: Final = 3
_ROUNDING: Final = 1e-9


def _scale(unit: str, greatest: float) -> tuple[float, str]:
    """What a number of this size is best written in; of an unknown unit it is written plainly."""
    fitting = _UNITS.get(unit, _UNITS["none"])
    found = [one for one in fitting if one[0] <= greatest * (1 + _ROUNDING)]
    if greatest == 0:
        # Nothing of a second is "0 s", not "0 µs".
        return next((one for one in fitting if one[0] == 1), fitting[0])
    return found[-1] if found else fitting[0]


def written(value: float, unit: str) -> str:
    """A number for a person: three digits that count, or all those of a whole number."""
    factor, name = _scale(unit, abs(value))
    scaled = value / factor
    text = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return text + name


@dataclass(frozen=True)
class Axis:
    """What stands beside a panel: where the ticks are, in the unit itself, and what they say."""

    ticks: tuple[float, ...]
    labels: tuple[str, ...]

    @property
    def bottom(self) -> float:
        return self.ticks[0]

    @property
    def top(self) -> float:
        return self.ticks[-1]

    def share(self, value: float) -> float:
        """How far up a value is: 0 at the bottom, 1 at the top."""
        return (value - self.bottom) / (self.top - self.bottom)


def axis_for(values: Sequence[float], unit: str, least: float | None = None) -> Axis:
    """An axis that has room for all of these.

    Args:
        values: Finite ones.
        unit: As a dashboard names it.
        least: Where it begins, unless there is something below.
    """
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    if least is not None:
        low = min(low, least)
    if high <= low:
        # As wide as the number itself, so that it is written in the same unit.
        high = low + (abs(low) or 1)
    factor, name = _scale(unit, max(abs(low), abs(high)))
    whole = factor == 1 and all(value == int(value) for value in values)
    low, high = low / factor, high / factor
    step = _step(low, high, whole=whole)
    first, last = math.floor(low / step + _ROUNDING), math.ceil(high / step - _ROUNDING)
    scaled = [number * step for number in range(first, last + 1)]
    return Axis(
        tuple(number * factor for number in scaled),
        tuple(f"{round(number, 9):g}{name}" for number in scaled),
    )


def _step(low: float, high: float, *, whole: bool) -> float:
    """The smallest round one that needs no more ticks than there is room for."""
    power = 10.0 ** math.floor(math.log10((high - low) / _INTERVALS))
    for factor in _STEPS:
        step = float(factor * power)
        ticks = math.ceil(high / step - _ROUNDING) - math.floor(low / step + _ROUNDING)
        if ticks <= _INTERVALS and (not whole or step == int(step)):
            return step
    return high - low
