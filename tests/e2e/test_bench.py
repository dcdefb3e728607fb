"""The benchmarks still run; what they measure is for ``make bench`` to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("control_plane")  # its programs are built before any test
@pytest.mark.parametrize("row", ["shared", "identities"])
def test_a_quick_benchmark_reaches_the_goal_that_no_load_can_spoil(row: str) -> None:
    done = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-m", "benchmarks.run", "--quick", "--rows", row],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last_line_of_the_table = done.stdout.strip().splitlines()[-3]
    assert last_line_of_the_table.endswith("yes")
