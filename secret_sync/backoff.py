"""The delay before the next retry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

# 2**62 times any sane base is beyond any sane cap; without a limit a float overflows at 2**1024.
_MAX_EXPONENT = 62


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff.

    Attributes:
        base: Seconds before the first retry.
        cap: Seconds the exponential part never exceeds. The jitter goes around the capped value
            too: objects that failed together for an hour must not be retried together forever.
        jitter: Share of `delay` by which it varies in both directions, 0 <= jitter < 1.

    Raises:
        ValueError: A bound is out of range.
    """

    base: float = 1.0
    cap: float = 300.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap < math.inf:
            raise ValueError(f"backoff needs 0 < base <= cap, got {self.base} and {self.cap}")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter must be at least 0 and less than 1, got {self.jitter}")

    def bound(self, failures: int) -> float:
        """Return the seconds after `failures` earlier failures (0: the first one), no jitter."""
        return min(self.cap, math.ldexp(self.base, min(failures, _MAX_EXPONENT)))

    def delay(self, failures: int, rng: Random) -> float:
        """Return the seconds to wait after `failures` earlier failures, with jitter."""
        return self.bound(failures) * rng.uniform(1 - self.jitter, 1 + self.jitter)
