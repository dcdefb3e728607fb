"""The command itself, and what the data cases do not show."""

from __future__ import annotations

import io
import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secret_sync import cli
from secret_sync.cli.check import files
from secret_sync.cli.check.definitions import METADATA, schemas
from secret_sync.cli.check.documents import read_documents
from secret_sync.cli.check.examine import Options, examine
from secret_sync.cli.check.objects import OURS
from secret_sync.cli.check.samples import shown
from secret_sync.cli.check.scalars import NumberScalar, scalar
from secret_sync.cli.check.schema import Validator, satisfies

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUE = "correct-horse"
DOCUMENT = {"user": VALUE, "nested": {"password": VALUE}}


def manifest(name: str = "db", /, **entry: Any) -> str:
    document = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"data": [{"key": "db", "name": "password", **entry}]},
    }
    return json.dumps(document)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(manifest())
    return path


def reasons(text: str | bytes, **options: Any) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [f.reason for f in examine({"f": data}, Options(**options)).findings]


# What is shown of samples.


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "password"),
        ({"jmesPath": [{"path": "user", "objectAlias": "user"}]}, "user"),
        ({"jmesPath": [{"path": "nosuch", "objectAlias": "user"}]}, "nosuch"),
        ({"jmesPath": [{"path": "abs(user)", "objectAlias": "user"}]}, "abs(user)"),
    ],
)
def test_no_value_is_shown_unless_asked_for(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    entry: dict[str, Any],
    said: str,
    output: str,
) -> None:
    given_file, sample = tmp_path / "a.yaml", tmp_path / "db.json"
    given_file.write_text(manifest(**entry))
    sample.write_text(json.dumps(DOCUMENT))
    cli.main(["check", str(given_file), "--sample", f"db={sample}", "-o", output])
    captured = capsys.readouterr()
    assert said in captured.out
    assert VALUE not in captured.out + captured.err


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (b"{broken: correct-horse", "NotADocument"),
        (b"a: correct-horse\na: 1", "DuplicateKey"),
        (b"\xff", "NotADocument"),
    ],
)
def test_document_that_cannot_be_read_is_not_quoted(sample: bytes, reason: str) -> None:
    entry = {"jmesPath": [{"path": "a", "objectAlias": "a"}]}
    report = examine({"f": manifest(**entry).encode()}, Options(samples={"db": sample}))
    (finding,) = report.findings
    assert finding.reason == reason
    assert "entry 'db'" in finding.message
    assert VALUE not in finding.message + repr(report) + repr(Options(samples={"db": sample}))


def test_values_are_shown_where_asked_for(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = tmp_path / "value=with-equals"
    sample.write_text(VALUE)
    asked = ["check", str(good), "--sample", f"db={sample}", "--show-values"]
    assert cli.main(asked) == 0
    assert f'password = "{VALUE}"' in capsys.readouterr().out
    assert cli.main([*asked, "-o", "json"]) == 0
    (reported,) = json.loads(capsys.readouterr().out)["samples"]
    assert reported["data"] == {"password": "Y29ycmVjdC1ob3JzZQ=="}


@given(st.binary(max_size=200))
def test_shown_value_is_one_line_that_a_terminal_only_prints(value: bytes) -> None:
    assert shown(value).isprintable()


def test_text_of_other_scripts_is_shown_as_it_is() -> None:
    assert shown("密码 é".encode()) == '"密码 é"'


# What can be named on the command line.


def test_standard_input_and_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below = tmp_path / "manifests"
    (below / "team").mkdir(parents=True)
    (below / ".git").mkdir()
    (below / "a.yaml").write_text(manifest("a"))
    (below / "team" / "b.json").write_text(manifest("b"))
    for ignored in (".git/c.yaml", ".d.yaml", "README.md"):
        (below / ignored).write_text("[")
    typed = io.TextIOWrapper(io.BytesIO(manifest("e", name="a/b").encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    assert cli.main(["check", str(below), str(below / "a.yaml"), "-"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("<stdin>:1: ExternalSecret/e: spec.data[0].name: 'a/b' cannot be a key")
    assert "3 objects in 3 files: 1 problem\n" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FILE"),
        (["{good}", "--sample", "db"], "SECRET=FILE"),
        (["{good}", "--sample", "db={good}", "--sample", "db={good}"], "'db' is given twice"),
        (["{good}", "--sample", "db={good}.not"], "No such file"),
        (["{good}", "--show-values"], "--sample"),
        (["{good}", "--allow-kms-endpoint", "https://kms"], "--allow-kms-endpoint"),
        (["{good}", "--allow-kms-endpoints", "a.b"], "check --help"),
        (["{good}", "-o", "yaml"], "-o"),
        (["{empty}"], "no *.yaml"),
    ],
)
def test_wrong_usage(
    good: Path,
    tmp_path: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    named = [a.format(good=good, empty=tmp_path / "empty") for a in arguments]
    assert cli.main(["check", *named]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("secret-sync check: ")
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_help_lists_exit_codes_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Exit codes: 0 no problem, 1 problems, 2 wrong usage." in out
    assert "--sample SECRET=FILE" in out


def test_file_that_cannot_be_read_is_a_problem_and_stops_nothing(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", f"{good}.not", str(good)]) == 1
    out = capsys.readouterr().out
    assert f"{good}.not: cannot be read: No such file or directory (Unreadable)\n" in out
    assert "1 object in 2 files: 1 problem\n" in out


def test_huge_file_is_refused_before_it_is_parsed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"[" * (files.MAX_BYTES + 1))
    assert cli.main(["check", str(huge)]) == 1
    assert f"{huge}: has more than {files.MAX_BYTES} bytes" in capsys.readouterr().out


def test_json_says_all_that_lines_say(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(manifest(kmsEndpoint="kms.evil.example", secretStoreRef={"name": "store"}))
    assert cli.main(["check", str(good), "-o", "json"]) == 1
    reported = json.loads(capsys.readouterr().out)
    (problem,) = reported.pop("problems")
    (note,) = reported.pop("notes")
    assert reported == {
        "version": 1,
        "good": False,
        "files": 1,
        "objects": 1,
        "skipped": 0,
        "warnings": [],
        "samples": [],
    }
    assert problem.pop("message").startswith("entry 'db': kmsEndpoint")
    assert problem == {
        "file": str(good),
        "line": 1,
        "column": problem["column"],
        "kind": "ExternalSecret",
        "namespace": "team",
        "name": "db",
        "path": "spec.data[0].kmsEndpoint",
        "reason": "EndpointNotAllowed",
    }
    assert note["reason"] == "StoreNotFound"


# How manifests are read.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True),
        ("On", True),
        ("oN", "oN"),
        ("n", False),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("nULL", "nULL"),
        ("0o17", NumberScalar(integer=True)),
        ("017", NumberScalar(integer=True)),
        ("1_000", NumberScalar(integer=True)),
        ("-0", NumberScalar(integer=True)),
        ("1e3", NumberScalar(integer=False)),
        (".5", NumberScalar(integer=False)),
        (".inf", NumberScalar(integer=False)),
        ("1e", "1e"),
        ("0x", "0x"),
        (".", "."),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("=", "="),
    ],
)
def test_plain_scalars_are_read_as_kubectl_does(text: str, value: object) -> None:
    # As `kubectl label --local -o json` of 1.34 prints them.
    assert scalar(text, None, plain=True) == value
    assert scalar(text, None, plain=False) == text
    assert scalar(text, "tag:yaml.org,2002:str", plain=False) == text


def test_colon_within_a_flow_scalar_is_accepted() -> None:
    nodes, problems = read_documents("f", b"{key: acs:kms:cn-hangzhou:1:secret/a}")
    assert [node.plain() for node in nodes] == [{"key": "acs:kms:cn-hangzhou:1:secret/a"}]
    assert problems == []


def test_escapes_of_json_are_characters() -> None:
    nodes, _ = read_documents("f", rb'{"a": "\ud83d\ude00"}')
    assert nodes[0].plain() == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    "text",
    [b"\xff\xfe\x00a", b"a: \x07", b"[" * 1000, b"a: [1", b"? [a]\n: b", b"a: *b", b"<<: 3"],
)
def test_invalid_yaml_is_reported(text: bytes) -> None:
    assert reasons(text) == ["BadYAML"]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{}&*!<>#|'\"\n \t,?0\x07é"), max_size=60))
def test_any_file_is_checked(text: str) -> None:
    examine({"f": text.encode()}, Options())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "a/b", "[", "1s"]),
    lambda values: st.lists(values, max_size=3),
    max_leaves=5,
)


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Objects with known fields, some of which hold anything."""
    kind = schema.get("type")
    right: st.SearchStrategy[Any] = st.sampled_from(["", "a", "a/b", "kms", "[", "9s", "Merge"])
    if kind == "object" and "properties" in schema:
        fields = {name: objects(below) for name, below in schema["properties"].items()}
        right = st.fixed_dictionaries({}, optional=fields)
    elif kind == "array":
        right = st.lists(objects(schema["items"]), max_size=2)
    elif kind == "boolean":
        right = st.booleans()
    return st.one_of(right, right, right, right, ANYTHING)


@cache
def specs(kind: str) -> st.SearchStrategy[Any]:
    return objects(schemas()[kind]["properties"]["spec"])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_object_is_checked(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(OURS))
    spec = data.draw(specs(kind))
    document = {
        "apiVersion": "alibabacloud.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": "a"},
        "spec": spec,
    }
    samples = {"a": b'{"a": 1}', "a/b": b"x"}
    examine({"f": json.dumps(document).encode()}, Options(samples=samples))


# The definitions are understood as a whole.

KEYWORDS = {
    "type",
    "description",
    "properties",
    "additionalProperties",
    "items",
    "required",
    "enum",
    "maxLength",
    "maxItems",
    "x-kubernetes-validations",
    # How an apply merges; nothing of it is refused.
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
}


def walk(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for below in (
        *schema.get("properties", {}).values(),
        *(schema[reason] for reason in ("items", "additionalProperties") if reason in schema),
    ):
        yield from walk(below)


@pytest.mark.parametrize("kind", OURS)
def test_every_keyword_of_the_definitions_is_known(kind: str) -> None:
    found = {keyword for schema in walk(schemas()[kind]) for keyword in schema}
    assert found <= KEYWORDS


def test_every_rule_of_the_definitions_can_be_evaluated() -> None:
    rules = [
        rule["rule"]
        for root in (*schemas().values(), METADATA)
        for schema in walk(root)
        for rule in schema.get("x-kubernetes-validations", ())
    ]
    assert rules
    assert all(satisfies(rule, "") for rule in rules)
    assert not any(satisfies(rule, "a\n") for rule in rules)


def test_rule_of_another_form_is_rejected() -> None:
    with pytest.raises(ValueError, match="another form"):
        satisfies("self.size() > 3", "abcd")


def test_list_with_more_items_than_the_schema_allows_is_an_error() -> None:
    schema = {"type": "array", "maxItems": 2, "items": {"type": "string"}}
    validator = Validator({})
    assert validator.read(schema, ["a", "b"], ()) == ["a", "b"]
    assert not validator.errors
    assert validator.read(schema, ["a", "b", "c"], ("spec", "data")) == []
    (error,) = validator.errors
    assert error.message == "has 3 items, 2 are allowed"
