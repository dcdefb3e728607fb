"""What the program can say, word for word, and whether a line quotes it."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.support.source import nodes_of
from tests.unit.reference_facts import PLURALS, definition, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Stands for whatever is filled in.
_HOLE = "\0"
#: What differs, in a line of the document.
_DIFFERS = re.compile(r"<[^<>]*>")
#: A line without so long a piece of ours would be found anywhere.
_LEAST = 10


@cache
def literals() -> frozenset[str]:
    """Every text in the code, with holes where values are filled in."""
    found: set[str] = set()
    for path, _ in sources():
        found.update(_texts(nodes_of(path)))
    for kind in PLURALS:
        found.update(_messages(definition(kind)))
    return frozenset(found)


def _texts(nodes: Sequence[ast.AST]) -> Iterator[str]:
    documented = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else _HOLE for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in documented:
            # Nobody sees a docstring.
            yield from (node.value,) if isinstance(node.value, str) else ()


def is_said(line: str) -> bool:
    """Whether the code has a text that the line can be a quotation of."""
    pieces = _DIFFERS.split(line)
    if max(map(len, pieces)) < _LEAST:
        return False
    return any(_quotes(pieces, literal) for literal in literals())


def _quotes(pieces: Sequence[str], literal: str) -> bool:
    at = 0
    for piece in pieces:
        at = literal.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def _messages(schema: Any) -> Iterator[str]:
    """What the API server says where a rule of a definition is broken."""
    if isinstance(schema, dict):
        for rule in schema.get("x-kubernetes-validations", ()):
            yield rule["message"]
    below = schema.values() if isinstance(schema, dict) else schema
    for part in below if isinstance(schema, dict | list) else ():
        yield from _messages(part)
