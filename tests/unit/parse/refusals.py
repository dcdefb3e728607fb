"""What tests of parsing share."""

from __future__ import annotations

import pytest

from secret_sync.errors import DefiniteError
from secret_sync.parse import ObjectBudget, Recipe, Rule, Selection, check_recipe, cook, run_to_end
from secret_sync.parse.rules import compile_regex, rename_steps

EXTRACT = Recipe(extract=True)


def paths(*expressions: str) -> Recipe:
    """A recipe that selects by these, as k0, k1..."""
    selections = (Selection(path, f"k{n}") for n, path in enumerate(expressions))
    return Recipe(selections=tuple(selections))


def rules(*pairs: tuple[str, str]) -> Recipe:
    """A recipe that extracts, then renames."""
    return Recipe(extract=True, rules=tuple(Rule(*pair) for pair in pairs))


def rename(keys: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    """What rules make of keys."""
    compiled = [(compile_regex(source), target) for source, target in pairs]
    return run_to_end(rename_steps(keys, compiled, ObjectBudget().step))


def refused(recipe: Recipe, data: bytes | str) -> DefiniteError:
    """The error of cooking; nothing else may come out of it."""
    with pytest.raises(DefiniteError) as caught:
        cook(recipe, data.encode() if isinstance(data, str) else data)
    # A cause would be logged with the parser's excerpt of the value.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def refused_offline(recipe: Recipe) -> DefiniteError:
    """The error of the check without a value; cooking says the same."""
    with pytest.raises(DefiniteError) as caught:
        check_recipe(recipe)
    if not recipe.is_plain:
        assert refused(recipe, b"{}").message == caught.value.message
    return caught.value
