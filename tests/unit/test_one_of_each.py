"""What the whole package has once: the backoff and the clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import secret_sync
from tests.support.source import nodes_of

PACKAGE = Path(secret_sync.__file__).parent
#: The playground imports no other package.
SOURCES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if "local" not in path.relative_to(PACKAGE).parts
]


def is_doubling(node: ast.AST) -> bool:
    """``2 ** failures``: an exponential wait; a constant exponent is a size."""
    match node:
        case ast.BinOp(left=ast.Constant(value=2 | 2.0), op=ast.Pow(), right=ast.Constant()):
            return False
        case ast.BinOp(left=ast.Constant(value=2 | 2.0), op=ast.Pow()):
            return True
        case ast.Call(func=ast.Attribute(attr="ldexp")):
            return True
    return False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_waits_double_and_clocks_are_defined_in_one_module(path: Path) -> None:
    if path.parent == PACKAGE / "templates":
        # It computes with powers of two, and has Go's own names.
        return
    if path != PACKAGE / "backoff.py":
        assert [ast.unparse(node) for node in nodes_of(path) if is_doubling(node)] == []
    if path != PACKAGE / "clock.py":
        clocks = [
            node.name
            for node in nodes_of(path)
            if isinstance(node, ast.FunctionDef) and node.name in {"now", "_now", "now_text"}
        ]
        assert clocks == []
        assert '"%Y-%m-%dT%H:%M:%SZ"' not in path.read_text()


def test_store_kinds_are_not_inferred_from_keys() -> None:
    tests = [
        f"{path.name}: {ast.unparse(node)}"
        for path in sorted((PACKAGE / "controller").rglob("*.py"))
        for node in nodes_of(path)
        if isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Constant)
        and node.left.value == "/"
    ]
    assert tests == []
