"""One object stays within its budget, whatever its shape; counted, not timed.

Either it gives keys and values, or one of our errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.controller.external_secret import extraction
from secret_sync.controller.external_secret.expressions import ImmediateChecker
from secret_sync.controller.external_secret.extraction import (
    ExtractedData,
    ExtractionError,
    collect_inputs,
)
from secret_sync.parse import Expressions, ObjectBudget, read_document, run_to_end
from secret_sync.parse.budget import MAX_KEYS, MAX_OBJECT_STEPS, MAX_PARSED_BYTES
from secret_sync.parse.codes import MAX_BYTES
from secret_sync.resources import Reason
from secret_sync.resources.limits import (
    MAX_ENTRIES,
    MAX_EXPRESSION_CHARACTERS,
    MAX_EXPRESSIONS,
    MAX_NAME_CHARACTERS,
)
from tests.unit.controller.extracting import an_es, extract, plan_of, reading
from tests.unit.controller.hostile import KNOWN, YAML_30K, picks, plain, rules
from tests.unit.controller.planning import Cluster

if TYPE_CHECKING:
    from secret_sync.controller.sync import Problem
    from secret_sync.resources import ExternalSecret

pytestmark = pytest.mark.slow


class Counted(ObjectBudget):
    """Remembers the budgets there were."""

    made: list[ObjectBudget]

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)


@pytest.fixture(scope="module", autouse=True)
def budgets() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        Counted.made = []
        patch.setattr(extraction, "ObjectBudget", Counted)
        yield Counted.made


def outcome(es: ExternalSecret, values: dict[str, bytes]) -> Problem | ExtractedData:
    """What becomes of an object: it is planned, checked and extracted as the controller does."""
    problem = Cluster().planner().plan(es).problem
    if problem is not None:
        return problem
    problems = ImmediateChecker().check(es)
    if problems:
        return next(iter(problems.values()))
    known = {key: reading(value) for key, value in values.items()}
    inputs = collect_inputs(es, plan_of(es), [known[entry.key] for entry in es.entries])
    assert inputs is not None
    made = run_to_end(extraction.extract_all_steps(inputs, Expressions()))
    return made.problem if isinstance(made, ExtractionError) else made


def check(made: Problem | ExtractedData, budgets: list[ObjectBudget]) -> None:
    if isinstance(made, ExtractedData):
        assert sum(map(len, made.data.values())) <= MAX_BYTES
        assert len(made.data) + len(made.overwritten) <= MAX_KEYS
    else:
        assert made.reason in Reason
        assert len(made.message) <= 4096
    while budgets:
        budget = budgets.pop()
        # What went beyond was not spent: it is one piece, which its own limits bound.
        assert budget.steps <= 2 * MAX_OBJECT_STEPS
        assert budget.parsed <= MAX_PARSED_BYTES + MAX_BYTES
        assert budget.output <= 2 * MAX_BYTES


@pytest.mark.parametrize(("es", "value", "reason"), KNOWN.values(), ids=KNOWN)
def test_known_bad_ones(
    es: ExternalSecret, value: bytes, reason: str, budgets: list[ObjectBudget]
) -> None:
    made = outcome(es, {entry.key: value for entry in es.entries})
    assert ("" if isinstance(made, ExtractedData) else made.reason.value) == reason, made
    check(made, budgets)


paths = st.sampled_from(
    ["@", "*", "a", "*.*", "[@,@]", "*[]", "keys(@)", "to_string(@)", "[@,@]|[@,@]|[@,@]", "a["]
)
sources = st.sampled_from(["a", "(.)", "(a|b)*$", r"\pL{5}", "(a?){300}", "^", "[", "x{999}"])
targets = st.sampled_from(["", "$0", "$0$0", "b", "${1}x"])
keys = st.sampled_from(["one", "two", "three"])
picked = st.builds(
    lambda key, path, number: picks(key, number, path), keys, paths, st.integers(0, 300)
)
extracted = st.builds(
    lambda key, pairs, times: extract(key, *(pairs * times)),
    keys,
    st.lists(st.tuples(sources, targets), max_size=3),
    st.integers(1, 22),
)
documents = st.sampled_from(
    [
        b"", b"{", b"[]", b"a: &a [1]\nb: *a\n", b'{"a": 1, "b": [1, {"c": null}]}', YAML_30K,
        b'{"' + b"a" * 4_000 + b'": 1}', b'{"a": "' + b"\\n" * 500_000 + b'"}',
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(picked, st.integers(1, 300)), max_size=3),
    st.lists(st.tuples(extracted, st.integers(1, 60)), max_size=3),
    st.fixed_dictionaries(dict.fromkeys(["one", "two", "three"], documents)),
)
def test_any_object_of_any_shape(
    data: list[tuple[Any, int]], processed: list[tuple[Any, int]], values: dict[str, bytes]
) -> None:
    es = an_es(
        data=[entry for entry, times in data for _ in range(times)],
        dataProcess=[entry for entry, times in processed for _ in range(times)],
    )
    check(outcome(es, values), Counted.made)


@pytest.mark.parametrize(
    ("fine", "excess", "said"),
    [
        (plain(MAX_ENTRIES), plain(MAX_ENTRIES + 1), "501 entries together, 500 are allowed"),
        (
            an_es(data=[picks("db", 200, "a", f"{i}.") for i in range(MAX_EXPRESSIONS // 200)]),
            an_es(data=[picks("db", 201, "a", f"{i}.") for i in range(MAX_EXPRESSIONS // 200)]),
            "2010 items together, 2000 are allowed",
        ),
        (
            an_es(data=[picks("db", 1, "a" * 2048, f"{i}.") for i in range(32)]),
            rules("a" * 1_020, 64, 2),
            f"characters together, {MAX_EXPRESSION_CHARACTERS} are allowed",
        ),
        (
            an_es(data=[{"key": "k" * MAX_NAME_CHARACTERS, "name": "n"}]),
            an_es(data=[{"key": "k" * (MAX_NAME_CHARACTERS + 1), "name": "n"}]),
            "1025 characters, 1024 are allowed",
        ),
    ],
    ids=["entries", "expressions", "characters", "a name"],
)
def test_the_limits_before_anything_is_read(
    fine: ExternalSecret, excess: ExternalSecret, said: str
) -> None:
    assert not fine.excess
    # Nothing of it is kept that could cost anything later.
    assert not excess.entries
    plan = Cluster().planner().plan(excess)
    assert plan.problem is not None
    assert plan.problem.reason is Reason.TOO_COSTLY
    assert said in plan.problem.message


def test_a_value_is_parsed_once_however_many_entries_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []

    def counting(data: bytes) -> Any:
        parsed.append(data)
        return read_document(data)

    monkeypatch.setattr(extraction, "read_document", counting)
    es = an_es(
        data=[picks("one", 1, "a", f"{i}.") for i in range(60)], dataProcess=[extract("two")]
    )
    made = outcome(es, {"one": b"a: 1\n", "two": b"b: 2\n"})
    assert isinstance(made, ExtractedData)
    assert parsed == [b"a: 1\n", b"b: 2\n"]
