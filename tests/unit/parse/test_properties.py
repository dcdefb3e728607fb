"""Properties of all documents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secret_sync.documents import NotJSONError
from secret_sync.errors import DefiniteError
from secret_sync.parse import ExtractionSpec, Rule, Selection, extract
from secret_sync.parse.document import read_document
from secret_sync.parse.json_document import read_json, write_json
from secret_sync.parse.values import JSON_NUMBER, Number
from tests.unit.parse.extracting import EXTRACT, paths

pytestmark = pytest.mark.slow

legal_keys = st.from_regex(r"\A[a-zA-Z0-9_][-._a-zA-Z0-9]{0,9}\Z")
texts = st.text(st.characters(codec="utf-8"), max_size=15)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
documents = st.dictionaries(
    legal_keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)
SPECS = (
    EXTRACT,
    ExtractionSpec(extract=True, rules=(Rule("[^a-z]+", "-$0"), Rule("(.)(.)", "$2$1"))),
    paths("@", "keys(@)", "*", "to_string(@)"),
    ExtractionSpec(selections=(Selection("a", "x/y"),), rules=(Rule("/", "."),)),
)
#: Stands in values only, and in none of our messages.
CANARY = "q7Zx-51c"


def extracted(spec: ExtractionSpec, data: bytes) -> DefiniteError | dict[str, bytes]:
    try:
        return extract(spec, data)
    except DefiniteError as error:
        return error


@settings(deadline=None)
@given(documents)
def test_json_round_trip(document: dict[str, Any]) -> None:
    found = extract(EXTRACT, json.dumps(document).encode())
    assert list(found) == list(document)
    for key, value in document.items():
        text = found[key].decode()
        if isinstance(value, str):
            assert text == value
        elif value is None:
            assert text == ""
        else:
            assert json.loads(text) == value


@settings(deadline=None)
@given(documents)
def test_json_is_written_compact_and_sorted(document: dict[str, Any]) -> None:
    text = write_json(read_json(json.dumps(document)), lambda _size: None)
    assert not set(text) & set("<>&\u2028\u2029")
    plain = json.loads(text)
    assert plain == document
    expected = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert re.sub(r"\\u(003c|003e|0026|2028|2029)", _character, text) == expected


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


@settings(deadline=None)
@given(st.from_regex(JSON_NUMBER, fullmatch=True))
@example("12345678901234567890")
@example("1.10")
@example("-0")
@example("1E+400")
@example("0.1000000000000000055511151231257827")
def test_numbers_of_json_stay_as_written(number: str) -> None:
    data = f'{{"a":{number},"b":[{number}]}}'.encode()
    assert extract(EXTRACT, data) == {"a": number.encode(), "b": f"[{number}]".encode()}
    assert extract(paths("a", "b[?@ == @]"), data)["k0"] == number.encode()


@settings(deadline=None)
@given(st.from_regex(r"\A[-+]?(0|[1-9][0-9]{0,30})(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,4})?\Z"))
@example("0x1F")
@example("0o17")
@example("007")
@example(".5")
def test_numbers_of_yaml_stay_as_written(number: str) -> None:
    data = f"a: {number}\nb: [{number}, x]".encode()
    assert extract(EXTRACT, data) == {"a": number.encode(), "b": f"- {number}\n- x".encode()}


@settings(deadline=None)
@given(st.binary(max_size=60) | texts.map(str.encode), st.sampled_from(SPECS))
@example(b"\xef\xbb\xbf", EXTRACT)
@example(b"%YAML 1.1\n---\na: 1", EXTRACT)
@example(b"%TAG ! tag:x,2000:\n--- !a b", EXTRACT)
@example(b'"\\uD800"', SPECS[2])
@example("a: \ufeff".encode(), EXTRACT)
@example(b"a: &a\nb: *a\n*a : c", EXTRACT)
def test_any_bytes_give_keys_or_a_definite_error(data: bytes, spec: ExtractionSpec) -> None:
    extracted(spec, data)


syntax = st.sampled_from(
    [
        *'{}[]:,"\n\t#1~ab',
        *("'", "- ", ": ", "? ", "\\u", "\\", "&a ", "*a ", "|\n", "!!int ", "<<: ", "---\n", "  "),
        *('"a":', CANARY, f'"{CANARY}"', f"'{CANARY}'"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(syntax, max_size=20).map("".join), st.sampled_from(SPECS))
def test_no_error_shows_a_value(text: str, spec: ExtractionSpec) -> None:
    error = extracted(spec, text.encode())
    if not isinstance(error, DefiniteError) or CANARY not in error.message:
        return
    # Only as a key, which errors may name.
    assert error.code in {"InvalidKey", "DuplicateKey", "KeyCollision"}


@settings(deadline=None)
@given(texts, texts)
def test_invalid_json_is_refused_without_its_text(before: str, after: str) -> None:
    text = json.dumps({"a": before})[:-1] + ", " + json.dumps(CANARY + after)
    with pytest.raises(NotJSONError) as caught:
        read_json(text)
    assert CANARY not in str(caught.value)


@settings(deadline=None)
@given(numbers)
def test_number_has_its_value(value: float) -> None:
    number = Number(json.dumps(value))
    assert number.value == value
    assert number == Number(json.dumps(value))


def test_document_format_is_recorded() -> None:
    assert read_document(b'{"a":1}').is_json
    assert not read_document(b"{a: 1}").is_json
    assert repr(Number("1.10")) == "Number('1.10')"
