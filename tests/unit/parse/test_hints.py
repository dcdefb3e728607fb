"""The error of a path that does not work suggests one that does."""

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
    extract,
)
from secret_sync.parse.hints import quoted_path
from tests.unit.parse.extracting import paths, refused, refused_offline


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
def test_name_without_quotes_gets_the_quoted_path(path: str, works: str) -> None:
    error = refused_offline(paths(path))
    assert error.code == INVALID_JMESPATH
    assert error.message.endswith(
        f"the name needs double quotes: write path: {json.dumps(works, ensure_ascii=False)}"
    )
    assert suggested(error.message) == works


def test_bare_path_of_the_public_reports() -> None:
    assert r'write path: "\"api-key\""' in refused_offline(paths("api-key")).message


@pytest.mark.parametrize(
    "path", ["a[", "$.a", "friends.0", "a..b", "a b.", "x-y()", "a" * 90 + "-"]
)
def test_path_that_quotes_do_not_fix_gets_no_hint(path: str) -> None:
    assert "write path" not in refused_offline(paths(path)).message


names = st.from_regex(r"\A[a-z0-9é/+%-]{1,3}( [a-z-])?\Z") | st.text(min_size=1, max_size=3)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(names, min_size=1, max_size=3))
def test_suggested_path_matches_the_names(names: list[str]) -> None:
    path = ".".join(names)
    meant = quoted_path(path)
    if not meant:
        return
    nested: object = "found"
    for name in reversed(names):
        nested = {name: nested}
    assert extract(paths(meant), json.dumps(nested).encode()) == {"k0": b"found"}


@pytest.mark.parametrize(
    ("path", "document", "works"),
    [
        ("app.key", '{"app.key": "SECRET"}', '"app.key"'),
        ("a.tls.crt", '{"a": {"tls.crt": "SECRET"}}', 'a."tls.crt"'),
        ("tls.crt.x", "tls.crt: {x: SECRET}", '"tls.crt".x'),
        ("app.key", '{"app": {"x": 1}, "app.key": "SECRET"}', '"app.key"'),
    ],
)
def test_key_with_a_dot_gets_the_quoted_path(path: str, document: str, works: str) -> None:
    error = refused(paths(path), document)
    assert error.code == PATH_NOT_FOUND
    assert "the document has a key that contains dots: write path: " in error.message
    assert suggested(error.message) == works
    assert "SECRET" not in error.message
    assert extract(paths(works), document.encode()) == {"k0": b"SECRET"}


@pytest.mark.parametrize(
    "document", ['{"app.key": null}', '{"app": "SECRET"}', '[{"app.key": 1}]', "{}", '{"app": {}}']
)
def test_keys_without_dots_get_no_hint(document: str) -> None:
    error = refused(paths("app.key"), document)
    assert error.code == PATH_NOT_FOUND
    assert "dots" not in error.message
    assert "SECRET" not in error.message


def test_long_path_of_names_gets_no_hint() -> None:
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
def test_path_on_a_single_value_is_reported(value: str, kind: str) -> None:
    error = refused(paths("MONGO_DB_NAME"), value)
    assert error.code == NOT_A_DOCUMENT
    assert f"the value is {kind} and has no fields; remove `jmesPath` to write the whole value" in (
        error.message
    )
    assert "SECRET" not in error.message


def test_single_value_is_selected_whole() -> None:
    assert extract(paths("@", "length(@)"), b"hello") == {"k0": b"hello", "k1": b"5"}


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
def test_constant_path_is_recognised(path: str, meant: str) -> None:
    assert constant_hint(path) == meant


@pytest.mark.parametrize("path", ["a", '"api-key"', "@", "[0]", "*", "[]", "a || 'b'", "a["])
def test_path_that_reads_the_document_is_not_a_constant(path: str) -> None:
    assert constant_hint(path) is None
