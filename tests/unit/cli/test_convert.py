"""Details of ``secret-sync convert`` that the cases do not show."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from secret_sync import cli
from secret_sync.cli.convert.comments import Comments, Effect
from secret_sync.cli.convert.conversion import convert, text_of
from secret_sync.cli.convert.gjson_paths import GjsonPath, jmes_path
from secret_sync.cli.convert.stores import whole_name
from secret_sync.cli.convert.template_functions import LACKING, lacking_functions
from secret_sync.cli.convert.yaml_text import document
from secret_sync.templates.functions import REFUSED
from secret_sync.templates.library import FUNCTIONS

if TYPE_CHECKING:
    import pathlib

API = "external-secrets.io/v1"
#: Words of the operator's manifests, so that many of what is made of them is nearly one.
WORDS = (
    *("apiVersion", "kind", "metadata", "spec", "name", "namespace", "labels", "annotations"),
    *("provider", "alibaba", "regionID", "auth", "rrsa", "secretRef", "accessKeyIDSecretRef"),
    *("secretStoreRef", "target", "template", "data", "dataFrom", "extract", "rewrite", "regexp"),
    *("remoteRef", "secretKey", "property", "refreshInterval", "creationPolicy", "templateFrom"),
    *("externalSecretSpec", "namespaces", "namespaceSelectors", "items", "conditions", "literal"),
)
KINDS = ("SecretStore", "ClusterSecretStore", "ExternalSecret", "ClusterExternalSecret", "Other")
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20
)
KEYS = TEXTS.filter(lambda text: "\n" not in text)
MANIFESTS: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("path", "expression"),
    [
        ("password", "password"),
        ("database.password", "database.password"),
        ("api-key", '"api-key"'),
        ("tls.crt", "tls.crt"),
        (r"tls\.crt", '"tls.crt"'),
        (r"a\*b", '"a*b"'),
        (r"a\\b", r'"a\\b"'),
        ("with space.x", '"with space".x'),
        ("größe", '"größe"'),
        ('say"hi', r'"say\"hi"'),
        ("user@host", '"user@host"'),
        (r"a.\1", 'a."1"'),
    ],
)
def test_gjson_paths_of_names_become_jmespath(path: str, expression: str) -> None:
    assert jmes_path(path) == GjsonPath(expression)


@pytest.mark.parametrize(
    ("path", "expression", "guessed"),
    [("hosts.0", "hosts[0]", "0"), ("0.name", "[0].name", "0"), ("a.1.2", "a[1][2]", "1")],
)
def test_numbers_of_gjson_paths_are_guessed(path: str, expression: str, guessed: str) -> None:
    assert jmes_path(path) == GjsonPath(expression, guessed)


@pytest.mark.parametrize(
    "path",
    [
        *("a.#", "a.#.b", '#(a=="b")', "a*", "a?", "a|b", "@this", "a.@keys", "a.!true", "[a,b]"),
        *("a.{b,c}", "..0.a", "a..b", ".a", "a.", "\\", ""),
    ],
)
def test_other_gjson_paths_are_not_converted(path: str) -> None:
    assert jmes_path(path) is None


@pytest.mark.parametrize(
    ("template", "functions"),
    [
        ("toYaml", set()),
        ("{{ .config | fromJson | toYaml }}", {"toYaml"}),
        ("{{- pkcs12key (b64dec .p12) -}} {{ uuidv4 }}", {"pkcs12key", "uuidv4"}),
        ("{{ .toYaml }}{{ $toYaml }}{{ .a.fromYaml }}", set()),
        ('{{ "toYaml }}" }}{{ `fromYaml }}` }}{{/* uuidv4 }} */}}', set()),
        ('{{ "\\"" | filterPEM }}', {"filterPEM"}),
        ("{{ if\n genCA \n}}{{end}}", {"genCA"}),
        ("{{ toYamlX . }}{{ unfinished toYaml", set()),
    ],
)
def test_functions_are_found_where_they_are_called(template: str, functions: set[str]) -> None:
    assert set(lacking_functions(template)) == functions


def test_functions_that_are_missing_are_those_that_templates_do_not_offer() -> None:
    assert set(LACKING) & set(FUNCTIONS) == set()
    # The operator has neither of the two.
    assert set(REFUSED) - set(LACKING) == {"env", "expandenv"}


@pytest.mark.parametrize(
    ("regex", "expected"),
    [("^shop$", "^shop$"), ("^a$|^b$", ".*(?:^a$|^b$).*"), ("shop", ".*(?:shop).*")],
)
def test_regular_expressions_match_the_same_namespaces(regex: str, expected: str) -> None:
    assert whole_name(regex) == expected


@example({"a": "\n", "b": []})
@example(
    {
        "a": {"b": ["x\n\n", "\n\n", "\nx", " x\n y\n", "x\ny\n\n\n", "x\n\u2028#", "x\r\ny"]},
        "c": "\n ",
    }
)
@given(MANIFESTS.filter(lambda value: isinstance(value, dict)))
def test_yaml_is_read_back_as_it_was(manifest: dict[str, Any]) -> None:
    comments: dict[tuple[str | int, ...], list[str]] = {
        (key,): ["a comment: {", "another one"] for key in manifest
    }
    assert yaml.safe_load(document(manifest, comments)) == (manifest or None)


@example("SecretStore", None, {"name": "\x1f"}, [])
@example("SecretStore", None, {"name": "a\nb: c"}, [])
@given(st.sampled_from(KINDS), VALUES, VALUES, st.lists(VALUES, max_size=2))
def test_anything_gives_yaml_and_no_exception(
    kind: str, spec: Any, metadata: Any, others: list[Any]
) -> None:
    named = {"name": "x", **metadata} if isinstance(metadata, dict) else metadata
    found = convert([{"apiVersion": API, "kind": kind, "metadata": named, "spec": spec}, *others])
    for one in found:
        loaded = yaml.safe_load(text_of(one))
        assert loaded == (one.manifest if one.complete else None)


def test_comments_of_missing_fields_are_above_their_parents() -> None:
    comments = Comments()
    comments.add(Effect.NOTE, ("a", 1, "b"), "first")
    comments.add(Effect.LOST, ("c", "d"), "second\nline")
    comments.add(Effect.LOST, ("c", "d"), "second line")
    assert comments.placed({"a": ["x"]}) == {("a",): ["first"], (): ["LOST: second line"]}
    assert comments.count(Effect.LOST) == 1


def test_standard_input_and_folders_are_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = {"apiVersion": API, "kind": "SecretStore", "metadata": {"name": "piped"}}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(yaml.dump(store).encode())))
    (tmp_path / "a.yaml").write_text(yaml.dump({**store, "metadata": {"name": "of-a-folder"}}))
    assert cli.main(["convert", "-", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "name: piped" in captured.out
    assert "name: of-a-folder" in captured.out
    assert captured.err.startswith("0 of 2 objects converted; ")


def test_files_that_cannot_be_read_are_an_error_and_the_others_are_converted(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [\n")
    assert cli.main(["convert", str(broken), str(tmp_path / "missing.yaml")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"secret-sync convert: {broken}:" in captured.err
    assert "missing.yaml: cannot be read" in captured.err
    assert captured.err.endswith("no objects of external-secrets.io found\n")


def test_folder_without_manifests_is_wrong_usage(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["convert", str(tmp_path)]) == 2
    assert "no *.yaml" in capsys.readouterr().err
