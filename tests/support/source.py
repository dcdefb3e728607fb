"""Our own code, for the tests that hold it against rules: parsed once for all of them."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Return a file's whole syntax tree, its module first; nobody may change it."""
    return tuple(ast.walk(ast.parse(path.read_text())))
