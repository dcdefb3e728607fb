"""The public YAML test suite, and every case in which we differ from it, with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest

from secret_sync.errors import DefiniteError
from secret_sync.parse import read_document
from secret_sync.parse.values import Number

CASES: Final = json.loads(
    (Path(__file__).parents[2] / "data" / "yaml-test-suite" / "cases.json").read_text()
)

Outcome: TypeAlias = Literal["right", "refused", "accepted", "other value"]

#: Valid YAML that is refused. Nothing of it is ever written as something else.
REFUSED: Final = {
    "a mapping or a list is a key, which no key of a Secret can be": (
        "4FJ6 6BFJ 6PBE 9MMW KK5P LX3P M2N8/01 M5DY Q9WF RZP5 SBG9 V9D5 X38W XW4D"
    ),
    "libyaml: a key that is left out needs its `?`": (
        "2JQS 6M2F CFD4 FRK4 M2N8/00 NHX8 NKF9 S3PD SM9W/01 UKK6/00"
    ),
    "libyaml: in flow style a plain text cannot begin with `:`": "58MP 5T43 DBG4 HM87/00",
    "libyaml takes the `?` off that begins a plain text of flow style": "652Z HM87/01",
    "libyaml: a comma after a colon does not end a plain text of flow style": "4ABK",
    "libyaml: in flow style a key and its colon stand in one line": (
        "4MUZ/01 4MUZ/02 5MUD 9SA2 K3WX NJ66 VJP3/01"
    ),
    "libyaml: a tab is no space between indicators, nor in an empty line": (
        "6BCT 96NN/00 96NN/01 A2M4 DK95/00 DK95/03 DK95/04 R4YG Y79Y/001 Y79Y/010"
    ),
    "libyaml: names of anchors are letters, digits, `-` and `_`": "2SXE 8XYN W5VH",
    "libyaml: text in block style at the top of a document is indented": "DK3J FP8R",
    "libyaml: directives are `%YAML 1.1`, `%YAML 1.2` and `%TAG`": (
        "2LFX 6LVF BEC7 MUS6/05 MUS6/06"
    ),
    "the value of `!!binary` has to be text": "565N",
    "an alias as a key stands for a value, and messages name keys": "26DV E76Z",
    "a key of flow style without a colon may be a value, and messages name keys": "8KB6 9BXH DFF7",
    "what begins with a bracket may be broken JSON: no line break within quotes": "8UDB",
}
#: Broken YAML that is read; what comes out is what the writer can only have meant.
ACCEPTED: Final = {
    "libyaml: lines within brackets or quotes need no indentation": "9C9N DK95/01 QB6E Y79Y/003",
    "libyaml: a comment may follow an indicator or a quote without a space": (
        "9JBA CVW2 MUS6/00 SU5Z X4QW"
    ),
    "libyaml: `-` is a plain text in flow style": "G5U8 YJV2",
    "libyaml: empty lines before the first of a block may have more spaces": "S98Z",
    "libyaml 0.1.7: a comma belongs to a tag": "U99R",
}
#: Valid YAML that has another value.
OTHER_VALUE: Final = {
    "libyaml: spaces at the end of the text belong to a block before them": "JEF9/02 L24T/01",
    "libyaml: the tag `!` makes a string of nothing": "UKK6/02",
    "libyaml: a colon ends the name of an anchor": "Y2GN",
}


def deviations() -> dict[str, Outcome]:
    tables: dict[Outcome, dict[str, str]] = {
        "refused": REFUSED,
        "accepted": ACCEPTED,
        "other value": OTHER_VALUE,
    }
    return {
        case: outcome
        for outcome, table in tables.items()
        for cases in table.values()
        for case in cases.split()
    }


@pytest.mark.parametrize("case", CASES)
def test_case_is_parsed_like_the_suite_or_listed(case: str) -> None:
    assert outcome_of(CASES[case]) == deviations().get(case, "right")


def test_table_names_cases_of_the_suite_once() -> None:
    listed = " ".join(
        cases for table in (REFUSED, ACCEPTED, OTHER_VALUE) for cases in table.values()
    ).split()
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(CASES)


def outcome_of(case: dict[str, Any]) -> Outcome:
    try:
        found = plain(read_document(case["yaml"].encode()).root)
    except DefiniteError:
        # One value holds one document.
        wanted = "json" not in case or len(documents(case["json"])) == 1
        return "refused" if wanted and not case.get("fail") else "right"
    if case.get("fail"):
        return "accepted"
    if "json" not in case:
        return "right"
    return "right" if documents(case["json"]) == [written(found)] else "other value"


def plain(value: Any) -> Any:
    match value:
        case Number():
            return float(value.value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value


def written(value: Any) -> str:
    """A text in which `true` differs from `1`, but `1` not from `1.0`; in one order of keys."""
    return json.dumps(value, sort_keys=True)


def documents(text: str) -> list[str]:
    """The values of a stream of JSON, as they are written for comparison."""
    found = []
    text = text.strip()
    while text:
        value, end = json.JSONDecoder(parse_int=float).raw_decode(text)
        found.append(written(value))
        text = text[end:].lstrip()
    return found
