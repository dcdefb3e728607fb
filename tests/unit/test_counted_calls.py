"""The benchmark that counts calls: each at its place in the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import calls
from benchmarks.counted import TO

if TYPE_CHECKING:
    from pathlib import Path

STATEMENT = "f = lambda n: n and f(n - 1)\nf(4)\nlen([])"


@pytest.mark.slow
def test_counted_module_writes_the_calls_of_each_path(tmp_path: Path) -> None:
    command = ["-m", "benchmarks.counted", "timeit", "-n", "3", "-r", "1", STATEMENT]
    place = tmp_path / "calls"
    subprocess.run(  # noqa: S603 (our own interpreter and code)
        [sys.executable, *command],
        check=True,
        capture_output=True,
        env={**os.environ, TO: str(place)},
        timeout=60,
    )
    found = calls.read(place)
    timed = {
        path[path.index("<timeit-src>.inner") :]: n for path, n in found.items() if _is_timed(path)
    }
    step = "<timeit-src>.inner.<locals>.<lambda>"
    assert timed["<timeit-src>.inner",] == 1
    assert timed["<timeit-src>.inner", "[len]"] == pytest.approx(3 * calls.NATIVE)
    assert [timed["<timeit-src>.inner", *[step] * depth] for depth in range(1, 6)] == [3] * 5


def _is_timed(path: tuple[str, ...]) -> bool:
    return "<timeit-src>.inner" in path


def test_tree_has_what_costs_enough_with_all_below_it_dearest_first() -> None:
    tree = {
        ("main",): 0.0,
        ("main", "loop"): 0.0,
        ("main", "loop", "cheap"): 6.0,
        ("main", "loop", "dear"): 1.0,
        ("main", "loop", "dear", "[len]"): 9.0,
        ("main", "loop", "dear", "rare"): 0.5,
    }
    lines = [line.split() for line in calls.render(tree, 5.0).splitlines()]
    assert lines == [
        ["16.5"],
        ["10.5", "1.0", "dear"],
        ["9.0", "9.0", "[len]"],
        ["6.0", "6.0", "cheap"],
    ]
    totals = [line.split() for line in calls.render_functions(tree, 5.0).splitlines()]
    assert totals[:3] == [["16.5", "main"], ["16.5", "loop"], ["10.5", "dear"]]
