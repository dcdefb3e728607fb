"""How soon a failed call is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.cloud.errors import StaleConnectionError
from secret_sync.cloud.retry import MAX_TRIES, next_delay
from secret_sync.errors import ThrottledError, TransientError


@given(tries=st.integers(min_value=1, max_value=MAX_TRIES - 1))
def test_the_delay_is_jittered_below_a_growing_bound(tries: int) -> None:
    delay = next_delay(tries, TransientError("x"))
    assert delay is not None
    assert 0.0 <= delay <= min(10.0, 0.2 * 2**tries)


def test_there_are_at_most_four_tries() -> None:
    assert next_delay(4, TransientError("x")) is None
    assert next_delay(4, ThrottledError("x", retry_after=1.0)) is None


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_wait_that_was_asked_for_is_never_shortened(tries: int) -> None:
    delay = next_delay(tries, ThrottledError("x", retry_after=7.5))
    assert delay is not None
    assert delay >= 7.5


def test_a_stale_connection_is_tried_again_at_once_but_once() -> None:
    assert next_delay(1, StaleConnectionError("x")) == 0.0
    later = [next_delay(2, StaleConnectionError("x")) for _ in range(20)]
    assert all(delay is not None and delay > 0.0 for delay in later)
