"""The runner of the mutants, on a package of one function; and that its list fits the code."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.mutants.run import (
    MUTANTS,
    ROOT,
    Mutant,
    MutantError,
    Verdict,
    check,
    main,
    mutated,
    read_mutants,
    verdict_of,
)

if TYPE_CHECKING:
    from pathlib import Path

KILLED = Mutant("sums.py", "a + b", "a - b", "sums are wrong", ("test_sums.py",))
SURVIVOR = replace(KILLED, text="if a == 7:", replacement="if False:")

SUMS = """
def add(a, b):
    if a == 7:
        return b + 7
    return a + b
"""
TEST = """
from secret_sync.sums import add

def test_add():
    assert add(1, 2) == 3
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in {
        "secret_sync/__init__.py": "",
        "secret_sync/sums.py": SUMS,
        "tests/unit/test_sums.py": TEST,
        "pytest.ini": "[pytest]",
    }.items():
        file = tmp_path / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "tree"


@pytest.mark.slow
def test_a_fault_that_no_test_notices_survives(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tree, [KILLED, SURVIVOR]) == [SURVIVOR]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "killed",
        "SURVIVED",
    ]
    # It was made in a copy.
    assert (tree / "secret_sync/sums.py").read_text() == SUMS


@pytest.mark.slow
def test_tests_that_fail_by_themselves_prove_nothing(tree: Path) -> None:
    (tree / "secret_sync/sums.py").write_text(SUMS.replace("a + b", "a * b  # a + b"))
    with pytest.raises(MutantError, match="fail without any fault"):
        check(tree, [KILLED])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "within", "message"),
    [
        ("import nothing_of_the_kind", 60, "pytest ended with 2"),
        ("", 60, "pytest ended with 5"),
        ("def test():\n    import time\n    time.sleep(60)", 3, "no verdict of .* within 3 s"),
    ],
    ids=["cannot be imported", "no tests", "takes too long"],
)
def test_tests_that_say_nothing_are_an_error(
    tree: Path, test: str, within: float, message: str
) -> None:
    (tree / "tests/unit/test_sums.py").write_text(test)
    with pytest.raises(MutantError, match=message):
        verdict_of(tree, ["test_sums.py"], within=within)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "a+b"}, "it is in no file of the package"),
        ({"file": "gone.py"}, "it is in sums.py now"),
        ({"text": "a"}, "times; give more of it"),
        ({"tests": ("test_gone.py",)}, "no such tests: test_gone.py"),
        ({"tests": ()}, "no such tests: none are named"),
    ],
)
def test_a_mutant_that_does_not_fit_the_code_is_an_error(
    tree: Path, change: dict[str, str], message: str
) -> None:
    with pytest.raises(MutantError, match=message):
        mutated(tree, replace(KILLED, **change))  # type: ignore[arg-type]


def test_all_errors_of_the_list_are_reported_at_once(tree: Path) -> None:
    with pytest.raises(MutantError, match=r"(?s)gone1.*gone2"):
        check(tree, [replace(KILLED, text="gone1"), KILLED, replace(KILLED, text="gone2")])


def test_the_list_fits_the_code() -> None:
    mutants = read_mutants(MUTANTS)
    assert len(mutants) >= 30
    assert len(set(mutants)) == len(mutants)
    for mutant in mutants:
        compile(mutated(ROOT, mutant), mutant.file, "exec")
        assert mutant.why
    for part in ("secret_target/ownership", "secret_target/", "queue/", "sources/", "parse/"):
        assert sum(part in mutant.file for mutant in mutants) >= 5


def test_result_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, tree: Path) -> None:
    verdicts = {KILLED: Verdict.KILLED, SURVIVOR: Verdict.SURVIVED}
    monkeypatch.setattr("tests.mutants.run.ROOT", tree)
    monkeypatch.setattr("tests.mutants.run.read_mutants", lambda _: list(verdicts))
    given = iter([Verdict.SURVIVED, *verdicts.values()])
    monkeypatch.setattr("tests.mutants.run.verdict_of", lambda *_, **__: next(given))
    assert main([]) == 1
    given = iter([Verdict.KILLED])
    assert main(["--no-baseline", "--only", "a + b"]) == 0
    (tree / "secret_sync/sums.py").write_text("")
    assert main([]) == 2
