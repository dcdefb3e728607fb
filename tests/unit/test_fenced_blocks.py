"""Everything that a page has fenced is run or checked by a test, or it says why it cannot be."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
import yaml

from tests.support.documentation import ROOT, block, blocks

LIST: Final = ROOT / "tests/data/fenced_blocks.toml"
#: For each page what its fences say, and the test that runs such blocks.
PAGES: Final[dict[str, dict[str, str]]] = tomllib.loads(LIST.read_text())
NOT_RUN: Final = "not run: "
#: What reads the blocks for the tests beside it.
HELPERS: Final = (
    "tests/integration/deploy/person.py",
    "tests/integration/migration/shell.py",
)
QUOTES: Final = (('"', '"'), ("'", "'"), ("```", "\\n"))
FENCED: Final = sorted(
    str(page.relative_to(ROOT))
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    if "```" in page.read_text()
)


@pytest.mark.parametrize("page", FENCED)
def test_each_fenced_block_has_a_test(page: str) -> None:
    found = [one.info for one in blocks(page)]
    assert set(found) == PAGES.get(page, {}).keys(), f"write it into {LIST.relative_to(ROOT)}"
    # Nothing is fenced in another way, so that it would not be found.
    fences = re.findall(r"^\s*(?:```|~~~)", (ROOT / page).read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(found)


def test_pages_with_tests_have_blocks() -> None:
    assert sorted(PAGES) == FENCED


TESTS: Final = sorted(
    {
        (test, info)
        for kinds in PAGES.values()
        for info, test in kinds.items()
        if not test.startswith(NOT_RUN)
    }
)


@pytest.mark.parametrize(("test", "info"), TESTS)
def test_named_test_reads_such_a_block(test: str, info: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), test
    # What follows a walkthrough reads what is shown behind each command.
    helpers = [(ROOT / helper).read_text() for helper in HELPERS]
    words = {info, info.rsplit(maxsplit=1)[-1]}
    quoted = [f"{quote}{word}{end}" for word in words for quote, end in QUOTES]
    assert any(word in part for word in quoted for part in (text, *helpers)), test


def test_commands_of_contributing_exist() -> None:
    for line in block("CONTRIBUTING.md", "sh").splitlines():
        command = line.partition("#")[0].split()
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        assert command[0] == ".venv/bin/pytest"
        file, _, name = command[-1].partition("::")
        assert command[1] == "-k" or (ROOT / file).exists()
        assert not name or f"def {name}(" in (ROOT / file).read_text()


def test_rules_for_leader_election_are_those_of_the_component() -> None:
    (rule,) = yaml.safe_load(block("docs/reference.md", "yaml rules"))
    role = yaml.safe_load((ROOT / "deploy/components/ha/role.yaml").read_text())
    assert {verb for one in role["rules"] for verb in one["verbs"]} == set(rule["verbs"])
    for one in role["rules"]:
        assert (one["apiGroups"], one["resources"]) == (rule["apiGroups"], rule["resources"])


def test_commands_of_the_installation_with_one_name_are_the_same() -> None:
    """Whoever follows that page takes the first of them."""
    commands = [one for one in blocks("docs/install.md") if one.info.startswith("sh ")]
    assert len(commands) > 10
    assert len(set(commands)) == len({one.info for one in commands})
