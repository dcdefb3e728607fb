"""The walks of CONTRIBUTING.md lead where they say: followed in a copy of the tree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.run import ROOT, TESTS, Verdict, copy_tree, verdict_of

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
WALKS = {
    path.stem: tomllib.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "walks").glob("*.toml"))
}
HEADINGS = re.findall(r"^## (In an afternoon: .*)$", CONTRIBUTING, re.MULTILINE)
#: What a step names: a file or folder of the tree.
PATH = re.compile(r"`((?:secret_sync|tests|crds|docs)/[\w./-]*)`")
#: A name in a file: "`_first` in `secret_sync/...`", "`METHODS` in\n `tests/...`".
NAME_IN = re.compile(r"`(\w+)` in\s+`([\w./-]+\.py)`")
#: The last step reports what is missing; the tests of the others pass.
WITHIN = 250.0


def steps_of(heading: str) -> list[str]:
    """Return the text of each step of a walk."""
    section = CONTRIBUTING.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]


def follow(root: Path, edit: dict[str, Any]) -> None:
    """Make one edit of a walk."""
    if "run" in edit:
        subprocess.run(edit["run"], cwd=root, check=True, timeout=60)  # noqa: S603 (make)
        return
    path = root / edit["file"]
    if edit.get("append"):
        path.write_text(path.read_text() + edit["text"])
        return
    if not edit.keys() & {"after", "copy"}:
        assert not path.exists(), f"{edit['file']} exists already"
        path.write_text(edit["text"])
        return
    if "copy" in edit:
        # The block below a line, once more under other names.
        line = rf"^( *){re.escape(edit['copy'])}\n(?:\1 +.*\n)+"
        block = re.search(line, path.read_text(), re.MULTILINE)
        assert block is not None, f"{edit['file']} has no {edit['copy']!r} any more"
        text = block[0]
        for name, other in edit["renamed"].items():
            text = text.replace(name, other)
        path.write_text(path.read_text().replace(block[0], block[0] + text))
        return
    found, anchor, new = path.read_text(), edit["after"], edit["text"]
    assert anchor in found, f"{edit['file']} has no {anchor!r} any more"
    if not edit.get("inline"):
        # Behind the whole line.
        anchor = rf"{re.escape(anchor)}[^\n]*\n"
        path.write_text(re.sub(anchor, lambda line: line[0] + new, found))
    else:
        path.write_text(found.replace(anchor, anchor + new))


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_walk_names_what_there_is(heading: str) -> None:
    steps = steps_of(heading)
    assert len(steps) == 6
    for step in steps:
        for path in PATH.findall(step):
            assert (ROOT / path).exists(), path
        for name, path in NAME_IN.findall(step):
            assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{name} in {path}"


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_an_edit_is_in_a_file_that_its_step_names(walk: dict[str, Any]) -> None:
    steps = steps_of(walk["walk"])
    for edit in walk["edit"]:
        assert edit.get("names", edit.get("file")) in steps[edit["step"] - 1], edit


@pytest.mark.slow
@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_a_walk_leads_where_it_says(walk: dict[str, Any], tmp_path: Path) -> None:
    copy = tmp_path / "tree"
    copy_tree(ROOT, copy)
    for edit in walk["edit"]:
        follow(copy, edit)
    named = {
        str(path.relative_to(copy / TESTS))
        for step in steps_of(walk["walk"])[:-1]
        for found in PATH.findall(step)
        if (path := copy / found).is_relative_to(copy / TESTS) and path.suffix == ".py"
    }
    made = {edit.get("file", "").removeprefix(f"{TESTS}/") for edit in walk["edit"]}
    tests = sorted(named | {file for file in made if (copy / TESTS / file).is_file()})
    assert len(tests) >= 4
    assert verdict_of(copy, tests, within=WITHIN) is Verdict.SURVIVED
    # What users are not told yet is found.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    report = subprocess.run(  # noqa: S603 (our own tests)
        [*command, *(str(TESTS / test) for test in walk["undocumented"])],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert report.returncode == 1
    assert walk["missing"] in report.stdout
