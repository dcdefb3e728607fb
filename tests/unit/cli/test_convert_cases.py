"""Manifests in, manifests out: each folder of tests/data/convert is a case.

``eso.yaml`` is written after public examples of ``provider.alibaba``, ``arguments`` has further
flags, ``expected.yaml`` is what is printed. A case with ``secrets.yaml`` is also applied: see
tests/integration/controller/test_converted.py.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from secret_sync import cli

DATA = Path(__file__).parents[2] / "data" / "convert"


def cases() -> list[Any]:
    return [pytest.param(path, id=path.name) for path in sorted(DATA.iterdir())]


def arguments_of(case: Path) -> list[str]:
    flags = case / "arguments"
    return shlex.split(flags.read_text()) if flags.exists() else []


def is_applied(case: Path) -> bool:
    return (case / "secrets.yaml").exists()


@pytest.mark.parametrize("case", cases())
def test_manifests_are_converted(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(case)
    expected = (case / "expected.yaml").read_text()

    code = cli.main(["convert", "eso.yaml", *arguments_of(case)])

    assert capsys.readouterr().out == expected
    assert code == ("# LOST" in expected or "# INCOMPLETE" in expected)


@pytest.mark.parametrize("case", cases())
def test_strict_fails_where_something_differs(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(case)
    code = cli.main(["convert", "--strict", "eso.yaml", *arguments_of(case)])
    printed = capsys.readouterr().out
    assert code == any(f"# {word}: " in printed for word in ("LOST", "INCOMPLETE", "DIFFERS"))


@pytest.mark.parametrize("case", cases())
def test_incomplete_objects_are_manifests_once_uncommented(case: Path) -> None:
    documents = (case / "expected.yaml").read_text().split("---\n")
    incomplete = [text for text in documents if " is not complete: " in text]
    assert incomplete or not case.name.startswith("incomplete-")
    for text in incomplete:
        assert yaml.safe_load(text) is None
        uncommented = "".join(f"{line.removeprefix('#')}\n" for line in text.splitlines())
        assert yaml.safe_load(uncommented)["apiVersion"] == "alibabacloud.com/v1alpha1"


@pytest.mark.parametrize("case", [case for case in cases() if is_applied(case.values[0])])
def test_check_finds_no_problem_in_what_is_applied(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(case)
    assert cli.main(["check", "expected.yaml"]) == 0, capsys.readouterr().out


def test_cases_that_are_not_applied_have_something_that_cannot_be() -> None:
    applied = [case for case in DATA.iterdir() if is_applied(case)]
    assert len(applied) >= 45
    assert all((case / "kms.yaml").exists() for case in applied)
    for case in set(DATA.iterdir()) - set(applied):
        expected = (case / "expected.yaml").read_text()
        assert " is not complete: " in expected, case.name
