"""Block YAML as Go's yaml.v3 writes it, as ack-secret-manager does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secret_sync.parse.values import KeyText, Number
from secret_sync.parse.yaml_document import read_yaml
from secret_sync.parse.yaml_order import in_order
from secret_sync.parse.yaml_text import write_yaml

#: Pairs of a value and of what `yaml.Marshal` of gopkg.in/yaml.v3 v3.0.1 made of it.
GO: Final = json.loads((Path(__file__).parents[2] / "data" / "parse" / "go-yaml.json").read_text())


def ours(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(str(value))
    if isinstance(value, list):
        return [ours(item) for item in value]
    return {key: ours(item) for key, item in value.items()} if isinstance(value, dict) else value


def written(value: Any) -> str:
    return write_yaml(ours(value), lambda _size: None)


@pytest.mark.parametrize(("value", "text"), GO)
def test_text_is_the_same_as_go_writes(value: Any, text: str) -> None:
    found = written(value)
    assert found + "\n" * (not found.endswith("\n")) == text
    assert read_yaml(found) == ours(value)


#: Where Go's text is not read as what was written.
DIFFERENT: Final = [
    # Go writes `|4-` without the first, empty line.
    ("\na", "|4-\n\n    a"),
    # Go writes the indentation of a mapping also within a list, where it is another.
    ([" a\nb"], "- |2-\n   a\n  b"),
    # Go writes no indentation, and no parser knows what the tab is then.
    ("\ta\nb", "|4-\n    \ta\n    b"),
    # Go leaves it plain, which merges.
    ({"<<": "a"}, '"<<": a'),
    # Numbers of YAML 1.2 that Go cannot hold.
    ("0x" + "f" * 20, '"0x' + "f" * 20 + '"'),
    ("1e999", '"1e999"'),
    # YAML 1.2 does not fold at these.
    ("a\u2028b\u2029c\x85", '"a\\Lb\\Pc\\N"'),
    ("\ufeffa", '"\\uFEFFa"'),
]


@pytest.mark.parametrize(("value", "text"), DIFFERENT)
def test_text_differs_from_go_where_that_would_be_misread(value: Any, text: str) -> None:
    assert written(value) == text
    assert read_yaml(text) == ours(value)


def test_numbers_as_written_and_keys_that_are_not_strings() -> None:
    value = read_yaml("{1.10: 0x1F, 9: a, '9a': b, true: c, ~: d, '': e}")
    assert write_yaml(value, lambda _size: None) == (
        'true: c\n1.10: 0x1F\n9: a\n~: d\n"": e\n9a: b'
    )


def test_order_of_keys() -> None:
    assert in_order(["b", "a", "B"]) == ["B", "a", "b"]
    assert in_order(["k10", "k9", "k"]) == ["k", "k9", "k10"]
    assert in_order([KeyText("10"), KeyText("9"), "8"]) == ["9", "10", "8"]


texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.text(
    " \n\t\r:#-?'\"\\|>&*!%@`,[]{}.~_yn01ax\u2028\x85\ufeff", max_size=8
)
scalars = st.none() | st.booleans() | st.integers() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(values)
@example({"": {"": [[], {}, "", "\n", "\n\n", " \n", "\t\n"]}})
@example([["- a"], [[": b\n"]], {"? c": {"# d": "e\n\n\n"}}])
def test_written_yaml_is_parsed_to_the_same_value(value: Any) -> None:
    assert read_yaml(written(value)) == ours(value)
