"""From fetched values to the desired Secret: its keys and values, within one budget per object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from secret_sync.controller.external_secret.desired import (
    NO_METADATA,
    Overwritten,
    joint_digest,
    shape_of,
)
from secret_sync.controller.reasons import problem_of
from secret_sync.controller.sync import Problem
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
from secret_sync.resources import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secret_sync.controller.external_secret.desired import RenderedMetadata
    from secret_sync.controller.external_secret.planner import Plan
    from secret_sync.controller.external_secret.rendering import TemplateInput
    from secret_sync.parse import ExtractionSpec, Steps
    from secret_sync.resources import DataEntry, ExternalSecret
    from secret_sync.sources import Source, SourceSnapshot


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """How one entry fared.

    Attributes:
        problem: ``None`` where its value is known.
        pending: The answer that counts is still on its way; what is known is an older one.
    """

    entry: DataEntry
    version_id: str
    problem: Problem | None
    pending: bool = False


class FetchedEntry(NamedTuple):
    """One fetched value, and what to make of it."""

    entry: DataEntry
    spec: ExtractionSpec
    digest: bytes
    data: bytes | None

    def __repr__(self) -> str:
        """Omit the value."""
        return f"FetchedEntry({self.entry.key!r})"


@dataclass(frozen=True, slots=True)
class ExtractionInput:
    """Everything that a Secret is made from at this moment.

    Attributes:
        shape: What of the Secret its values do not decide.
        absent: The sources whose values are not in memory.
        plan_digest: Digest of the entries and the template; see ``Plan.digest``.
        template: What it is rendered with, or ``None``.
    """

    shape: bytes
    entries: tuple[FetchedEntry, ...]
    absent: tuple[Source, ...]
    plan_digest: bytes = b""
    template: TemplateInput | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing has to be extracted or rendered."""
        return self.template is None and all(i.entry.plain for i in self.entries)

    @property
    def lacks_texts(self) -> bool:
        """Whether templates of other objects have to be read first."""
        return self.template is not None and self.template.lacks_texts

    @property
    def size(self) -> int:
        """Bytes of its values and texts; a value that several entries use is there once."""
        texts = (self.template.texts if self.template is not None else None) or {}
        values = {i.digest: len(i.data or b"") for i in self.entries}
        return sum(values.values()) + sum(map(len, texts.values()))

    @property
    def digest(self) -> bytes:
        """Keyed digest of the values and what is made of them; equal ones fare alike.

        The keys of the entries are part of it, since messages name them.
        """
        versions = self.template.versions if self.template is not None else ()
        return joint_digest(
            (
                self.shape,
                self.plan_digest,
                *(i.digest for i in self.entries),
                *(version.encode() for version in versions),
            )
        )


@dataclass(frozen=True, slots=True)
class ExtractedData:
    """Keys and values, ready to be written or rendered; with labels and annotations if they are."""

    data: dict[str, bytes]
    overwritten: tuple[Overwritten, ...]
    metadata: RenderedMetadata = NO_METADATA

    def __repr__(self) -> str:
        """Show keys, never values."""
        return f"ExtractedData(keys={sorted(self.data)})"


@dataclass(frozen=True, slots=True)
class ExtractionError:
    """Why the values make no Secret.

    Attributes:
        index: Of the entry that cannot be used; ``None`` if it is all of them together.
    """

    index: int | None
    problem: Problem


def outcomes_of(plan: Plan, readings: Sequence[SourceSnapshot]) -> list[EntryOutcome]:
    """Return the outcome of each entry, in their order."""
    return [
        EntryOutcome(
            planned.entry,
            reading.version_id,
            problem_of(reading.error) if reading.error is not None else None,
            reading.pending,
        )
        for planned, reading in zip(plan.entries, readings, strict=True)
    ]


def attribute_error(outcomes: Sequence[EntryOutcome], error: ExtractionError) -> list[EntryOutcome]:
    """Return the outcomes, with the error at the entry whose value cannot be used."""
    return [
        replace(outcome, problem=error.problem) if index == error.index else outcome
        for index, outcome in enumerate(outcomes)
    ]


def collect_inputs(
    es: ExternalSecret, plan: Plan, readings: Sequence[SourceSnapshot]
) -> ExtractionInput | None:
    """Return the values to build the Secret from; ``None`` until each was fetched once.

    A reading whose latest refresh failed still counts with its last good value: that is what
    drift is repaired from.
    """
    entries = []
    absent = []
    for planned, reading in zip(plan.entries, readings, strict=True):
        if reading.digest is None or planned.wanted is None:
            return None
        if reading.data is None:
            absent.append(planned.wanted.source)
        entries.append(FetchedEntry(planned.entry, planned.spec, reading.digest, reading.data))
    return ExtractionInput(shape_of(es), tuple(entries), tuple(absent), plan.digest)


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
    if inputs.template is not None:
        # Keys have to be legal where they are written, which is not here.
        if inputs.entries and not merged.data:
            return ExtractionError(None, no_keys())
        return ExtractedData(merged.data, merged.overwritten(inputs.entries))
    try:
        check_data(merged.data)
    except DefiniteError as error:
        return ExtractionError(None, problem_of(error))
    return ExtractedData(merged.data, merged.overwritten(inputs.entries))


def no_keys() -> Problem:
    """Return the problem of entries that give no keys."""
    return Problem(
        Reason.NO_DATA,
        "the documents have no keys, so there is nothing to write; the Secret is as it was",
    )


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
