"""When a workload restarts, as arithmetic."""

from __future__ import annotations

import pytest

from secret_sync.controller.restart.pacing import (
    AT_MOST,
    GAP,
    LONGEST_GAP,
    QUIET,
    SETTLE,
    RestartState,
    Waiting,
    counted,
    due,
    gap_after,
    seconds_since,
)
from secret_sync.controller.sync import Problem
from secret_sync.resources import Reason

NEVER = float("-inf")


def test_gaps_grow_from_a_minute_to_an_hour() -> None:
    gaps = [gap_after(recent) / GAP for recent in range(1, 9)]
    assert gaps == [1, 1, 1, 2, 4, 8, 16, 32]
    assert gap_after(9) == gap_after(10**9) == LONGEST_GAP


def test_a_loop_restarts_eight_times_in_the_first_hour_and_once_in_each_later_one() -> None:
    at, recent, last = 0.0, 0, -QUIET
    times = []
    while at < 4 * LONGEST_GAP:
        times.append(at)
        recent, last = counted(recent, at - last), at
        at += gap_after(recent)
    assert len([t for t in times if t < LONGEST_GAP]) == 8
    assert len([t for t in times if t >= LONGEST_GAP]) <= 4


def test_two_quiet_hours_end_a_row_of_restarts() -> None:
    assert counted(7, QUIET - 1) == 8
    assert counted(7, QUIET) == 1
    assert counted(0, float("inf")) == 1


def test_a_change_settles_for_ten_seconds() -> None:
    assert due([Waiting(0.0, 0.0, NEVER)]) == SETTLE
    assert due([Waiting(0.0, 0.0, 40.0)]) == 40.0


def test_a_group_waits_for_its_last_change_but_not_for_ever() -> None:
    first, second = Waiting(0.0, 0.0, NEVER), Waiting(8.0, 8.0, NEVER)
    assert due([first, second]) == 8.0 + SETTLE
    # It changes all the time.
    assert due([first, Waiting(0.0, 500.0, NEVER)]) == SETTLE + AT_MOST


def test_the_limit_of_another_object_delays_nobody() -> None:
    looping, quiet = Waiting(0.0, 0.0, 3000.0), Waiting(100.0, 100.0, NEVER)
    assert due([looping, quiet]) == 100.0 + SETTLE


@pytest.mark.parametrize("written", ["", "x", "9999", "2026-13-01T00:00:00Z", "0" * 10_000])
def test_a_time_that_cannot_be_read_is_none(written: str) -> None:
    assert seconds_since(written, 0.0) is None


def test_a_time_of_the_near_future_is_now_and_of_a_later_one_is_none() -> None:
    assert seconds_since("2026-01-01T00:00:10Z", 1767225600.0) == 0.0
    assert seconds_since("2026-01-01T00:02:00Z", 1767225600.0) is None
    assert seconds_since("2026-01-01T00:00:00", 1767225607.0) == 7.0


def test_other_data_before_a_restart_is_one_change_that_goes_on() -> None:
    state = RestartState()
    state.expect("one", 1.0)
    state.done.add("ns/Deployment/shop")
    state.expect("one", 2.0)
    assert (state.since, state.latest, len(state.done)) == (1.0, 1.0, 1)
    state.expect("two", 3.0)
    assert (state.since, state.latest, len(state.done)) == (1.0, 3.0, 0)
    state.begun = True
    state.expect("three", 4.0)
    assert (state.since, state.latest, state.begun) == (4.0, 4.0, False)


def test_workloads_that_are_no_longer_named_are_forgotten() -> None:
    state = RestartState()
    problem = Problem(Reason.WORKLOAD_NOT_FOUND, "gone")
    for number in range(1000):
        state.done.add(f"{number}")
        state.unchecked.add(f"{number}")
        state.problems[f"{number}"] = problem
        state.notes[f"{number}"] = "is paused"
        state.keep_only([f"{number}", "other"])
    assert len(state.done) == len(state.problems) == len(state.notes) == len(state.unchecked) == 1
