"""The rate limiter under a virtual clock."""

from __future__ import annotations

import asyncio
import math

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.cloud.rate_limiter import RateLimiter

pytestmark = [pytest.mark.looptime, pytest.mark.slow]


def limiter_at(rate: float | None) -> RateLimiter:
    return RateLimiter(rate, on_wait=lambda _: None)


async def passed_within(limiter: RateLimiter, seconds: float) -> list[float]:
    """The times at which one waiter that never tires passes."""
    start = now()
    times: list[float] = []
    while True:
        await limiter.acquire()
        if now() - start > seconds:
            return times
        times.append(now() - start)


@pytest.mark.parametrize("rate", [0.5, 2, 10, 15, 100, 450])
async def test_rate_is_kept_and_used_over_ten_seconds(rate: float) -> None:
    times = await passed_within(limiter_at(rate), 10.0)
    assert 0.97 * rate * 10 <= len(times) <= 1.011 * rate * 10 + 1


@pytest.mark.parametrize("rate", [0.5, 2, 10, 15, 100, 450])
async def test_no_single_second_sees_a_burst_of_another_seconds_worth(rate: float) -> None:
    limiter = limiter_at(rate)
    await asyncio.sleep(60)
    times = await passed_within(limiter, 3.0)
    for first in times:
        in_a_second = sum(first <= time < first + 1.0 for time in times)
        assert in_a_second <= rate * 1.1 + 1


@pytest.mark.parametrize("rate", [None, 0, 0.0])
async def test_lifted_limit_waits_for_nothing(rate: float | None) -> None:
    limiter = limiter_at(rate)
    start = now()
    for _ in range(10_000):
        await limiter.acquire()
    assert now() == start
    assert limiter.rate is None


async def test_use_is_the_share_of_the_rate_in_the_last_minute() -> None:
    limiter, unlimited = limiter_at(10), limiter_at(None)
    assert limiter.use == 0.0
    await unlimited.acquire()
    assert unlimited.use == 0.0
    await passed_within(limiter, 600.0)
    assert limiter.use == pytest.approx(1.0, abs=0.01)
    for _ in range(300):
        await asyncio.sleep(0.2)
        await limiter.acquire()
    # Half of it for a minute, after all of it.
    assert limiter.use == pytest.approx(0.5 + 0.5 / math.e, abs=0.01)
    await asyncio.sleep(600)
    assert limiter.use < 0.001


async def test_throttling_halves_the_rate_at_most_once_a_second() -> None:
    limiter = limiter_at(10)
    for _ in range(8):  # all that were under way
        limiter.throttled(None)
    assert limiter.rate == 5.0
    await asyncio.sleep(1.0)
    limiter.throttled(None)
    assert limiter.rate == 2.5


async def test_lowered_rate_is_kept() -> None:
    limiter = limiter_at(100)
    await passed_within(limiter, 0.1)
    limiter.throttled(None)
    times = await passed_within(limiter, 4.0)
    assert 190 <= len(times) <= 206


async def test_waiting_callers_are_slowed_down_too() -> None:
    limiter = limiter_at(1)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0.5)
    limiter.throttled(5.0)
    start = now()
    await waiting
    assert now() - start >= 5.0


async def test_rate_has_a_floor() -> None:
    limiter = limiter_at(10)
    for _ in range(50):
        limiter.throttled(None)
        await asyncio.sleep(1.0)
    assert limiter.rate == 0.5


async def test_limit_below_that_floor_is_not_raised_to_it() -> None:
    limiter = limiter_at(0.2)
    limiter.throttled(None)
    assert limiter.rate == 0.2


async def test_success_raises_the_rate_again_up_to_the_limit() -> None:
    limiter = limiter_at(10)
    limiter.throttled(None)
    rates = []
    for _ in range(15):
        await asyncio.sleep(1.0)
        for _ in range(10):
            limiter.succeeded()
        rates.append(limiter.rate)
    assert rates[:3] == pytest.approx([5.5, 6.0, 6.5])
    assert rates[9:] == [10.0] * 6


async def test_success_within_the_same_second_does_not_undo_the_halving() -> None:
    limiter = limiter_at(10)
    limiter.throttled(None)
    await asyncio.sleep(0.9)
    limiter.succeeded()
    assert limiter.rate == 5.0


@pytest.mark.parametrize("rate", [10, None])
async def test_retry_after_stops_all_for_that_long(rate: float | None) -> None:
    limiter = limiter_at(rate)
    limiter.throttled(7.5)
    limiter.throttled(0.1)
    start = now()
    await limiter.acquire()
    assert 7.5 <= now() - start < 7.8


async def test_unlimited_rate_pauses_for_a_moment() -> None:
    limiter = limiter_at(None)
    limiter.throttled(None)
    start = now()
    await limiter.acquire()
    await limiter.acquire()
    assert now() - start == pytest.approx(1.0)


async def test_wait_is_observed_even_if_zero() -> None:
    waits: list[float] = []
    limiter = RateLimiter(2, on_wait=waits.append)
    for _ in range(3):
        await limiter.acquire()
    assert waits == pytest.approx([0.0, 0.5, 0.5])


async def test_cancelled_waiter_takes_no_token() -> None:
    limiter = limiter_at(1)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    start = now()
    await limiter.acquire()
    assert now() - start == pytest.approx(0.5)


async def test_repr_shows_the_rates() -> None:
    assert repr(limiter_at(10)) == "<RateLimiter rate=10 limit=10>"
