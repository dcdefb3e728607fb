"""The examples of Alibaba's guide, and what each kind of value becomes."""

from __future__ import annotations

import pytest

from secret_sync.parse import ExtractionSpec, Rule, Selection, extract

EXTRACT = ExtractionSpec(extract=True)
GUIDE_RULES = (Rule("^/.*d$", "tom"), Rule("^n.*/$", "mark"))


def select(*paths: str) -> ExtractionSpec:
    return ExtractionSpec(
        selections=tuple(Selection(path, f"k{n}") for n, path in enumerate(paths))
    )


@pytest.mark.parametrize(
    "document",
    [
        b'{"name":"tom","friends":[{"name":"lily"},{"name":"mark"}]}',
        b"name: tom\nfriends:\n  - name: lily\n  - name: mark\n",
    ],
)
def test_jmespath_of_the_guide(document: bytes) -> None:
    spec = ExtractionSpec(
        selections=(Selection("name", "myname"), Selection("friends[0].name", "friendname"))
    )
    assert extract(spec, document) == {"myname": b"tom", "friendname": b"lily"}


@pytest.mark.parametrize(
    ("document", "mark"),
    [
        (b'{"/name-invalid":"lily","name-invalid/":[{"name":"mark"}]}', b'[{"name":"mark"}]'),
        (b"/name-invalid: lily\nname-invalid/:\n  - name: mark\n", b"- name: mark"),
    ],
)
def test_extract_of_the_guide(document: bytes, mark: bytes) -> None:
    spec = ExtractionSpec(extract=True, rules=GUIDE_RULES)
    assert extract(spec, document) == {"tom": b"lily", "mark": mark}


def test_plain_spec_keeps_the_bytes() -> None:
    assert extract(ExtractionSpec(name="key"), b"\xff{broken") == {"key": b"\xff{broken"}


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ('"text"', "text"),
        ('"a\\u0000b"', "a\0b"),
        ('"\\ud83d\\ude00"', "😀"),
        ("12345678901234567890", "12345678901234567890"),
        ("1.10", "1.10"),
        ("1e400", "1e400"),
        ("-0.0", "-0.0"),
        ("9" * 5000, "9" * 5000),
        ("true", "true"),
        ("false", "false"),
        ("null", ""),
        ("[]", "[]"),
        ("{}", "{}"),
        ('{ "b" : [1.10, null], "a" : "é" }', '{"a":"é","b":[1.10,null]}'),
        ('["<a&b>\\u2028"]', '["\\u003ca\\u0026b\\u003e\\u2028"]'),
    ],
)
def test_values_of_json(written: str, becomes: str) -> None:
    assert extract(EXTRACT, f'{{"k":{written}}}'.encode()) == {"k": becomes.encode()}


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("text", "text"),
        ("'1'", "1"),
        ("12345678901234567890", "12345678901234567890"),
        ("1.10", "1.10"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        (".inf", ".inf"),
        ("2001-01-01", "2001-01-01"),
        ("yes", "yes"),
        ("True", "true"),
        ("~", ""),
        ("", ""),
        ("!!str 12", "12"),
        ("!!int '5'", "5"),
        ("!!float 1", "1"),
        ("!!null ''", ""),
        ("!!binary aGVsbG8=", "hello"),
        ("!Ref name", "name"),
        ("!!python/object:os.system x", "x"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("[1.10, 2001-01-01, ~]", '- 1.10\n- "2001-01-01"\n- null'),
        ("{z: 1, a: yes, 2: b}", '2: b\na: "yes"\nz: 1'),
        ("{long: {x: [a, {b: c}]}}", "long:\n    x:\n        - a\n        - b: c"),
        ("[]", "[]"),
    ],
)
def test_values_of_yaml(written: str, becomes: str) -> None:
    assert extract(EXTRACT, f"k: {written}".encode()) == {"k": becomes.encode()}


def test_last_line_break_of_a_block_string_is_kept() -> None:
    document = b"tls:\n  key: |\n    line\n"
    assert extract(EXTRACT, document) == {"tls": b"key: |\n    line\n"}


def test_path_matches_any_kind_of_value() -> None:
    spec = select("a", "b", "c", "d", "e")
    document = b'{"a":"x","b":1.10,"c":false,"d":[1],"e":{"f":null}}'
    assert extract(spec, document) == {
        "k0": b"x",
        "k1": b"1.10",
        "k2": b"false",
        "k3": b"[1]",
        "k4": b'{"f":null}',
    }


def test_selections_go_before_extract_and_rules_come_after_both() -> None:
    spec = ExtractionSpec(
        selections=(Selection("a", "x/y"),), extract=True, rules=(Rule("(.)/(.)", "$2.$1"),)
    )
    assert extract(spec, b'{"a":1,"b":2}') == {"y.x": b"1"}


def test_byte_order_mark_is_ignored() -> None:
    assert extract(EXTRACT, b'\xef\xbb\xbf{"a":1}') == {"a": b"1"}
    assert extract(EXTRACT, b"\xef\xbb\xbfa: 1") == {"a": b"1"}


def test_empty_mapping_has_no_keys() -> None:
    assert extract(EXTRACT, b"{}") == {}
