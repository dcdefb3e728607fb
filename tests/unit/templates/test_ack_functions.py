"""``jsonPath``, ``mergeJson``, ``parseKeyValue`` and ``toLines``, and reading of JSON."""

from __future__ import annotations

import pytest

from secret_sync.templates.ack import key_values
from secret_sync.templates.errors import TEMPLATE_FAILED, FunctionError, TemplateError
from secret_sync.templates.limits import TemplateBudget
from tests.unit.templates.rendering import rendered

DOCUMENT = (
    '{"a":[{"b":"x","n":1.10},{"b":"y"},{}],"id":1234567890123456,"k.e":{"y*":"dotted"},'
    '"s":"text","null":null,"t":true,"1":"one","e":"","deep":{"l":[[1,[2]]]}}'
)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("s", b"text"),
        ("a.0.b", b"x"),
        ("a.0.n", b"1.10"),
        ("a.#", b"3"),
        ("a.#.b", b"[x y]"),
        ("a.1", b"map[b:y]"),
        ("id", b"1234567890123456"),
        ("t", b"true"),
        ("1", b"one"),
        (r"k\.e.y\*", b"dotted"),
        ("deep.l.0.1.0", b"2"),
        ("e", b""),
    ],
)
def test_json_path_finds_keys_and_indexes(path: str, wanted: bytes) -> None:
    assert rendered("{{ jsonPath .d .p }}", d=DOCUMENT, p=path) == wanted


@pytest.mark.parametrize("path", ["zz", "a.9", "a.x", "s.x", "a.0.b.c", "null", "a.-1", "a.00x"])
def test_json_path_that_finds_nothing_is_missing(path: str) -> None:
    template = "{{ jsonPath .d .p | default `d` }}{{ if jsonPath .d .p }}x{{ end }}"
    assert rendered(template, d=DOCUMENT, p=path) == b"d"
    with pytest.raises(TemplateError) as caught:
        rendered("{{ jsonPath .d .p }}", d=DOCUMENT, p=path)
    assert caught.value.code == TEMPLATE_FAILED


@pytest.mark.parametrize(
    "path",
    ["", ".", "a.", ".a", "a..b", "a\\", "*", "a?", "@this", "a|b", "a.#(b==1)", "{a}", "[0]"],
)
def test_json_path_refuses_what_is_no_path(path: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered("{{ jsonPath .d .p | default `d` }}", d=DOCUMENT, p=path)
    assert "jsonPath" in str(caught.value)


def test_json_path_of_no_json_is_missing() -> None:
    assert rendered('{{ jsonPath "{" "a" | default "d" }}') == b"d"
    with pytest.raises(TemplateError) as caught:
        rendered('{{ jsonPath "{secret" "a" }}')
    assert "line 1, column 2" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_numbers_of_documents_keep_their_text_everywhere() -> None:
    found = rendered(
        '{{ $n := jsonPath .d "id" }}{{ $n }} {{ toJson $n }} {{ quote $n }} {{ cat $n }}'
        ' {{ printf "%v" $n }} {{ join "," (list $n) }} {{ toString $n }} {{ dict "k" $n }}',
        d=DOCUMENT,
    )
    assert found.count(b"1234567890123456") == 8
    assert b"e+" not in found


@pytest.mark.parametrize(
    ("base", "over", "wanted"),
    [
        ("{}", "{}", b"{}"),
        ('{"a":1}', '{"b":2}', b'{"a":1,"b":2}'),
        ('{"a":1}', '{"a":2}', b'{"a":2}'),
        ('{"a":{"x":1,"y":{"p":1}}}', '{"a":{"y":{"q":2}}}', b'{"a":{"x":1,"y":{"p":1,"q":2}}}'),
        ('{"a":[1,2]}', '{"a":[3]}', b'{"a":[3]}'),
        ('{"a":{"x":1}}', '{"a":5}', b'{"a":5}'),
        ('{"a":5}', '{"a":{"x":1}}', b'{"a":{"x":1}}'),
        ('{"a":1}', '{"a":null}', b'{"a":null}'),
        ('{"a":1}', '{"a":""}', b'{"a":""}'),
        (
            '{"n":1.10,"id":12345678901234567890}',
            '{"m":1e2}',
            b'{"id":12345678901234567890,"m":1e2,"n":1.10}',
        ),
        (' { "b" : 1 , "a" : 2 } ', "{}", b'{"a":2,"b":1}'),
    ],
)
def test_merge_json_merges_at_every_level(base: str, over: str, wanted: bytes) -> None:
    assert rendered("{{ mergeJson .b .o }}", b=base, o=over) == wanted


@pytest.mark.parametrize(
    ("base", "over"),
    [
        ("", "{}"),
        ("{}", "x"),
        ("[]", "{}"),
        ("{}", "1"),
        ('"s"', "{}"),
        ('{"a":1,"a":2}', "{}"),
        ("null", "{}"),
    ],
)
def test_merge_json_refuses_what_is_no_object(base: str, over: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered("{{ mergeJson .b .o }}", b=base, o=over)
    assert caught.value.code == TEMPLATE_FAILED


def test_parse_key_value_reads_lines() -> None:
    text = (
        "# comment\nuser = joe \r\n\n  pass=a=b# c\nempty=\n # indented\nuser=jim\n"
        "no=space in  key\n"
    )
    assert rendered("{{ parseKeyValue .t | toJson }}", t=text) == (
        b'{"empty":"","no":"space in  key","pass":"a=b# c","user":"jim"}'
    )
    assert rendered("{{ (parseKeyValue .t).user }}", t=text) == b"jim"
    assert rendered("{{ parseKeyValue .t | len }}", t="") == b"0"


@pytest.mark.parametrize("line", ["-----BEGIN SECRET-----", "=value", "planted"])
def test_parse_key_value_states_the_number_of_a_bad_line(line: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered("{{ parseKeyValue .t }}", t=f"a=b\n\n{line}\n")
    assert "parseKeyValue: line 3" in str(caught.value)
    for part in ("SECRET", "value=", "planted"):
        assert part not in str(caught.value)


def test_key_values_keep_bytes() -> None:
    budget = TemplateBudget()
    assert key_values(b"\xff = \x00\xfe\n", budget) == {b"\xff": b"\x00\xfe"}
    with pytest.raises(FunctionError):
        key_values(b"a=b\nc", budget)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\nb", b'["a","b"]'),
        ("a\nb\n", b'["a","b"]'),
        ("a\r\n\r\nb\r\n", b'["a","","b"]'),
        ("", b"[]"),
        ("\n", b'[""]'),
        (" a ", b'[" a "]'),
    ],
)
def test_to_lines_splits_at_line_breaks(text: str, wanted: bytes) -> None:
    assert rendered("{{ toLines .t | toJson }}", t=text) == wanted


def test_json_that_is_broken_shows_its_place_and_nothing_of_it() -> None:
    with pytest.raises(TemplateError) as caught:
        rendered("{{ mustFromJson .t }}", t='{"user": "planted",\n "x": planted}')
    assert "line 2, column 7" in str(caught.value)
    assert "planted" not in str(caught.value)


def test_key_that_is_there_twice_is_not_shown() -> None:
    with pytest.raises(TemplateError) as caught:
        rendered("{{ fromJson .t }}", t='{"planted": 1, "planted": 2}')
    assert "twice" in str(caught.value)
    assert "planted" not in str(caught.value)
