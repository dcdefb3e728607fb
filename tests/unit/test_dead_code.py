"""Each name that `vulture` is told to overlook is needed in that list, and says why."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from vulture import Vulture

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "pyproject.toml"
CONFIGURED = tomllib.loads(PROJECT.read_text())["tool"]["vulture"]


@pytest.mark.slow
def test_the_allow_list_has_no_name_that_is_used_or_gone() -> None:
    vulture = Vulture(ignore_decorators=CONFIGURED["ignore_decorators"])
    vulture.scavenge([str(ROOT / path) for path in CONFIGURED["paths"]])
    unused = {item.name for item in vulture.get_unused_code(CONFIGURED["min_confidence"])}
    assert unused, "vulture finds nothing at all"
    names = CONFIGURED["ignore_names"]
    assert {name for name in names if not any(fnmatchcase(u, name) for u in unused)} == set()
    assert {u for u in unused if not any(fnmatchcase(u, name) for name in names)} == set()


@pytest.mark.parametrize("name", CONFIGURED["ignore_names"])
def test_a_name_in_the_allow_list_has_a_reason(name: str) -> None:
    assert re.search(rf'^  "{re.escape(name)}", +# \S', PROJECT.read_text(), re.MULTILINE)
