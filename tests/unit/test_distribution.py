"""What is shared out by name is there: a renamed file would run beside others, or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.distribution import ALONE, FIRST, LONG, TOGETHER

ROOT = Path(__file__).parents[2]
PLACES = {*ALONE, *LONG, *FIRST, *(place for places in TOGETHER.values() for place in places)}


@pytest.mark.parametrize("place", sorted(PLACES - set(TOGETHER)))
def test_file_or_test_exists(place: str) -> None:
    path, _, name = place.partition("::")
    assert (ROOT / path).exists()
    if name:
        assert re.search(rf"^(async )?def {name}", (ROOT / path).read_text(), re.MULTILINE)


def test_mark_for_running_alone_comes_from_the_list() -> None:
    """`pytest -m alone` collects no other file."""
    files = ROOT.glob("tests/**/*.py")
    marked = [path.name for path in files if re.search(r"mark\.alone\b", path.read_text())]
    assert marked == ["distribution.py"]


def test_ci_runs_what_make_test_leaves_out() -> None:
    assert re.search(r"^make test-all$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    rules = (ROOT / "Makefile").read_text()
    assert re.search(r"^test-all:.*\n\t\$\(call run-tests\)$", rules, re.MULTILINE)
