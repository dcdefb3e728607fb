"""Tests see of the controller what is public: its internals change without a test."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
#: Why these need what is private.
ALLOWED = {
    "tests/unit/test_maps.py": "finds every map of an object by its name, and counts what it holds",
    "tests/unit/test_private_parts.py": "fails when the private parts of a library change",
    "tests/chaos/child.py": "sys._current_frames() is documented, whatever its name says",
}
#: Their second argument is a name.
BY_NAME = {"getattr", "setattr", "delattr", "hasattr"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def methods_of_the_package() -> set[str]:
    """Names of private methods and attributes of our classes."""
    found = set()
    for path in (ROOT / "secret_sync").rglob("*.py"):
        for owner in ast.walk(ast.parse(path.read_text())):
            if isinstance(owner, ast.ClassDef):
                names = (getattr(n, "name", getattr(n, "attr", "")) for n in ast.walk(owner))
                found |= {name for name in names if name and is_private(name)}
    return found


def private_parts(text: str, methods: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each use of something private of another module."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    for node in nodes:
        yield from ((line_of(node), name) for name in names_in(node) if is_private(name))
    ours = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("secret_sync")
        for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.ClassDef) and ours & {ast.unparse(base) for base in node.bases}:
            yield from overridden(node, methods)


def line_of(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def names_in(node: ast.AST) -> list[str]:
    """The names by which a node refers to parts of something else."""
    match node:
        case ast.Attribute(value=ast.Name("self" | "cls")):
            return []
        case ast.Attribute(attr=name):
            return [name]
        case ast.ImportFrom(names=aliases):
            return [alias.name for alias in aliases]
        case ast.Call(func=ast.Name(called) | ast.Attribute(attr=called)) if called in BY_NAME:
            # Also of monkeypatch, whose first argument may be a dotted name.
            texts = [a.value for a in node.args[:2] if isinstance(a, ast.Constant)]
            return [text.rpartition(".")[2] for text in texts if isinstance(text, str)]
    return []


def overridden(derived: ast.ClassDef, methods: set[str]) -> Iterator[tuple[int, str]]:
    """What a class that derives from one of ours overrides or uses of its private parts."""
    own = set()
    for node in ast.walk(derived):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in methods:
                yield node.lineno, name
            case ast.Attribute(value=ast.Name("self"), attr=name, ctx=ast.Store()):
                own.add(name)
    for node in ast.walk(derived):
        match node:
            case ast.Attribute(value=ast.Name("self"), attr=name) if name in methods - own:
                yield node.lineno, name


def test_tests_use_nothing_private_of_the_package() -> None:
    methods, found = methods_of_the_package(), []
    for folder in ("tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = str(path.relative_to(ROOT))
            parts = [
                f"{place}:{line} {name}" for line, name in private_parts(path.read_text(), methods)
            ]
            if place in ALLOWED:
                assert parts, f"{place} needs no exception any more"
            else:
                found += parts
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "cache._entries",
        "harness.registry._fetcher.queues",
        "from secret_sync.logs import _DRAIN_WITHIN",
        "monkeypatch.setattr(steps, '_BACKOFF', 1)",
        "monkeypatch.setattr('secret_sync.dns._look_up', 1)",
        "getattr(queue, '_levels')",
        "from secret_sync.kube import A\nclass B(A):\n    def _send(self): ...",
        "from secret_sync.kube import A\nclass B(A):\n    x = lambda self: self._send",
    ],
)
def test_private_parts_are_found(text: str) -> None:
    assert len(list(private_parts(text, {"_send"}))) == 1


def test_private_parts_of_a_test_are_its_own() -> None:
    text = "class A:\n    def __init__(self): self._send = 1\n    def f(self): return self._send"
    assert list(private_parts(text, {"_send"})) == []
