"""Files in, lines out: each folder of tests/data/check is a case.

``arguments`` has further flags, ``expected.txt`` what is shown. Nothing is shown of ``SECRETS``.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from secret_sync import cli

DATA = Path(__file__).parents[2] / "data" / "check"
#: What stands in the files and must not be repeated.
SECRETS = (
    "correct horse",
    "battery",
    "never shown",
    "nor is this",
    "pass1234",
    "LTAI5t",
    "your ID",
    "lily",
)


def cases() -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted(DATA.iterdir())]


@pytest.mark.parametrize("case", cases())
def test_findings_of_files(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(case)
    flags = case / "arguments"
    arguments = shlex.split(flags.read_text()) if flags.exists() else []
    files = sorted(path.name for path in case.glob("*.yaml"))
    expected = (case / "expected.txt").read_text()

    code = cli.main(["check", *files, *arguments])

    captured = capsys.readouterr()
    assert captured.out == expected
    assert captured.err == ""
    assert code == (0 if ": no problems" in expected else 1)
    assert not [secret for secret in SECRETS if secret in captured.out]
