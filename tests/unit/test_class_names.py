"""One name has one meaning: in the whole package, and among tests and benchmarks."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("folders", [("secret_sync",), ("tests", "benchmarks")], ids=str)
def test_class_names_are_unique(folders: tuple[str, ...]) -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        # What a test defines within itself is nobody else's.
        nodes = ast.walk(tree) if folders == ("secret_sync",) else tree.body
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 100
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
