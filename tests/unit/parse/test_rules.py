"""`replaceRule`: RE2's expressions, Go's replacements, and the rule that an error suggests."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secret_sync.errors import DefiniteError
from secret_sync.parse import INVALID_KEY, KEY_COLLISION, ExtractionSpec, Rule, extract
from secret_sync.parse.keys import legal_key
from tests.unit.parse.extracting import EXTRACT, refused, rename

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


@pytest.mark.parametrize(
    ("source", "target", "key", "becomes"),
    [
        # All matches, anywhere.
        ("a", "x", "banana", "bxnxnx"),
        ("^a", "x", "aa", "xa"),
        ("A", "x", "a", "a"),
        ("(?i)A", "x", "a", "x"),
        ("", "-", "ab", "-a-b-"),
        # Go leaves an empty match alone that follows another match.
        ("x*", "-", "axb", "-a-b-"),
        ("a??", "-", "aa", "-a-a-"),
        ("é|.", "$0-", "éa", "é-a-"),
        # References; these are the results of Go's regexp.ReplaceAllString.
        ("(a)(b)", "$2$1", "ab", "ba"),
        ("(a)", "${1}x", "a", "ax"),
        ("(a)", "$1x", "a", ""),
        ("(?P<n>a)", "${n}$n", "a", "aa"),
        ("(?P<n>a)", "$nx", "a", ""),
        ("(?P<n>a)", "$n-x", "a", "a-x"),
        ("(a)", "$0$$1", "a", "a$1"),
        ("(a)", "$2", "a", ""),
        ("(a)", "$01", "a", ""),
        ("(a)", "$", "a", "$"),
        ("(a)", "$-", "a", "$-"),
        ("(a)", "${", "a", "${"),
        ("(a)", "${}", "a", "${}"),
        ("(a)", "${1", "a", "${1"),
        ("(a)", "\\1", "a", "\\1"),
        ("(a)|(b)", "<$1$2>", "ab", "<a><b>"),
        ("a", "$é", "a", ""),
    ],
)
def test_replacements_are_those_of_go(source: str, target: str, key: str, becomes: str) -> None:
    assert rename([key], [(source, target)]) == [becomes]


def test_each_rule_applies_to_the_result_of_the_previous() -> None:
    assert rename(["a"], [("a", "b"), ("b", "c"), ("^c$", "d-$0")]) == ["d-c"]


def test_rules_touch_no_values() -> None:
    spec = ExtractionSpec(extract=True, rules=(Rule("a", "b"),))
    assert extract(spec, b'{"a":"a","c":{"a":1}}') == {"b": b"a", "c": b'{"a":1}'}


def test_keys_may_collide_between_rules() -> None:
    with pytest.raises(DefiniteError) as caught:
        rename(["ax", "bx"], [("^.", "c")])
    assert caught.value.code == KEY_COLLISION


keys = st.text(st.characters(codec="utf-8"), max_size=30)


def outcome(action: Callable[[], _Result]) -> _Result | DefiniteError:
    try:
        return action()
    except DefiniteError as error:
        return error


@settings(deadline=None)
@given(st.lists(keys, unique=True, max_size=8), st.sampled_from(["", "x", "$0", "$0$0", "_"]))
def test_no_key_is_lost(names: list[str], target: str) -> None:
    renamed = outcome(lambda: rename(names, [("[^a-z0-9]", target)]))
    if isinstance(renamed, DefiniteError):
        assert renamed.code == KEY_COLLISION
        return
    assert len(set(renamed)) == len(names)
    if target == "$0":
        assert renamed == names


@settings(deadline=None)
@given(st.text(max_size=20))
@example("$")
@example("$1")
@example("${1}")
def test_doubled_dollar_is_a_literal_dollar(target: str) -> None:
    assert rename(["a"], [("a", target.replace("$", "$$"))]) == [target]


@settings(deadline=None)
@given(st.dictionaries(keys, st.just(1), min_size=1, max_size=5))
@example({"/name-invalid": 1})
@example({"..": 1, "...": 1})
@example({"a b": 1, "a-b": 1})
@example({"": 1})
@example({"a\nb": 1, '"\\': 1})
@example({"$^*": 1, "😀": 1, "\u2028": 1})
def test_following_the_suggestions_leads_to_legal_keys(document: dict[str, int]) -> None:
    data = json.dumps(document).encode()
    extracted = outcome(partial(extract, EXTRACT, data))
    if isinstance(extracted, DefiniteError):
        assert extracted.code == INVALID_KEY
        suggested = extracted.message.partition("rename with `replaceRule`: ")[2]
        pairs = [Rule(**rule) for rule in yaml.safe_load(f"[{suggested}]")]
        extracted = extract(ExtractionSpec(extract=True, rules=tuple(pairs)), data)
    assert len(extracted) == len(document)


def test_all_illegal_keys_are_named_at_once_each_with_its_rule() -> None:
    error = refused(EXTRACT, '{"/a": "SECRET", "fine": 1, "b c": 2, "..d": 3, "a": 4}')
    assert error.message == (
        "'/a', 'b c', '..d' cannot be keys of a Secret: only letters, digits, '-', '_' and '.' are "
        "allowed and it must not be '.' nor begin with '..'; rename with `replaceRule`: "
        '{source: "^/a$", target: "a-2"}, {source: "^b c$", target: "b-c"}, '
        '{source: "^\\\\.\\\\.d$", target: "d"}'
    )


def test_more_illegal_keys_than_fit_into_a_message_are_counted() -> None:
    document = {
        f"/{'*' * 79}": 1,
        "k" * 300: 1,
        **{f"{n}/{'?' * 60}": n for n in range(5_000)},
    }
    error = refused(EXTRACT, json.dumps(document))
    assert len(error.message) < 4_000
    named = error.message.count("source: ")
    assert f" and {len(document) - named - 1} more cannot be keys of a Secret" in error.message
    assert error.message.endswith("; likewise for the others")


def test_long_key_is_shortened() -> None:
    error = refused(EXTRACT, json.dumps({"k" * 300: 1}))
    assert error.code == INVALID_KEY
    assert "k" * 80 in error.message
    assert "k" * 81 not in error.message
    assert error.message.endswith("allowed; rename with `replaceRule`")


@settings(deadline=None)
@given(st.from_regex(r"\A[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}\Z"))
def test_legal_keys_pass_untouched(key: str) -> None:
    assert extract(EXTRACT, json.dumps({key: 1}).encode()) == {key: b"1"}


def test_legal_key_is_found_quickly_among_many_similar() -> None:
    asked = 0

    class Taken(set[str]):
        def __contains__(self, key: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__contains__(key)

    taken, numbers = Taken({"a", *(f"a-{n}" for n in range(2, 1000))}), dict[str, int]()
    for _ in range(100):
        taken.add(legal_key("a/", taken, numbers))
    assert asked < 2000
