"""What is known of a terminal, and how texts are fitted into it."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from secret_sync.cli.terminal import Screen, cells, plain, wrapped
from tests.unit.cli.fakes import Terminal


@pytest.mark.parametrize(
    ("environ", "colours"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], colours: bool) -> None:  # noqa: FBT001 (a parameter)
    assert Screen.of(Terminal(), environ).colours is colours
    assert not Screen.of(io.StringIO(), environ).colours


def test_lines_have_an_end_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "66")
    assert Screen.of(Terminal(), {}).width == 66
    assert Screen.of(io.StringIO(), {}).width == 0


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("fits", 4, ["fits"]),
        ("does not", 5, ["does", "not"]),
        ("does not fit", 8, ["does not", "fit"]),
        ("a bad-gateway", 5, ["a", "bad-g", "ateway"[:5], "y"]),
        ("凭据不存在", 10, ["凭据不存在"]),
        ("凭据不存在", 9, ["凭据不存", "在"]),
    ],
)
def test_text_is_wrapped_by_the_columns_it_takes(text: str, room: int, expected: list[str]) -> None:
    assert wrapped(text, room) == expected
    assert all(cells(line) <= room for line in wrapped(text, room))


def test_accent_of_its_own_takes_no_column() -> None:
    assert cells("e\N{COMBINING ACUTE ACCENT}") == 1


def test_text_is_one_line_without_control_characters() -> None:
    assert plain("a\n  b\t\x1b[31mc\u202e") == "a b ?[31mc?"


def test_reader_that_leaves_is_no_failure() -> None:
    program = "from secret_sync.cli.terminal import say\nfor _ in range(9999): say('line\\n')"
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as output:
        done = subprocess.run(  # noqa: S603 (our own words)
            [sys.executable, "-c", program],
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
