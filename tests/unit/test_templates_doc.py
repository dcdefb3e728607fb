"""docs/templates.md: each recipe gives the Secret that is written beside it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from secret_sync import cli
from secret_sync.cli.check.templates import render
from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.extraction import (
    ExtractedData,
    ExtractionError,
    ExtractionInput,
)
from secret_sync.controller.external_secret.rendering import TemplateInput
from secret_sync.resources import ExternalSecret
from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.functions import REFUSED
from tests.support.documentation import ROOT, block
from tests.unit.reference_tables import Page, codes

PAGE = "docs/templates.md"
TEXT = (ROOT / PAGE).read_text()


@dataclass(frozen=True)
class Starts:
    """A value whose end is not written: a hash."""

    text: str


class Loader(yaml.SafeLoader):
    """With the tags of the page."""


Loader.add_constructor("!starts", lambda _, node: Starts(node.value))
Loader.add_constructor("!base64", lambda _, node: base64.b64decode(node.value))


def recipes() -> list[Any]:
    found = re.findall(
        r"^### ([^\n]+)\n(?:(?!^###).)*?^```yaml recipe\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL
    )
    loaded = [(title, yaml.load(block, Loader)) for title, block in found]  # noqa: S506 (ours)
    return [pytest.param(recipe, id=title) for title, recipe in loaded]


def rendered(recipe: dict[str, Any]) -> Desired:
    made = rendering(recipe)
    assert isinstance(made, Desired), made
    return made


def rendering(recipe: dict[str, Any]) -> Desired | ExtractionError:
    value = {
        "metadata": {"name": "some", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
        "spec": {"target": {"template": recipe["template"]}},
    }
    es = ExternalSecret.from_dict(value)
    assert es.template is not None
    data = {key: text.encode() for key, text in recipe["values"].items()}
    inputs = ExtractionInput(b"", (), (), template=TemplateInput(es.template, "u"))
    return render(inputs, ExtractedData(data, ()), es, {})


def test_recipes_are_ten() -> None:
    assert len(recipes()) == 10


@pytest.mark.parametrize("recipe", recipes())
def test_a_recipe_gives_what_is_written(recipe: dict[str, Any]) -> None:
    made = rendered(recipe)
    assert made.data is not None
    assert made.data.keys() == recipe["secret"].keys()
    for key, wanted in recipe["secret"].items():
        if isinstance(wanted, Starts):
            assert made.data[key].decode().startswith(wanted.text)
        else:
            assert made.data[key] == (wanted if isinstance(wanted, bytes) else wanted.encode())
    assert dict(made.metadata.labels) == recipe.get("labels", {})
    assert dict(made.metadata.annotations) == recipe.get("annotations", {})
    # The same bytes at each rendering.
    assert rendered(recipe).data == made.data


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        name, _, part = link.partition("#")
        if name.startswith("http"):
            continue
        there = Page((ROOT / "docs" / (name or "templates.md")).read_text())
        assert not part or part in there.anchors, link


def refused() -> list[str]:
    """The functions of the table, where ``...`` stands for any end of a name."""
    rows = Page(TEXT).rows("Functions", "functions")
    names = [name for row in rows for name in codes(row["functions"])]
    return [re.escape(name).replace(re.escape("..."), "\\w*") for name in names]


def test_table_of_refused_functions_is_complete() -> None:
    known = [name for name in REFUSED if any(re.fullmatch(p, name) for p in refused())]
    assert sorted(known) == sorted(REFUSED)
    assert [p for p in refused() if not any(re.fullmatch(p, name) for name in REFUSED)] == []


@pytest.mark.parametrize("name", REFUSED)
def test_refused_functions_are_refused(name: str) -> None:
    for source in (f"{{{{ {name} }}}}", f"{{{{ if false }}}}{{{{ {name} `a` }}}}{{{{ end }}}}"):
        with pytest.raises(TemplateError) as caught:
            parse(source)
        assert caught.value.code == "TemplateInvalid"
        assert name in caught.value.message


def test_commands_render_the_first_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("es.yaml").write_text(block(PAGE, "yaml example"))
    Path("texts.yaml").write_text(yaml.safe_dump(TEXTS))
    Path("user.txt").write_text("alice")
    out = ""
    for command in block(PAGE, "sh check").splitlines():
        program, *arguments = command.split()
        assert program == "secret-sync"
        assert cli.main(arguments) == 0
        out = capsys.readouterr().out
        assert "no problems" in out
    assert 'message = "Hello alice"' in out


TEXTS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "texts"},
    "data": {"app.yaml": "user: {{ .user }}", "variables": "USER={{ .user }}"},
}


def test_templates_of_a_config_map_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = yaml.safe_load(block(PAGE, "yaml example"))
    document["spec"] |= yaml.safe_load(block(PAGE, "yaml sources"))
    (tmp_path / "es.yaml").write_text(yaml.safe_dump_all([document, TEXTS]))
    (tmp_path / "user.txt").write_text("alice")
    sample = f"shop/user={tmp_path / 'user.txt'}"
    assert cli.main(["check", str(tmp_path), "--sample", sample, "--show-values"]) == 0
    out = capsys.readouterr().out
    assert 'app.yaml = "user: alice"' in out
    assert 'USER = "alice"' in out


def test_message_has_the_place_that_is_shown() -> None:
    """`secret-sync check` has the field of the object before it instead."""
    template = {"data": {"url": "{{ .user }}\nhost={{ .user | nothing }}"}}
    recipe = {"template": template, "values": {"user": "alice"}}
    made = rendering(recipe)
    assert isinstance(made, ExtractionError), made
    assert made.problem.message == block(PAGE, "text").strip()


def test_check_has_the_field_of_a_template_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = yaml.safe_load(block(PAGE, "yaml example"))
    (tmp_path / "user.txt").write_text("alice")
    for text, said in (
        ("{{ .user | nothing }}", "line 1 column 12: there is no function nothing"),
        ("{{ .user | fail }}", "line 1 column 12: fail: the template refuses"),
        ("{{ .usr }}", "reads 'usr', which no entry produces"),
    ):
        document["spec"]["target"]["template"] = {"data": {"url": text}}
        (tmp_path / "es.yaml").write_text(yaml.safe_dump(document))
        cli.main(["check", str(tmp_path), "--sample", f"shop/user={tmp_path / 'user.txt'}"])
        assert f": spec.target.template.data.url: {said}" in capsys.readouterr().out
