from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.backoff import Backoff


def test_doubles_from_one_second_to_five_minutes() -> None:
    backoff = Backoff(jitter=0)
    delays = [backoff.delay(failures, Random()) for failures in range(11)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_bound_doubles_up_to_the_cap_after_any_number_of_failures() -> None:
    backoff = Backoff(base=0.5, cap=60.0)
    assert [backoff.bound(n) for n in (0, 1, 2, 7, 10_000)] == [0.5, 1.0, 2.0, 60.0, 60.0]


@given(
    base=st.floats(0.001, 60),
    cap=st.floats(60, 3600),
    jitter=st.floats(0, 0.5),
    failures=st.integers(0, 10**9),
    seed=st.integers(),
)
def test_stays_within_the_jitter_around_the_capped_power(
    base: float, cap: float, jitter: float, failures: int, seed: int
) -> None:
    delay = Backoff(base, cap, jitter).delay(failures, Random(seed))
    middle = cap if failures > 40 else min(cap, base * 2**failures)
    assert middle * (1 - jitter) <= delay * (1 + 1e-12)
    assert delay <= middle * (1 + jitter) * (1 + 1e-12)


def test_default_jitter_is_20_to_50_percent() -> None:
    assert 0.2 <= Backoff().jitter <= 0.5
    rng = Random(1)
    delays = [Backoff().delay(20, rng) for _ in range(1000)]
    assert min(delays) < 300 * 0.8
    assert max(delays) > 300 * 1.2


@pytest.mark.parametrize(
    ("base", "cap", "jitter"),
    [(0, 1, 0), (-1, 1, 0), (2, 1, 0), (1, math.inf, 0), (math.nan, 1, 0), (1, 2, 1), (1, 2, -0.1)],
)
def test_refuses_what_makes_no_sense(base: float, cap: float, jitter: float) -> None:
    with pytest.raises(ValueError, match=r"base|jitter"):
        Backoff(base, cap, jitter)
