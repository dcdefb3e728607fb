"""Figures of a size: what they are held against, and where they are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.growth import Growth, Joining, Polling, Restart, Sync, goals, panels, summary
from benchmarks.latency import percentiles
from benchmarks.pauses import Collected, Pause

NOTHING = Collected(0, 0.0, Pause(0.0, 0, 0.0))
STEP = Growth(
    objects=50_000,
    secrets=20_000,
    sync=Sync(added=30_000, seconds=300.0, cpu_seconds=60.0, api_cpu_seconds=90.0, resident=330.0),
    restart=Restart(
        seconds=10.0, fetched=40.0, peak=390.0, blocked=0.2, writes=Counter(), collected=NOTHING
    ),
    polling=Polling(
        rest=0.01,
        seconds=270.0,
        cpu_seconds=12.7,
        polls=20_000,
        resident=300.0,
        collected=NOTHING,
    ),
    joining=Joining(
        waits=[0.02] * 100, blocked=0.09, collected=Collected(3, 0.05, Pause(1.0, 2, 0.03))
    ),
)


def reached(step: Growth) -> list[bool]:
    return [row.reached for row in goals(step) if row.reached is not None]


def test_goals_that_are_reached_are_reported_as_reached() -> None:
    assert reached(STEP) == [True] * 6


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (0, replace(STEP, polling=replace(STEP.polling, resident=351.0))),
        (1, replace(STEP, restart=replace(STEP.restart, peak=391.0))),
        (2, replace(STEP, restart=replace(STEP.restart, writes=Counter({"POST events": 1})))),
        (3, replace(STEP, polling=replace(STEP.polling, polls=15_000))),
        (4, replace(STEP, joining=replace(STEP.joining, waits=[0.031] * 100))),
        (4, replace(STEP, joining=replace(STEP.joining, waits=[0.02] * 98 + [0.3] * 2))),
        (5, replace(STEP, joining=replace(STEP.joining, blocked=0.101))),
    ],
)
def test_each_goal_that_is_missed_is_reported_as_missed(number: int, step: Growth) -> None:
    assert reached(step) == [n != number for n in range(6)]


def test_cpu_of_a_poll_is_what_it_adds_to_that_at_rest() -> None:
    assert STEP.polling.per_poll == pytest.approx(0.5)
    assert STEP.polling.per_minute == pytest.approx(12.7 / 4.5)
    assert replace(STEP.polling, polls=0).per_poll == 0


def test_summary_has_all_figures_with_their_units() -> None:
    row = summary(STEP)
    assert row.what == "50000 objects, 20000 KMS secrets"
    assert row.reached is None
    assert row.values["resident_mib"] == 300
    assert row.values["start_blocked_ms"] == 200
    assert row.values["p50_ms"] == pytest.approx(20)
    assert row.values["gc_joining_longest_ms"] == pytest.approx(30)


def test_writes_of_a_restart_are_named() -> None:
    writes = Counter({"POST events": 1, "APPLY externalsecrets/status": 2})
    rows = goals(replace(STEP, restart=replace(STEP.restart, writes=writes)))
    assert rows[2].figure.startswith("2 APPLY externalsecrets/status, 1 POST events; lists")
    assert goals(STEP)[2].figure.startswith("no writes; lists")


def test_collections_are_summed_up_by_phase() -> None:
    row = next(row for row in goals(STEP) if "garbage" in row.what)
    assert row.figure == (
        "start: 0 in 0.00 s, longest 0.0 ms; polling: 0 in 0.00 s, longest 0.0 ms; "
        "joining: 3 in 0.05 s, longest 30.0 ms (generation 2)"
    )


def test_panels_have_a_point_for_each_size() -> None:
    small = replace(STEP, objects=1000, polling=replace(STEP.polling, resident=70.0))
    memory, _, latency, blocked = panels([small, STEP])
    assert memory.lines["resident"] == [(1000, 70.0), (50_000, 300.0)]
    assert memory.lines["peak of a start"] == [(1000, 390.0), (50_000, 390.0)]
    assert [y for _, y in latency.lines["p99"]] == pytest.approx([20, 20])
    assert [y for _, y in blocked.lines["garbage collector"]] == pytest.approx([30, 30])


def test_percentiles_are_milliseconds() -> None:
    seconds = [n / 1000 for n in range(101)]
    assert percentiles(seconds) == pytest.approx((50, 99, 100))
    assert percentiles([0.01, 0.03]) == pytest.approx((20, 29.8, 30))
