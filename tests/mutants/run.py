"""Checks that the unit tests notice faults: ``python -m tests.mutants.run``.

Each fault of ``mutants.toml`` is made in a copy of the working tree, in which the tests named
beside it have to fail. Without any fault all of them have to pass there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).parents[2]
MUTANTS: Final = Path(__file__).with_name("mutants.toml")
PACKAGE: Final = Path("secret_sync")
TESTS: Final = Path("tests/unit")
#: Seconds for the tests of one mutant, and for all tests without any.
ONE_WITHIN: Final = 240.0
ALL_WITHIN: Final = 900.0
#: Exit codes of pytest.
_PASSED: Final = 0
_FAILED: Final = 1
#: What the tests do not need, and what is large.
_LEFT_OUT: Final = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "dist", "build")


class MutantError(Exception):
    """The list does not fit the code, or the tests say nothing."""


class Verdict(Enum):
    """What the tests said of a tree."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        file: Where it is made, below the package.
        text: What stands there, once.
        replacement: What takes its place.
        why: What users would notice.
        tests: Files of tests that have to fail, below ``tests/unit``.
    """

    file: str
    text: str
    replacement: str
    why: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        """Return what was changed to what."""
        return f"{self.file}: {self.text} -> {self.replacement or 'nothing'}"


def read_mutants(path: Path) -> list[Mutant]:
    """Read a list of mutants."""
    items = tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    return [Mutant(**{**item, "tests": tuple(item["tests"])}) for item in items]


def mutated(root: Path, mutant: Mutant) -> str:
    """Return the text of the file with the fault.

    Raises:
        MutantError: The text is not there, or there twice, or a test is not there.
    """
    missing = [test for test in mutant.tests if not (root / TESTS / test).is_file()]
    if missing or not mutant.tests:
        raise MutantError(f"{mutant}: no such tests: {', '.join(missing) or 'none are named'}")
    path = root / PACKAGE / mutant.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    count = text.count(mutant.text)
    if count == 1:
        return text.replace(mutant.text, mutant.replacement)
    if count:
        raise MutantError(f"{mutant}: the text is there {count} times; give more of it")
    package = root / PACKAGE
    found = [
        str(other.relative_to(package))
        for other in sorted(package.rglob("*.py"))
        if mutant.text in other.read_text(encoding="utf-8")
    ]
    where = f"it is in {', '.join(found)} now" if found else "it is in no file of the package"
    raise MutantError(f"{mutant}: the text is not there; {where}")


def verdict_of(root: Path, tests: Iterable[str], *, within: float) -> Verdict:
    """Run tests in a tree until one fails.

    Args:
        root: The tree.
        tests: Files, below ``tests/unit``.
        within: Seconds.

    Raises:
        MutantError: They neither passed nor failed: they could not be run, or took too long.
    """
    files = [str(TESTS / test) for test in dict.fromkeys(tests)]
    # Compiled files are recognised by size and second, which a fault may have in common with them.
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    # Whatever the tests start belongs to their session, and ends with it.
    with subprocess.Popen(  # noqa: S603 (our own tests)
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            message = f"no verdict of {', '.join(files)} within {within:.0f} s"
            raise MutantError(message) from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode == _PASSED:
        return Verdict.SURVIVED
    if process.returncode == _FAILED:
        return Verdict.KILLED
    raise MutantError(f"pytest ended with {process.returncode}:\n{output[-4000:]}")


def copy_tree(root: Path, to: Path) -> None:
    """Copy what the unit tests need."""
    shutil.copytree(root, to, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)


def check(root: Path, mutants: Sequence[Mutant], *, baseline: bool = True) -> list[Mutant]:
    """Check each mutant in a copy of a tree, and print the verdicts.

    Args:
        root: The tree, which is left as it is.
        mutants: What to check.
        baseline: Whether to run their tests without any fault first.

    Returns:
        Those that no test noticed.

    Raises:
        MutantError: The list does not fit the tree, or the tests fail without any fault.
    """
    # All at once: the list is mended in one go.
    faulty = {mutant: _or_error(root, mutant) for mutant in mutants}
    if errors := [str(found) for found in faulty.values() if isinstance(found, MutantError)]:
        raise MutantError("\n".join(errors))
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory) / "tree"
        copy_tree(root, copy)
        if baseline:
            tests = [test for mutant in mutants for test in mutant.tests]
            if verdict_of(copy, tests, within=ALL_WITHIN) is not Verdict.SURVIVED:
                raise MutantError("the tests fail without any fault; run them by themselves first")
        for mutant, text in faulty.items():
            path = copy / PACKAGE / mutant.file
            sound = path.read_text(encoding="utf-8")
            path.write_text(str(text), encoding="utf-8")
            began = time.monotonic()
            verdict = verdict_of(copy, mutant.tests, within=ONE_WITHIN)
            path.write_text(sound, encoding="utf-8")
            print(f"{verdict.value:8} {time.monotonic() - began:5.1f} s  {mutant}", flush=True)  # noqa: T201 (a report)
            if verdict is Verdict.SURVIVED:
                survivors.append(mutant)
    return survivors


def _or_error(root: Path, mutant: Mutant) -> str | MutantError:
    try:
        return mutated(root, mutant)
    except MutantError as error:
        return error


def main(argv: Sequence[str] | None = None) -> int:
    """Check the list; 1 if a mutant survives, 2 if the list does not fit the code."""
    parser = argparse.ArgumentParser(prog="tests.mutants.run", description=__doc__)
    parser.add_argument("--only", default="", help="those whose file or text contains this")
    parser.add_argument("--no-baseline", action="store_true", help="skip the tests without faults")
    arguments = parser.parse_args(argv)
    chosen = [m for m in read_mutants(MUTANTS) if arguments.only in f"{m.file} {m.text}"]
    try:
        survivors = check(ROOT, chosen, baseline=not arguments.no_baseline)
    except MutantError as error:
        print(error, file=sys.stderr)  # noqa: T201 (a report)
        return 2
    for mutant in survivors:
        print(f"\nNo test of {', '.join(mutant.tests)} notices {mutant}:\n  {mutant.why}")  # noqa: T201
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")  # noqa: T201
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
