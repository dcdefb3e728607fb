"""docs/architecture.md: what it names exists, and its links lead somewhere."""

from __future__ import annotations

import ast
import re

from tests.support.documentation import ROOT, sections
from tests.unit.reference_tables import Page, anchor

DOCUMENT = "docs/architecture.md"
PAGE = Page((ROOT / DOCUMENT).read_text())
INVARIANTS = PAGE.rows("Invariants", "name")


def test_every_module_and_test_file_exists() -> None:
    paths = re.findall(r"`([\w-]+(?:/[\w-]+)*\.(?:py|toml)|[a-z_]+/)`", PAGE.text)
    assert len(paths) > 60
    missing = [
        path
        for path in paths
        if not any((ROOT / part / path).exists() for part in ("", "secret_sync"))
    ]
    assert missing == []


def names_in(path: str) -> set[str]:
    """The classes of a module and their methods, as ``Class.method``."""
    tree = ast.parse((ROOT / "secret_sync" / path).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    methods = {
        f"{owner.name}.{node.name}"
        for owner in classes
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return methods | {owner.name for owner in classes}


def test_every_function_that_is_named_with_its_module_exists() -> None:
    """Such as `` `SecretWriter.ensure` in `controller/secret_target/writer.py` ``."""
    named = re.findall(r"`(\w+(?:\.\w+)?)` in\s+`([\w/]+\.py)`", PAGE.text)
    assert len([name for name, _ in named if "." in name]) >= 4
    assert [(name, path) for name, path in named if name not in names_in(path)] == []


def test_every_invariant_has_a_name_of_its_own_and_a_test() -> None:
    names = [row["name"] for row in INVARIANTS]
    assert len(names) > 50
    assert len(set(names)) == len(names)
    for row in INVARIANTS:
        assert row["what holds"]
        assert row["why"]
        assert "`tests/" in row["tests"], row["name"]


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w./-]*)#?([^)]*)\)", PAGE.text)
    assert len([mark for _, mark in links if mark]) >= 5
    for file, mark in links:
        name = file.removeprefix("../") if file.startswith("../") else file and f"docs/{file}"
        text = (ROOT / (name or DOCUMENT)).read_text()
        titles = re.findall(r"^##+ (.+)$", text, flags=re.MULTILINE)
        assert mark in {"", *(anchor(title) for title in titles)}, (file, mark)


def test_the_steps_are_in_order() -> None:
    (table,) = PAGE.tables("From watch event to applied Secret", "step")
    numbers = [int(row["step"].split(".")[0]) for row in table.rows]
    assert numbers == list(range(1, len(numbers) + 1))
    assert any(part.title == "Rate limits" for part in sections(DOCUMENT))
