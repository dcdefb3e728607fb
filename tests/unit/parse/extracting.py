"""Helpers for tests of extraction."""

from __future__ import annotations

import pytest

from secret_sync.errors import DefiniteError
from secret_sync.parse import (
    ExtractionSpec,
    ObjectBudget,
    Rule,
    Selection,
    check_spec,
    extract,
    run_to_end,
)
from secret_sync.parse.rules import compile_regex, rename_steps

EXTRACT = ExtractionSpec(extract=True)


def paths(*expressions: str) -> ExtractionSpec:
    """A spec that selects by these, as k0, k1..."""
    selections = (Selection(path, f"k{n}") for n, path in enumerate(expressions))
    return ExtractionSpec(selections=tuple(selections))


def rules(*pairs: tuple[str, str]) -> ExtractionSpec:
    """A spec that extracts, then renames."""
    return ExtractionSpec(extract=True, rules=tuple(Rule(*pair) for pair in pairs))


def rename(keys: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    """What rules make of keys."""
    compiled = [(compile_regex(source), target) for source, target in pairs]
    return run_to_end(rename_steps(keys, compiled, ObjectBudget().step))


def refused(spec: ExtractionSpec, data: bytes | str) -> DefiniteError:
    """Return the error of the extraction, which has to fail."""
    with pytest.raises(DefiniteError) as caught:
        extract(spec, data.encode() if isinstance(data, str) else data)
    # A cause would be logged with the parser's excerpt of the value.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def refused_offline(spec: ExtractionSpec) -> DefiniteError:
    """Return the error of the check without a value; extraction raises the same."""
    with pytest.raises(DefiniteError) as caught:
        check_spec(spec)
    if not spec.is_plain:
        assert refused(spec, b"{}").message == caught.value.message
    return caught.value
