"""Private parts of libraries: each in one module that names the version it was written against."""

from __future__ import annotations

import ast
import asyncio
import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import aiohttp
import jmespath.functions
import jmespath.lexer
import jmespath.parser
import pytest
from aiolimiter import AsyncLimiter

import secret_sync
from tests.support.source import nodes_of

PACKAGE = Path(secret_sync.__file__).parent
ADAPTERS = (
    "secret_sync.cloud.connections",
    "secret_sync.cloud.rate_limiter",
    "secret_sync.parse.jmespath_parts",
)
#: Private names of libraries, by what they belong to.
PARTS = {
    aiohttp.TCPConnector: {"_conns", "_get"},
    AsyncLimiter: {"_level"},
    jmespath.lexer.Lexer: {"_consume_literal", "_consume_until", "_position"},
    jmespath.parser.Parser: {
        "_tokens",
        "_index",
        "_expression",
        "_current_token",
        "_error_nud_token",
        "_lookahead_token",
    },
    jmespath.functions.Functions: {
        "_create_key_func",
        "_type_check",
        "_type_check_single",
        "_get_allowed_pytypes",
        "_convert_to_jmespath_type",
    },
}
#: Underscored, but public: methods of named tuples.
PUBLIC = {"_replace", "_asdict", "_fields"}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapter_was_written_against_the_installed_version(adapter: str) -> None:
    """Read the library's changes, run the adapter's tests, then name the new version."""
    library, written_against = import_module(adapter).WRITTEN_AGAINST
    assert version(library) == written_against


def is_part(library: type, name: str) -> bool:
    """Attributes that instances get are found in the source of the class."""
    source = Path(str(import_module(library.__module__).__file__)).read_text()
    return hasattr(library, name) or re.search(rf"self\.{name}\b", source) is not None


@pytest.mark.parametrize("library", PARTS, ids=lambda library: library.__name__)
def test_private_parts_are_there_and_needed(library: type) -> None:
    adapters = "".join(Path(str(import_module(name).__file__)).read_text() for name in ADAPTERS)
    assert {name for name in PARTS[library] if not is_part(library, name)} == set()
    assert {name for name in PARTS[library] if not re.search(rf"\b{name}\b", adapters)} == set()


async def test_a_connector_keeps_idle_connections_in_a_queue_by_host() -> None:
    connector = aiohttp.TCPConnector()
    assert len(connector._conns) == 0
    assert asyncio.iscoroutinefunction(connector._get)
    await connector.close()


async def test_a_limiter_knows_its_level() -> None:
    limiter = AsyncLimiter(2, 10)
    await limiter.acquire()
    assert limiter._level == pytest.approx(1.0)


def test_no_other_module_touches_a_private_part_of_something_else() -> None:
    allowed = {
        PACKAGE / f"{name.removeprefix('secret_sync.').replace('.', '/')}.py" for name in ADAPTERS
    }
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path in allowed or "local" in path.relative_to(PACKAGE).parts:
            continue
        ours = {
            name.attr
            for name in nodes_of(path)
            if isinstance(name, ast.Attribute)
            and isinstance(name.value, ast.Name)
            and name.value.id in {"self", "cls"}
        }
        for node in nodes_of(path):
            match node:
                case ast.Attribute(value=ast.Name(id="self" | "cls")):
                    continue
                case ast.Attribute(attr=name) if (
                    name.startswith("_") and not name.endswith("__") and name not in ours | PUBLIC
                ):
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {name}")
    assert found == []
