"""The Secret that snapshots make, and the fingerprint that stands for it: without documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secret_sync.controller.external_secret.desired import Overwritten, build_plain
from secret_sync.controller.external_secret.extraction import (
    ExtractionError,
    attribute_error,
    collect_inputs,
    outcomes_of,
)
from secret_sync.controller.sync import Problem
from secret_sync.errors import NotFoundError
from secret_sync.resources import Reason
from tests.unit.controller.extracting import UNREAD, an_es, batch_of, plan_of, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secret_sync.controller.external_secret.desired import Desired
    from secret_sync.resources import ExternalSecret


def naming(*names: str, **spec: Any) -> ExternalSecret:
    """An object whose entries write these keys from ``s0``, ``s1`` and so on."""
    data = [{"key": f"s{number}", "name": name} for number, name in enumerate(names)]
    return an_es(data=data, **spec)


def desired(content: Mapping[str, bytes], **spec: Any) -> Desired:
    return build_plain(batch_of(naming(*content, **spec), *content.values()))


def test_each_entry_gives_one_key() -> None:
    wanted = desired({"a": b"1", "b": b"2"})
    assert wanted.data == {"a": b"1", "b": b"2"}
    assert wanted.keys == {"a", "b"}
    assert wanted.overwritten == ()
    assert wanted.absent == ()
    assert "1" not in repr(wanted)


def test_the_later_entry_wins_and_both_are_named() -> None:
    wanted = build_plain(batch_of(naming("a", "b", "a", "a"), b"1", b"2", b"3", b"4"))
    assert wanted.data == {"a": b"4", "b": b"2"}
    assert wanted.overwritten == (
        Overwritten("a", loser="s0", winner="s2"),
        Overwritten("a", loser="s2", winner="s3"),
    )


def test_nothing_is_desired_before_all_were_read_once() -> None:
    es = naming("a", "b")
    assert collect_inputs(es, plan_of(es), [reading(b"1"), UNREAD]) is None
    assert collect_inputs(es, plan_of(es), [UNREAD, reading(b"1")]) is None


def test_missing_values_are_named() -> None:
    es = naming("a", "b")
    inputs = collect_inputs(es, plan_of(es), [reading(b"1"), reading(b"2", in_hand=False)])
    assert inputs is not None
    wanted = build_plain(inputs)
    assert wanted.data is None
    assert [source.name for source in wanted.absent] == ["s1"]
    assert wanted.keys == {"a", "b"}
    # What it is does not depend on what is cached.
    assert wanted.fingerprint == desired({"a": b"1", "b": b"2"}).fingerprint


def test_a_failed_refresh_leaves_the_last_good_value() -> None:
    error = NotFoundError("gone", code="Forbidden.ResourceNotFound")
    es = naming("a", "b")
    plan, readings = plan_of(es), [reading(b"1", error=error), reading(b"2")]
    inputs = collect_inputs(es, plan, readings)
    assert inputs is not None
    assert build_plain(inputs).data == {"a": b"1", "b": b"2"}
    first, second = outcomes_of(plan, readings)
    assert first.problem is not None
    assert first.problem.reason is Reason.SECRET_NOT_FOUND
    assert second.problem is None


@pytest.mark.parametrize(
    ("index", "blamed"), [(0, [True, False]), (1, [False, True]), (None, [False, False])]
)
def test_extraction_error_is_attributed_to_its_entry(index: int | None, blamed: list[bool]) -> None:
    plan = plan_of(naming("a", "b"))
    outcomes = outcomes_of(plan, [reading(b"1"), reading(b"2")])
    error = ExtractionError(index, Problem(Reason.NOT_A_DOCUMENT, "no"))
    found = attribute_error(outcomes, error)
    assert [outcome.problem is error.problem for outcome in found] == blamed
    assert [outcome.version_id for outcome in found] == ["v1", "v1"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"a": b"1", "b": b"3"}, id="another value"),
        pytest.param({"a": b"1", "c": b"2"}, id="another key"),
        pytest.param({"a": b"2", "b": b"1"}, id="swapped values"),
        pytest.param({"a": b"1"}, id="one less"),
        pytest.param({"a": b"1", "b": b"2", "c": b""}, id="one more"),
    ],
)
def test_fingerprint_distinguishes_keys_and_values(other: dict[str, bytes]) -> None:
    assert desired({"a": b"1", "b": b"2"}).fingerprint != desired(other).fingerprint


#: What of a Secret its values do not decide.
SHAPES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "type": {"type": "example.org/type"},
    "merged": {"target": {"creationPolicy": "Merge"}},
    "retained": {"target": {"deletionPolicy": "Retain"}},
    "immutable": {"target": {"immutable": True}},
}


def test_every_change_of_shape_is_another_fingerprint() -> None:
    made = {desired({"a": b"1"}, **spec).fingerprint for spec in SHAPES.values()}
    assert len(made) == len(SHAPES)


@pytest.mark.parametrize(
    "spec",
    [
        {"rotationInterval": "5m"},
        {"refreshPolicy": "OnChange"},
        {"type": "Opaque"},
        {"target": {"creationPolicy": "Owner", "deletionPolicy": "Delete", "immutable": False}},
    ],
)
def test_irrelevant_differences_keep_the_fingerprint(spec: dict[str, Any]) -> None:
    assert desired({"a": b"1"}, **spec).fingerprint == desired({"a": b"1"}).fingerprint


def test_the_order_of_entries_does_not_count() -> None:
    one, two = desired({"a": b"1", "b": b"2"}), desired({"b": b"2", "a": b"1"})
    assert one.fingerprint == two.fingerprint


contents = st.dictionaries(st.text("ab", min_size=1, max_size=3), st.binary(max_size=3), max_size=3)


@given(contents, contents)
def test_no_two_contents_share_a_fingerprint(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    assert (desired(one).fingerprint == desired(two).fingerprint) == (one == two)
