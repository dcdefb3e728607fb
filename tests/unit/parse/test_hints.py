"""A path that does not work is answered with the one that would."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync.parse import (
    INVALID_JMESPATH,
    NOT_A_DOCUMENT,
    PATH_NOT_FOUND,
    constant_hint,
    cook,
)
from secret_sync.parse.hints import quoted_path
from tests.unit.parse.refusals import paths, refused, refused_offline


def suggested(message: str) -> str:
    """The path of the suggestion, as it would be read out of an ExternalSecret."""
    found = yaml.safe_load("path: " + message.partition("write path: ")[2])["path"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("path", "works"),
    [
        ("api-key", '"api-key"'),
        ("db.api-key[0].x", 'db."api-key"[0].x'),
        ("1st", '"1st"'),
        ("a/b", '"a/b"'),
        ("my key", '"my key"'),
        ("größe", '"größe"'),
    ],
)
def test_a_name_that_lacks_its_quotes(path: str, works: str) -> None:
    error = refused_offline(paths(path))
    assert error.code == INVALID_JMESPATH
    assert error.message.endswith(
        f"such a name needs double quotes, so write path: {json.dumps(works, ensure_ascii=False)}"
    )
    assert suggested(error.message) == works


def test_the_bare_path_of_the_public_reports() -> None:
    assert r'write path: "\"api-key\""' in refused_offline(paths("api-key")).message


@pytest.mark.parametrize(
    "path", ["a[", "$.a", "friends.0", "a..b", "a b.", "x-y()", "a" * 90 + "-"]
)
def test_what_lacks_more_than_quotes_gets_no_such_advice(path: str) -> None:
    assert "write path" not in refused_offline(paths(path)).message


names = st.from_regex(r"\A[a-z0-9é/+%-]{1,3}( [a-z-])?\Z") | st.text(min_size=1, max_size=3)


@settings(deadline=None)
@given(st.lists(names, min_size=1, max_size=3))
def test_what_is_suggested_finds_what_the_names_say(names: list[str]) -> None:
    path = ".".join(names)
    meant = quoted_path(path)
    if not meant:
        return
    nested: object = "found"
    for name in reversed(names):
        nested = {name: nested}
    assert cook(paths(meant), json.dumps(nested).encode()) == {"k0": b"found"}


@pytest.mark.parametrize(
    ("path", "document", "works"),
    [
        ("app.key", '{"app.key": "SECRET"}', '"app.key"'),
        ("a.tls.crt", '{"a": {"tls.crt": "SECRET"}}', 'a."tls.crt"'),
        ("tls.crt.x", "tls.crt: {x: SECRET}", '"tls.crt".x'),
        ("app.key", '{"app": {"x": 1}, "app.key": "SECRET"}', '"app.key"'),
    ],
)
def test_a_key_with_a_dot_is_named(path: str, document: str, works: str) -> None:
    error = refused(paths(path), document)
    assert error.code == PATH_NOT_FOUND
    assert "the document has a key with dots in it: write path: " in error.message
    assert suggested(error.message) == works
    assert "SECRET" not in error.message
    assert cook(paths(works), document.encode()) == {"k0": b"SECRET"}


@pytest.mark.parametrize(
    "document", ['{"app.key": null}', '{"app": "SECRET"}', '[{"app.key": 1}]', "{}", '{"app": {}}']
)
def test_where_no_key_has_the_dots_nothing_is_said_of_them(document: str) -> None:
    error = refused(paths("app.key"), document)
    assert error.code == PATH_NOT_FOUND
    assert "dots" not in error.message
    assert "SECRET" not in error.message


def test_a_long_path_of_names_is_not_tried() -> None:
    path = ".".join(["a"] * 40)
    assert "dots" not in refused(paths(path), json.dumps({path: 1})).message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("SECRETuserpassword", "a single string"),
        ("MONGO_DB_NAME=SECRET\nB=SECRET\n", "a single string"),
        ('"SECRET"', "a single string"),
        ("123456", "a single number"),
        ("true", "a single boolean"),
        ("null", "null"),
    ],
)
def test_a_path_on_what_is_no_document_says_so(value: str, kind: str) -> None:
    error = refused(paths("MONGO_DB_NAME"), value)
    assert error.code == NOT_A_DOCUMENT
    assert f"the value is {kind} and has no fields; remove `jmesPath` to write it whole" in (
        error.message
    )
    assert "SECRET" not in error.message


def test_a_single_value_can_be_selected_whole() -> None:
    assert cook(paths("@", "length(@)"), b"hello") == {"k0": b"hello", "k1": b"5"}


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("'api-key'", r'"\"api-key\""'),
        ('`"a"`', r'"\"a\""'),
        ("'a.b'", r'"\"a.b\""'),
        ("`1`", ""),
        ("['a', 'b']", ""),
        ("join(',', ['a'])", ""),
    ],
)
def test_a_constant_is_known_as_one(path: str, meant: str) -> None:
    assert constant_hint(path) == meant


@pytest.mark.parametrize("path", ["a", '"api-key"', "@", "[0]", "*", "[]", "a || 'b'", "a["])
def test_what_reads_the_document_is_no_constant(path: str) -> None:
    assert constant_hint(path) is None
