"""JMESPath: the public compliance cases, and numbers that keep their text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from secret_sync.errors import DefiniteError
from secret_sync.parse import Expressions, ObjectBudget, extract
from secret_sync.parse.json_document import read_json
from secret_sync.parse.paths import Search
from secret_sync.parse.values import Number
from tests.unit.parse.extracting import paths

CASES: Final = Path(__file__).parents[2] / "data" / "parse" / "jmespath" / "compliance.json"

#: Cases that do not pass, each with its reason. There is none.
CANNOT_PASS: Final[dict[str, str]] = {}


def compliance() -> list[Any]:
    groups = json.loads(CASES.read_text())
    return [
        pytest.param(group["given"], case, id=f"{name}-{number}-{place}")
        for name, groups_of_name in groups.items()
        for number, group in enumerate(groups_of_name)
        for place, case in enumerate(group["cases"])
        if f"{name}-{number}-{place}" not in CANNOT_PASS
    ]


def plain(value: Any) -> Any:
    if isinstance(value, Number):
        return value.value
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("given", "case"), compliance())
def test_compliance(given: Any, case: dict[str, Any]) -> None:
    search = Search(read_json(json.dumps(given)), Expressions(), ObjectBudget().step)
    if "error" in case:
        with pytest.raises(DefiniteError):
            search.find(case["expression"])
        return
    found = plain(search.find(case["expression"]))
    if "result" in case:
        # `True == 1` for Python, but not here.
        assert repr(normal(found)) == repr(normal(case["result"]))


def normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [normal(item) for item in value]
    return {key: normal(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


DOCUMENT: Final = (
    b'{"n":[2.50,12345678901234567890,1.10,-3],"s":["b","a"],"o":{"b":1.0,"a":true},'
    b'"i":[{"n":2,"t":"x"},{"n":1.10,"t":"y"}]}'
)


@pytest.mark.parametrize(
    ("path", "becomes"),
    [
        ("n[?@ > `2`]", "[2.50,12345678901234567890]"),
        ("n[?@ == `2.5`]", "[2.50]"),
        ("n[?@ != `1.1`] | [0]", "2.50"),
        ("n[?@ == `12345678901234567891`]", "[]"),
        ("max(n)", "12345678901234567890"),
        ("min(n)", "-3"),
        ("sort(n)", "[-3,1.10,2.50,12345678901234567890]"),
        ("sort_by(i, &n)[*].n", "[1.10,2]"),
        ("max_by(i, &n).t", "x"),
        ("min_by(i, &n).n", "1.10"),
        ("abs(n[2])", "1.10"),
        ("abs(n[3])", "3"),
        ("ceil(n[0])", "3"),
        ("floor(n[1])", "12345678901234567890"),
        ("sum(i[*].n)", "3.1"),
        ("avg(`[1,3]`)", "2"),
        ("avg(`[1,2]`)", "1.5"),
        ("sum(`[]`)", "0"),
        ("length(n)", "4"),
        ("to_string(n)", "[2.50,12345678901234567890,1.10,-3]"),
        ("to_string(n[2])", "1.10"),
        ("to_number('1.10')", "1.10"),
        ("to_number(' 1') || 'no'", "no"),
        ("to_number('1_0') || 'no'", "no"),
        ("type(n[0])", "number"),
        ("type(o.a)", "boolean"),
        ("contains(n, `1.1`)", "true"),
        ("contains(n, `1`)", "false"),
        ("contains(s[0], `1`)", "false"),
        ("o.b == o.a", "false"),
        ("[o.b] == `[1]`", "true"),
        ("[o.a] == `[1]`", "false"),
        ("o == {a: `true`, b: `1`}", "true"),
        ("!n[0]", "false"),
        ("keys(o)", '["b","a"]'),
        ("`1.10`", "1.1"),
        ("`1e3`", "1000"),
        ("s < `1` || 'no order'", "no order"),
        ("{x: n[0], y: s}", '{"x":2.50,"y":["b","a"]}'),
    ],
)
def test_numbers_keep_their_text(path: str, becomes: str) -> None:
    assert extract(paths(path), DOCUMENT)["k0"] == becomes.encode()


def test_yaml_has_more_numbers_and_other_keys() -> None:
    document = b"n: [0x1F, 0o17, .inf, -.INF, 1.]\nk: {1: a, true: b, ~: c}\n"
    found = extract(
        paths("sort(n)[0]", "n[?@ == `31`] | [0]", 'k."1"', "keys(k)", "n[1]"), document
    )
    assert found == {
        "k0": b"-.INF",
        "k1": b"0x1F",
        "k2": b"a",
        "k3": b'- "1"\n- "true"\n- "~"',
        "k4": b"0o17",
    }
