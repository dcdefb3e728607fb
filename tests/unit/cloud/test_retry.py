"""Retries of failed calls."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.errors import StaleConnectionError
from secret_sync.cloud.retry import MAX_TRIES, next_delay, repeated
from secret_sync.errors import DefiniteError, SecretSyncError, ThrottledError, TransientError


@given(tries=st.integers(min_value=1, max_value=MAX_TRIES - 1))
def test_delay_is_jittered_below_a_growing_bound(tries: int) -> None:
    delay = next_delay(tries, TransientError("x"))
    assert delay is not None
    assert 0.0 <= delay <= min(10.0, 0.2 * 2**tries)


def test_tries_are_limited_to_four() -> None:
    assert next_delay(4, TransientError("x")) is None
    assert next_delay(4, ThrottledError("x", retry_after=1.0)) is None


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_wait_that_was_asked_for_is_never_shortened(tries: int) -> None:
    delay = next_delay(tries, ThrottledError("x", retry_after=7.5))
    assert delay is not None
    assert delay >= 7.5


def test_stale_connection_is_tried_again_at_once_but_once() -> None:
    assert next_delay(1, StaleConnectionError("x")) == 0.0
    later = [next_delay(2, StaleConnectionError("x")) for _ in range(20)]
    assert all(delay is not None and delay > 0.0 for delay in later)


def test_tries_may_be_limited_further() -> None:
    assert next_delay(3, TransientError("x"), most=3) is None


class Attempts:
    """Each ends as listed, after so many seconds; the last one repeats."""

    def __init__(self, *outcomes: SecretSyncError | str, takes: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.takes = takes
        self.made = 0
        self.admitted = 0

    async def admit(self) -> None:
        self.admitted += 1
        await asyncio.sleep(100.0)

    async def __call__(self) -> str:
        self.made += 1
        await asyncio.sleep(self.takes)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, SecretSyncError):
            raise outcome
        return outcome


@pytest.mark.looptime
async def test_call_is_repeated_until_it_succeeds() -> None:
    attempts = Attempts(TransientError("a"), TransientError("b"), "good")
    assert await repeated(attempts, what="x", seconds=25.0) == "good"
    assert attempts.made == 3


@pytest.mark.looptime
async def test_definite_refusal_is_not_repeated() -> None:
    attempts = Attempts(DefiniteError("no"))
    with pytest.raises(DefiniteError):
        await repeated(attempts, what="x", seconds=25.0)
    assert attempts.made == 1


@pytest.mark.looptime
async def test_last_error_is_raised_without_the_others_as_context() -> None:
    attempts = Attempts(TransientError("first"), TransientError("last"))
    with pytest.raises(TransientError, match="last") as caught:
        await repeated(attempts, what="x", seconds=25.0)
    assert attempts.made == MAX_TRIES
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


@pytest.mark.looptime
async def test_time_limit_of_all_tries_excludes_waiting_for_the_rate() -> None:
    attempts = Attempts("never", takes=1e6)
    with pytest.raises(TransientError, match="role at sts: no answer in time") as caught:
        await repeated(attempts, what="role at sts", seconds=25.0, admit=attempts.admit)
    assert attempts.made == attempts.admitted == 1
    assert asyncio.get_running_loop().time() == pytest.approx(125.0)
    assert caught.value.__context__ is None


@pytest.mark.looptime
async def test_wait_that_would_last_longer_than_the_time_is_not_begun() -> None:
    attempts = Attempts(ThrottledError("slow", retry_after=30.0))
    with pytest.raises(ThrottledError):
        await repeated(attempts, what="x", seconds=25.0)
    assert attempts.made == 1
    assert asyncio.get_running_loop().time() == 0.0
