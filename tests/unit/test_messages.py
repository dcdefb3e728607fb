"""Rules for every message: what it names, and where it sends its reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secret_sync.resources.schema import FIELDS
from tests.unit.reference_messages import literals

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests" / "data" / "check").glob("*/expected.txt"))

#: Who reads a message has no copy of the source.
SOURCE_TREE = re.compile(r"(?<![\w./-])(?:deploy|docs|tests|secret_sync|requirements)/\w")
#: After "see": a URL, a flag, a command's help, a field of the object, or the log.
ADDRESS = re.compile(
    r"see (?:https://\S+|--[a-z-]+|(?:secret-sync|\0) \S+ --help|\0 --help|status\.\w+"
    r"|the controller's log|why\b)"
)
SEE = re.compile(r"(?:[;:,] |\(|^|to )see \S")
#: A field of a kind, as a message writes it.
FIELD = re.compile(r"\bspec\.[A-Za-z]\w*(?:\[\d+\])?(?:\.\w+(?:\[\d+\])?)*")


def messages() -> list[str]:
    """Sentences: a path, a name or a format alone is no message."""
    return sorted(text for text in literals() if text.count(" ") >= 2)


def test_messages_are_found() -> None:
    assert len(messages()) > 500
    assert FIELDS


def test_messages_name_no_path_of_the_source_tree() -> None:
    assert [text for text in messages() if SOURCE_TREE.search(text)] == []


def test_see_is_followed_by_an_address() -> None:
    sending = [text for text in messages() if SEE.search(text)]
    assert sending
    assert [text for text in sending if not ADDRESS.search(text)] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_a_line_names_object_and_field_once(case: Path) -> None:
    for line in case.read_text().splitlines():
        found = re.match(r"\S+ ((?:Cluster)?(?:SecretStore|ExternalSecret))/([\w.-]+): (.*)", line)
        if found is None:
            continue
        kind, name, message = found.groups()
        assert not re.search(rf"\b{kind} (?:[\w-]+/)?{re.escape(name)}\b", message), line
        fields = FIELD.findall(message)
        assert len(fields) == len(set(fields)), line


@pytest.mark.parametrize(
    "wrong",
    [
        "the rules it needs are in deploy/base",
        "described in docs/reference.md, as ever",
    ],
)
def test_rule_finds_a_path(wrong: str) -> None:
    assert SOURCE_TREE.search(wrong)


@pytest.mark.parametrize("wrong", ["it failed; see its RBAC rules", "it failed (see the docs)"])
def test_rule_finds_a_see_without_an_address(wrong: str) -> None:
    assert SEE.search(wrong)
    assert not ADDRESS.search(wrong)
