"""JSON with an error within a string is not parsed as YAML; YAML in flow style is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.parse import NOT_A_DOCUMENT, extract
from tests.unit.parse.extracting import EXTRACT, paths, refused

PEM = "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ('{\n    "id": "1",\n    "key": "' + PEM + '"\n}', "line 3, column 44"),
        ('{"a":"x\tSECRET"}', "line 1, column 8"),
        ('{"a":"x\rSECRET"}', "line 1, column 8"),
        ('{"a":"SECRET\\d"}', "line 1, column 13"),
        ('{"a":"C:\\apps\\SECRET"}', "line 1, column 9"),
        ('{"a":"\\u12SECRET"}', "line 1, column 8"),
        # YAML knows these: text without quotes, single quotes, a comma at the end, a comment.
        ('{a: "x\nSECRET"}', "line 1, column 7"),
        ("{'a': 'x\nSECRET'}", "line 1, column 9"),
        ('{"a": "é\nSECRET",}', "line 1, column 9"),
        ('# SECRET\n{"a": "x\nSECRET"}', "line 2, column 9"),
        ('{"a\nSECRET": 1,}', "line 1, column 4"),
        ('{a: &b !!str\n "x\nSECRET"}', "line 2, column 4"),
        ('\ufeff\ufeff{a: "x\nSECRET"}', "line 1, column 7"),
        ('[x, "SECRET\\e"]', "line 1, column 12"),
        ('[x, "\\\\\\x41SECRET"]', "line 1, column 8"),
        ('[x, "a\x85SECRET"]', "line 1, column 7"),
        ('[x, "a\u2028SECRET"]', "line 1, column 7"),
    ],
)
def test_invalid_characters_in_a_json_string_are_refused(document: str, where: str) -> None:
    error = refused(EXTRACT, document)
    assert error.code == NOT_A_DOCUMENT
    assert f"{where}: " in error.message
    assert "SECRET" not in error.message


words = st.sampled_from(["a", "b1", "é😀", "'c'", '"d"', '"\\n"', "-x", "h://x:1", "''", '"\\\\"'])
control = st.sampled_from(sorted({*map(chr, range(0x20)), "\x7f", "\x85", "\r\n", "\n\n "}))
escape = st.sampled_from([f"\\{c}" for c in "0aeNv_LPxU 'dw$(" + "\n"])
insides = st.text(st.sampled_from("xy é😀:,{}[]#-"), max_size=5)


@st.composite
def flow_documents(draw: st.DrawFn) -> tuple[str, str]:
    """Flow style in which a string is none of JSON's, at any level, as a key or a value.

    The second one is the same with a letter in that place.
    """
    quote = draw(st.sampled_from("'\""))
    wrong = draw(control if quote == "'" else control | escape)
    node = f"{quote}{draw(insides)}\ue000{draw(insides)}{quote}"
    for level in range(draw(st.integers(1, 4))):
        before = [f"k{n}: {draw(words)}" for n in range(draw(st.integers(0, 2)))]
        after = draw(st.sampled_from(["", ",", "\n", ", z: 1", " # y\n"]))
        forms = [f"q{level}: {node}", f'"q{level}":{node}', f"q{level} :\n {node}"]
        if level == 0:
            forms.append(f"{node}: 1")
        middle = draw(st.sampled_from(forms))
        kind = draw(st.sampled_from(["{%s}", "[%s]"]))
        node = kind % (", ".join([*before, middle]) + after)
    document = draw(st.sampled_from(["", " ", "\n \n", "\ufeff", "\ufeff\ufeff"])) + node
    return document.replace("\ue000", wrong), document.replace("\ue000", "w")


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(flow_documents())
def test_text_in_brackets_with_such_a_string_is_refused(documents: tuple[str, str]) -> None:
    broken, right = documents
    assert refused(paths("@"), broken).code == NOT_A_DOCUMENT
    assert extract(paths("@"), right.encode())


lines = st.text(st.sampled_from("ABab01+/="), min_size=1, max_size=8)


@settings(deadline=None)
@given(
    st.lists(lines, min_size=1, max_size=4),
    st.sampled_from(['{"k":"%s"}', "{k: %s}", "k: '%s'", 'k: "%s"', "k: %s", "k: >\n  %s", "- %s"]),
    st.sampled_from(["\n", "\n  ", "\r\n", "\r\n  ", "\n\t"]),
)
def test_private_key_never_gets_spaces_for_line_breaks(
    body: list[str], form: str, line_break: str
) -> None:
    key = line_break.join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"])
    assert refused(paths("@"), form % key).code == NOT_A_DOCUMENT


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"k": PEM}),
        "k: |-\n  " + PEM.replace("\n", "\n  "),
        "k: " + json.dumps(PEM),
        "{k: " + json.dumps(PEM) + ",}",
        'k: "' + PEM.replace("\n", "\\n\\\n  ") + '"',
    ],
)
def test_private_key_with_escaped_line_breaks_keeps_its_lines(document: str) -> None:
    assert extract(EXTRACT, document.encode()) == {"k": PEM.encode()}


@pytest.mark.parametrize(
    ("document", "values"),
    [
        ("{url: http://h:80/x, b: 1}", {"url": "http://h:80/x", "b": "1"}),
        ("{a: jdbc:mysql://h:3306/d?x=1&y=2}", {"a": "jdbc:mysql://h:3306/d?x=1&y=2"}),
        ("a: {url: http://h}", {"a": "url: http://h"}),
        ("{a: [x:1, http://y], b: {c: d:e}}", {"a": "- x:1\n- http://y", "b": "c: d:e"}),
        ("{a: 10:20:30, b: c?d}", {"a": "10:20:30", "b": "c?d"}),
        ("{arn: acs:kms:cn-hangzhou:1:secret/x}", {"arn": "acs:kms:cn-hangzhou:1:secret/x"}),
        ("{\n  user: admin,\n  'pass': \"p,w\",\n}\n", {"user": "admin", "pass": "p,w"}),
        ('{"a": "x", # the user\n "b": y}', {"a": "x", "b": "y"}),
        ("{a: &x http://h:1, b: *x}", {"a": "http://h:1", "b": "http://h:1"}),
        ("{a: one\n  two}", {"a": "one two"}),
        ("{a: 'C:\\apps', b: \"\\u00e9\\\\\"}", {"a": "C:\\apps", "b": "é\\"}),
        ("{a: !!str\n 1}", {"a": "1"}),
        ('--- {"a": "x\n y"}', {"a": "x y"}),
        ('"a\tb": "x\n y"', None),
    ],
)
def test_flow_style_is_parsed(document: str, values: dict[str, str] | None) -> None:
    if values is None:
        assert extract(paths("@"), document.encode())
        return
    assert {k: v.decode() for k, v in extract(EXTRACT, document.encode()).items()} == values


@pytest.mark.parametrize(
    "document",
    [
        "{user:admin,password:SECRET/}",
        "{user: admin, password:SECRET/}",
        "{SECRET/}",
        '{"SECRET/"}',
        '{"user": "admin", "SECRET/"}',
        "x: {SECRET, SECRET}",
        "[{SECRET, SECRET}]",
        "{? SECRET/}",
        "{&a SECRET/}",
        '{"user": "a"\n# n: x\n, "SECRET pass"\n# c: d\n}',
    ],
)
def test_value_in_the_place_of_a_key_is_not_shown(document: str) -> None:
    error = refused(EXTRACT, document)
    assert error.code == NOT_A_DOCUMENT
    assert "key without a value in braces" in error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize("document", ['{a: &x "SECRET pass", *x : 1}', 'a: &x "SECRET/"\n*x : 1'])
def test_value_of_an_alias_is_not_shown_as_a_key(document: str) -> None:
    error = refused(EXTRACT, document)
    assert error.code == NOT_A_DOCUMENT
    assert "alias as a key" in error.message
    assert "SECRET" not in error.message
