"""What would cost too much is refused before the cost is incurred.

No test here looks at a clock: without its budget each of these would run for minutes, fill the
memory or overflow the stack.
"""

from __future__ import annotations

import json

import pytest

from secret_sync.parse import (
    INVALID_KEY,
    TOO_COSTLY,
    TOO_LARGE,
    ExtractionSpec,
    Rule,
    Selection,
    check_spec,
    extract,
)
from tests.unit.parse.extracting import EXTRACT, paths, refused, refused_offline, rules

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
BILLION_LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
#: Forty levels of aliases, each within fifty lists: few values, two thousand levels.
DEEP_ALIASES = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} {'[' * 50}*a{n - 1}{']' * 50}\n" for n in range(1, 40)
)


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ('{"a":' + nested(100) + "}", TOO_COSTLY, "100 levels"),
        (nested(100_000), TOO_COSTLY, "values"),
        ("[" * MIB, TOO_COSTLY, "values"),
        ('{"a":' * 101 + "1" + "}" * 101, TOO_COSTLY, "100 levels"),
        ('{"\\\\":"\\"","a":' + nested(100) + "}", TOO_COSTLY, "100 levels"),
        ("[" + "0," * 60_000 + "0]", TOO_COSTLY, "values"),
        ('"' + "x" * MIB + '"', TOO_LARGE, "1048578 bytes"),
        ("a: '" + "x" * 131_072 + "'", TOO_LARGE, "131072"),
        ("a: " + nested(100), TOO_COSTLY, "100 levels"),
        ("- " * 60_000, TOO_COSTLY, "100 levels"),
        ("? " * 60_000, TOO_COSTLY, "100 levels"),
        ("a: {" + "b: {" * 101, TOO_COSTLY, "100 levels"),
        ("a: [" + "b," * 60_000 + "]", TOO_COSTLY, "50000 values"),
        (BILLION_LAUGHS, TOO_COSTLY, "aliases"),
        ("a: &a x\nb: [" + "*a ," * 1001 + "]", TOO_COSTLY, "1000 aliases"),
        (DEEP_ALIASES, TOO_COSTLY, "100 levels"),
        ("a: &a [*a]", TOO_COSTLY, "contains itself"),
        ("a: &a {b: {<<: *a}}", TOO_COSTLY, "contains itself"),
        ("a: &a " + "x" * 9000 + "\nb: [" + "*a ," * 200 + "]", TOO_LARGE, "1048576 bytes"),
        ('{"a":"' + "<" * 200_000 + '","b":["' + "<" * 200_000 + '"]}', TOO_LARGE, "1048576"),
    ],
)
def test_documents(document: str, code: str, words: str) -> None:
    error = refused(EXTRACT, document)
    assert (error.code, words in error.message) == (code, True), error.message


def test_documents_at_the_limits_pass() -> None:
    assert extract(EXTRACT, ('{"a":' + nested(99) + "}").encode())
    assert extract(EXTRACT, ('{"a":"' + "[" * 100_000 + ',"}').encode())
    assert extract(EXTRACT, ("a: " + nested(99)).encode())
    assert extract(EXTRACT, ("a: '" + "x" * 131_000 + "'").encode())
    assert extract(EXTRACT, ("a: &a x\nb: [" + "*a ," * 1000 + "]").encode())
    text = "x" * (MIB - len('{"a":""}'))
    assert extract(EXTRACT, json.dumps({"a": text}, separators=(",", ":")).encode())


BIG = json.dumps({"a": list(range(40_000)), "t": "x" * 500_000}).encode()


@pytest.mark.parametrize(
    "path",
    [
        "|".join(["[@,@]"] * 30) + "|" + "[]" * 30,
        "|".join(["{a:@,b:@}"] * 40) + "|to_string(@)",
        "[" + "|".join(["[@,@]"] * 30) + "," + "|".join(["[@,@]"] * 30) + "]|[0]==[1]",
        "a[*].[@,[@,[@,[@,@]]]]",
        "map(&map(&map(&@,[@,@]),[@,@]),[a,a,a,a])[][][]" + "|[@,@]" * 10 + "|[][][][][]",
        "a" + "|[::1]" * 60,
        "[a,a,a,a]|[@,@,@,@]|[].sort(@)",
        "[t,t,t,t]|[@,@,@,@,@,@,@,@]|[].reverse(@)",
        "[t,t,t,t]|[@,@,@,@,@,@,@,@]|[]|join('',@)",
        "[t,t,t,t]|[@,@,@,@,@,@,@,@]|[].to_string([@])",
        "[t,t]|[@,@]|[]|" + "[@,@]|[]|" * 15 + "[?@==@]",
        "a[?contains(`[1,2,3,4,5,6,7,8,9]`, @)]|[?@>`0`]",
    ],
)
def test_paths_have_a_budget_of_steps(path: str) -> None:
    assert refused(paths(path), BIG).code == TOO_COSTLY


def test_path_output_is_limited_to_the_size_of_a_secret() -> None:
    assert refused(paths("|".join(["[@,@]"] * 40)), b"[1]").code == TOO_LARGE


def test_budget_is_shared_by_all_paths_of_a_value() -> None:
    assert extract(paths(*["a[?@==`7`]"]), BIG)
    assert refused(paths(*["a[?@==`7`]"] * 10), BIG).code == TOO_COSTLY


@pytest.mark.parametrize(
    "path", ["[" * 1000 + "a" + "]" * 1000, "!" * 2000 + "a", "a" + ".*" * 150]
)
def test_path_nesting_is_limited(path: str) -> None:
    error = refused_offline(paths(path))
    assert error.code == TOO_COSTLY
    assert "120 levels" in error.message


def test_path_nesting_within_the_limit_works() -> None:
    assert extract(paths("[" * 70 + "a" + "]" * 70), b'{"a":1}')["k0"] == nested(70).encode()


def test_nesting_of_values_built_by_paths_is_limited() -> None:
    path = "|".join(["[[[[[[@]]]]]]"] * 50)
    assert refused(paths(path), ('{"a":' + nested(99) + "}")).code == TOO_COSTLY
    assert refused(paths(path), ("a: " + nested(99))).code == TOO_COSTLY


def test_catastrophic_regular_expression_is_linear() -> None:
    document = json.dumps({"a" * 4000 + "!": 1})
    assert refused(rules(("(a+)+$", "x")), document).code == INVALID_KEY


def test_rules_that_double_a_key_are_limited() -> None:
    error = refused(rules(*[("(.)", "$1$1")] * 40), '{"ab":1}')
    assert error.code == INVALID_KEY
    assert "renames 'ab' to a key of over 4096 characters" in error.message


def test_many_rules_on_many_keys() -> None:
    document = json.dumps({f"k{number}": 1 for number in range(4000)})
    assert refused(rules(*[("a", "b")] * 30), document).code == TOO_COSTLY
    assert len(extract(rules(*[("k", "b")] * 20), document.encode())) == 4000


def test_numbers_of_many_digits() -> None:
    digits = "9" * 5000
    document = json.dumps({"e": 1}).replace("1", f"[{digits}, 1e999999999, -{digits}]").encode()
    spec = ExtractionSpec(
        selections=(Selection("e[0]", "a"), Selection("e[?@>`1`]", "b"), Selection("e", "c"))
    )
    assert extract(spec, document) == {
        "a": digits.encode(),
        "b": f"[{digits},1e999999999]".encode(),
        "c": f"[{digits},1e999999999,-{digits}]".encode(),
    }


def test_rules_are_compiled_once_per_spec() -> None:
    spec = ExtractionSpec(extract=True, rules=(Rule("a{1000}", "x"),))
    check_spec(spec)
    check_spec(spec)
    assert extract(spec, b'{"b":1}') == {"b": b"1"}
