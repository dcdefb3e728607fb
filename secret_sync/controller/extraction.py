"""From fetched values to the keys and values of a Secret, within one budget per object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secret_sync.controller.desired import Cooked, Mishap, Overwritten
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import DefiniteError
from secret_sync.parse import (
    BudgetExceededError,
    Expressions,
    ObjectBudget,
    check_data,
    cook_steps,
    read_document,
    run_to_end,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.desired import Batch, Ingredient
    from secret_sync.parse import Steps

#: Bytes that are parsed in a microsecond: of JSON, and of YAML beside that.
_JSON_BYTES_PER_STEP: Final = 4
_YAML_BYTES_PER_STEP: Final = 1


def cook_all(batch: Batch) -> Cooked | Mishap:
    """Return what `extract` does, at once."""
    return run_to_end(extract(batch, Expressions()))


def extract(batch: Batch, expressions: Expressions) -> Steps[Cooked | Mishap]:
    """Extract keys and values from a batch all of whose values are in hand.

    Uses no loop, so that a thread may do it. Each distinct value is parsed once, and only one
    parsed document is held at a time.
    """
    budget = ObjectBudget()
    merged = _Merged(budget)
    for indexes in _by_value(batch.ingredients):
        made = yield from _extract_value(batch.ingredients, indexes, expressions, merged)
        if made is not None:
            return made
    try:
        check_data(merged.data)
    except DefiniteError as error:
        return Mishap(None, problem_of(error))
    return Cooked(merged.data, merged.overwritten(batch.ingredients))


def _by_value(ingredients: Sequence[Ingredient]) -> list[list[int]]:
    """Return the entries of each distinct value, by their index."""
    groups: dict[bytes, list[int]] = {}
    for index, ingredient in enumerate(ingredients):
        groups.setdefault(ingredient.digest, []).append(index)
    return list(groups.values())


def _extract_value(
    ingredients: Sequence[Ingredient],
    indexes: Sequence[int],
    expressions: Expressions,
    merged: _Merged,
) -> Steps[Mishap | None]:
    budget = merged.budget
    document = None
    for index in indexes:
        entry, recipe, _, data = ingredients[index]
        value = data or b""
        try:
            if recipe.is_plain:
                made = {recipe.name: value}
            else:
                if document is None:
                    budget.parse(len(value))
                    budget.step(len(value) // _JSON_BYTES_PER_STEP)
                    document = read_document(value)
                    if not document.is_json:
                        budget.step(len(value) // _YAML_BYTES_PER_STEP)
                    yield
                made = yield from cook_steps(recipe, document, expressions, budget)
            merged.add(index, made)
        except BudgetExceededError as error:
            return Mishap(None, problem_of(error))
        except DefiniteError as error:
            problem = problem_of(error)
            return Mishap(index, replace(problem, message=f"entry {entry.key!r}: {error.message}"))
        yield
    return None


class _Merged:
    """What the entries write together; the later one of two that write a key wins.

    Attributes:
        budget: Of the object.
        data: Keys and values so far.
    """

    def __init__(self, budget: ObjectBudget) -> None:
        self.budget = budget
        self.data: dict[str, bytes] = {}
        self._writers: dict[str, int] = {}
        self._keys: dict[int, tuple[str, ...]] = {}

    def add(self, index: int, made: dict[str, bytes]) -> None:
        """Add what an entry writes, in whatever order they come."""
        self.budget.make(len(made))
        self._keys[index] = tuple(made)
        for key, value in made.items():
            if self._writers.get(key, -1) < index:
                self.budget.keep(len(value) - len(self.data.get(key, b"")))
                self.data[key] = value
                self._writers[key] = index

    def overwritten(self, ingredients: Sequence[Ingredient]) -> tuple[Overwritten, ...]:
        """Return the keys that more than one entry writes."""
        found = []
        writers: dict[str, str] = {}
        for index in sorted(self._keys):
            winner = ingredients[index].entry.key
            for key in self._keys[index]:
                if key in writers:
                    found.append(Overwritten(key, writers[key], winner))
                writers[key] = winner
        return tuple(found)
