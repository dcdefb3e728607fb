"""Each error has its code, a position and a remedy, and shows no value."""

from __future__ import annotations

import pytest

from secret_sync.parse import (
    DUPLICATE_KEY,
    INVALID_JMESPATH,
    INVALID_KEY,
    INVALID_REGEX,
    KEY_COLLISION,
    NOT_A_DOCUMENT,
    PATH_NOT_FOUND,
    TOO_COSTLY,
    ExtractionSpec,
    Rule,
    Selection,
    check_spec,
    is_quick,
)
from secret_sync.parse.yaml_document import check_yaml_parser
from tests.unit.parse.extracting import EXTRACT, paths, refused, refused_offline, rules


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ('{"a":"SECRET" "b":1}', NOT_A_DOCUMENT, "invalid JSON (line 1, column 15: Expecting"),
        ('{\n"a": "SECRET', NOT_A_DOCUMENT, "invalid JSON (line 2, column 6"),
        ("a: [SECRET", NOT_A_DOCUMENT, "neither JSON nor YAML (line 2, column 1"),
        ("a: 'SECRET\n", NOT_A_DOCUMENT, "neither JSON nor YAML"),
        ("a: *SECRET", NOT_A_DOCUMENT, "alias without an anchor"),
        ("a: SECRET\n---\nb: 1", NOT_A_DOCUMENT, "second YAML document begins at line 2"),
        ("", NOT_A_DOCUMENT, "no document"),
        ("# SECRET", NOT_A_DOCUMENT, "no document"),
        ("SECRET", NOT_A_DOCUMENT, "single string; `extract` needs a mapping"),
        ('"SECRET"', NOT_A_DOCUMENT, "a single string"),
        ('["SECRET"]', NOT_A_DOCUMENT, "a list"),
        (b"\xffSECRET", NOT_A_DOCUMENT, "byte 1 is not UTF-8"),
        ("SECRET\0", NOT_A_DOCUMENT, "characters that YAML does not allow"),
        ('{"a":NaN}', NOT_A_DOCUMENT, "NaN"),
        ('{"a":-Infinity}', NOT_A_DOCUMENT, "-Infinity"),
        ('{"a":"SECRET\\ud800"}', NOT_A_DOCUMENT, "lone surrogate"),
        ('{"SECRET\\ud800":1}', NOT_A_DOCUMENT, "lone surrogate"),
        ('{"a":["SECRET\\ud800"]}', NOT_A_DOCUMENT, "lone surrogate"),
        ("a: !!int SECRET", NOT_A_DOCUMENT, "tag `!!int`"),
        ("a: !!binary SECRET.", NOT_A_DOCUMENT, "base64 of UTF-8"),
        ("[SECRET]: 1", NOT_A_DOCUMENT, "key at line 1 of the document is a mapping or a list"),
        ("? {a: SECRET}\n: 1", NOT_A_DOCUMENT, "key at line 1"),
        ("a: {<<: SECRET}", NOT_A_DOCUMENT, "merge key `<<` at line 1"),
        ('{"a":"SECRET","a":1}', DUPLICATE_KEY, "the key 'a' twice"),
        ('{"x":[{"a":"SECRET","a":1}]}', DUPLICATE_KEY, "the key 'a' twice"),
        ("a: SECRET\nb: 1\na: 2", DUPLICATE_KEY, "'a' twice, again at line 3"),
        ("1: SECRET\n'1': x", DUPLICATE_KEY, "'1' twice, again at line 2"),
    ],
)
def test_documents(document: str | bytes, code: str, words: str) -> None:
    error = refused(EXTRACT, document)
    assert (error.code, words in error.message) == (code, True), error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize("document", ['{"a":null}', "a: ~", "{}", "b: 1", "[]"])
def test_path_without_a_match(document: str) -> None:
    error = refused(ExtractionSpec(selections=(Selection("a.c || a", "alias"),)), document)
    assert error.code == PATH_NOT_FOUND
    assert "'a.c || a'" in error.message
    assert "'alias'" in error.message


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "is empty"),
        (" ", "invalid JMESPath expression"),
        ("a[", "invalid JMESPath expression 'a[' (character 3)"),
        ("a..b", "invalid JMESPath expression 'a..b' (character 3)"),
        ("a[0", "invalid JMESPath expression"),
        ("$.a", "invalid JMESPath expression '$.a' (character 1)"),
        ('`"`', "(character 1)"),
        ("`[", "invalid JMESPath expression"),
        ("a[::0]", "step of a slice is 0"),
        ("nofunction(a)", "there is no function 'nofunction'"),
        ("length()", "length() takes 1 arguments, not 0"),
        ("join(a)", "join() takes 2 arguments, not 1"),
        ("not_null()", "not_null() takes at least 1 arguments, not 0"),
    ],
)
def test_invalid_paths_are_reported_without_a_value(path: str, words: str) -> None:
    error = refused_offline(ExtractionSpec(selections=(Selection(path, "alias"),)))
    assert error.code == INVALID_JMESPATH
    assert words in error.message


@pytest.mark.parametrize(
    "path",
    [
        "abs(a)",
        "sum(b)",
        "max_by(b, &@)",
        "join(',', c)",
        "sort_by(c, &@)",
        "ceil(d)",
        "&a",
        "[&a]",
    ],
)
def test_paths_with_arguments_of_the_wrong_type(path: str) -> None:
    error = refused(paths(path), '{"a":"SECRET","b":["SECRET",1],"c":[1,"SECRET"],"d":1e400}')
    assert error.code == INVALID_JMESPATH
    assert "SECRET" not in error.message


@pytest.mark.parametrize("source", ["(", "a{1001}", "(?=a)", "(?<!a)b", r"\1", "[z-a]", "\ud800"])
def test_invalid_regular_expressions_are_reported_without_a_value(source: str) -> None:
    error = refused_offline(rules((source, "x")))
    assert error.code == INVALID_REGEX
    assert repr(source) in error.message


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        (ExtractionSpec(), INVALID_KEY, "it is empty"),
        (ExtractionSpec(name="a/b"), INVALID_KEY, "'a/b' cannot be a key of a Secret"),
        (ExtractionSpec(selections=(Selection("a", ""),)), INVALID_KEY, "objectAlias"),
        (ExtractionSpec(name="a/b"), INVALID_KEY, 'in the entry\'s `name`, such as "a-b"'),
        (
            ExtractionSpec(
                selections=(Selection("a", "x y"), Selection("b", "z"), Selection("c", "/"))
            ),
            INVALID_KEY,
            "'x y', '/' cannot be keys of a Secret",
        ),
        (
            ExtractionSpec(selections=(Selection("a", "x"), Selection("b", "x"))),
            DUPLICATE_KEY,
            "two items of `jmesPath` have the objectAlias 'x'",
        ),
        (ExtractionSpec(selections=(Selection("a" * 2049, "x"),)), TOO_COSTLY, "2049 characters"),
        (paths(*["a" * 2000] * 5), TOO_COSTLY, "8192 characters together"),
        (
            ExtractionSpec(extract=True, rules=(Rule("a", "b"),) * 65),
            TOO_COSTLY,
            "64 of `replaceRule`",
        ),
        (ExtractionSpec(extract=True, rules=(Rule("a" * 1025, "b"),)), TOO_COSTLY, "`source`"),
        (ExtractionSpec(extract=True, rules=(Rule("a", "b" * 1025),)), TOO_COSTLY, "`target`"),
    ],
)
def test_specs_are_checked_without_a_value(spec: ExtractionSpec, code: str, words: str) -> None:
    error = refused_offline(spec)
    assert error.code == code
    assert words in error.message


def test_alias_that_rules_may_rename_is_accepted() -> None:
    check_spec(ExtractionSpec(selections=(Selection("a", "x/y"),), rules=(Rule("/", "-"),)))


def test_key_collision_names_both_keys() -> None:
    error = refused(rules(("^db-", ""), ("_", "-")), '{"db-a_b":"SECRET","a-b":"SECRET"}')
    assert error.code == KEY_COLLISION
    assert "renames both 'db-a_b' and 'a-b' to 'a-b'" in error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize(
    ("spec", "data", "quick"),
    [
        (ExtractionSpec(name="a"), b"x" * 10_000, True),
        (EXTRACT, b'{"a":1}', True),
        (paths("a.b[0]"), b'{"a":1}', True),
        (paths("a[*].b"), b'{"a":1}', False),
        (paths("a["), b'{"a":1}', True),
        (EXTRACT, b"a: 1", False),
        (EXTRACT, b'{"a":1', False),
        (EXTRACT, b"[" * 4096, False),
        (EXTRACT, b"\xff", False),
        (EXTRACT, b'{"a":"' + b"x" * 4096 + b'"}', False),
        (
            rules(*[("a", "b")] * 64),
            b"{" + b",".join(b'"%d":1' % n for n in range(9)) + b"}",
            False,
        ),
    ],
)
def test_only_cheap_extraction_runs_on_the_event_loop(
    spec: ExtractionSpec, data: bytes, *, quick: bool
) -> None:
    assert is_quick(spec, data) == quick


def test_c_parser_of_yaml_is_installed() -> None:
    check_yaml_parser()


@pytest.mark.parametrize("parser", ["_ruamel_yaml", "yaml.cyaml"])
def test_start_fails_without_a_c_parser(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, parser, None)
    with pytest.raises(RuntimeError, match="install wheels of both"):
        check_yaml_parser()
