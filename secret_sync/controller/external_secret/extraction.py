"""From fetched values to the keys and values of a Secret, within one budget per object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from secret_sync.controller.external_secret.desired import (
    ExtractedData,
    ExtractionError,
    Overwritten,
)
from secret_sync.controller.reasons import problem_of
from secret_sync.errors import DefiniteError
from secret_sync.parse import (
    BudgetExceededError,
    Expressions,
    ObjectBudget,
    check_data,
    extract_steps,
    read_document,
    run_to_end,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.desired import ExtractionInput, FetchedEntry
    from secret_sync.parse import Steps

#: Bytes that are parsed in a microsecond: of JSON, and of YAML beside that.
_JSON_BYTES_PER_STEP: Final = 4
_YAML_BYTES_PER_STEP: Final = 1


def extract_all(inputs: ExtractionInput) -> ExtractedData | ExtractionError:
    """Return what `extract_all_steps` does, at once."""
    return run_to_end(extract_all_steps(inputs, Expressions()))


def extract_all_steps(
    inputs: ExtractionInput, expressions: Expressions
) -> Steps[ExtractedData | ExtractionError]:
    """Extract keys and values from inputs all of whose values are in memory.

    Uses no loop, so that a thread may do it. Each distinct value is parsed once, and only one
    parsed document is held at a time.
    """
    budget = ObjectBudget()
    merged = _Merged(budget)
    for indexes in _by_value(inputs.entries):
        made = yield from _extract_value(inputs.entries, indexes, expressions, merged)
        if made is not None:
            return made
    try:
        check_data(merged.data)
    except DefiniteError as error:
        return ExtractionError(None, problem_of(error))
    return ExtractedData(merged.data, merged.overwritten(inputs.entries))


def _by_value(entries: Sequence[FetchedEntry]) -> list[list[int]]:
    """Return the entries of each distinct value, by their index."""
    groups: dict[bytes, list[int]] = {}
    for index, entry in enumerate(entries):
        groups.setdefault(entry.digest, []).append(index)
    return list(groups.values())


def _extract_value(
    entries: Sequence[FetchedEntry],
    indexes: Sequence[int],
    expressions: Expressions,
    merged: _Merged,
) -> Steps[ExtractionError | None]:
    budget = merged.budget
    document = None
    for index in indexes:
        entry, spec, _, data = entries[index]
        value = data or b""
        try:
            if spec.is_plain:
                made = {spec.name: value}
            else:
                if document is None:
                    budget.parse(len(value))
                    budget.step(len(value) // _JSON_BYTES_PER_STEP)
                    document = read_document(value)
                    if not document.is_json:
                        budget.step(len(value) // _YAML_BYTES_PER_STEP)
                    yield
                made = yield from extract_steps(spec, document, expressions, budget)
            merged.add(index, made)
        except BudgetExceededError as error:
            return ExtractionError(None, problem_of(error))
        except DefiniteError as error:
            problem = problem_of(error)
            return ExtractionError(
                index, replace(problem, message=f"entry {entry.key!r}: {error.message}")
            )
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

    def overwritten(self, entries: Sequence[FetchedEntry]) -> tuple[Overwritten, ...]:
        """Return the keys that more than one entry writes."""
        found = []
        writers: dict[str, str] = {}
        for index in sorted(self._keys):
            winner = entries[index].entry.key
            for key in self._keys[index]:
                if key in writers:
                    found.append(Overwritten(key, writers[key], winner))
                writers[key] = winner
        return tuple(found)
