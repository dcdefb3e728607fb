from __future__ import annotations

import asyncio

import pytest

from secret_sync.clock import loop_time as now
from secret_sync.time_limits import TimeLimits

pytestmark = pytest.mark.looptime


async def took(limits: TimeLimits, seconds: float) -> str:
    """Work for some seconds, if the limit lets it."""
    limit = limits.begin()
    began = now()
    try:
        with limit:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return f"expired after {now() - began:g}" if limit.expired else "another one's"
    return f"done after {now() - began:g}"


async def test_each_piece_of_work_has_the_whole_time() -> None:
    limits = TimeLimits(30)
    assert await took(limits, 1) == "done after 1"
    await asyncio.sleep(7)
    assert await took(limits, 29.5) == "done after 29.5"
    assert await took(limits, 30.5) == "expired after 30"
    assert await took(limits, 29.5) == "done after 29.5"


async def test_pieces_of_work_at_the_same_time_end_each_at_its_own() -> None:
    limits = TimeLimits(30)

    async def later(wait: float, seconds: float) -> str:
        await asyncio.sleep(wait)
        return await took(limits, seconds)

    ends = await asyncio.gather(*(later(n, 25 + 2 * n) for n in range(6)))
    assert ends == [
        *("done after 25", "done after 27", "done after 29"),
        *["expired after 30"] * 3,
    ]


async def test_nothing_is_cancelled_between_pieces_of_work() -> None:
    limits = TimeLimits(30)
    assert await took(limits, 1) == "done after 1"
    await asyncio.sleep(1000)
    limits.close()


async def test_timeout_from_within_is_not_the_limits() -> None:
    limit = TimeLimits(30).begin()
    with pytest.raises(TimeoutError), limit:
        raise TimeoutError
    assert not limit.expired


async def test_cancellation_from_outside_stays_one() -> None:
    limits = TimeLimits(30)
    task = asyncio.create_task(took(limits, 100))
    await asyncio.sleep(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_cancellation_from_outside_counts_more_than_the_limit() -> None:
    limits = TimeLimits(30)
    task = asyncio.create_task(took(limits, 100))
    # Both in one iteration of the loop, the limit's first.
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(30, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_limit_within_another_ends_only_its_own_work() -> None:
    inner, outer = TimeLimits(10), TimeLimits(30)
    began = now()
    with outer.begin():
        assert await took(inner, 100) == "expired after 10"
        await asyncio.sleep(15)
    assert now() - began == 25


async def test_ended_work_is_forgotten() -> None:
    limits = TimeLimits(30)
    for _ in range(100):
        await took(limits, 0)
    assert len(limits) == 0
