"""docs/templates.md: each recipe gives the Secret that is written beside it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from secret_sync.cli.check.templates import render
from secret_sync.controller.external_secret.desired import Desired
from secret_sync.controller.external_secret.extraction import ExtractedData, ExtractionInput
from secret_sync.controller.external_secret.rendering import TemplateInput
from secret_sync.resources import ExternalSecret
from secret_sync.templates.engine import parse
from secret_sync.templates.errors import TemplateError
from secret_sync.templates.functions import REFUSED
from tests.support.documentation import ROOT
from tests.unit.reference_tables import Page, codes

TEXT = (ROOT / "docs" / "templates.md").read_text()


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
    value = {
        "metadata": {"name": "some", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
        "spec": {"target": {"template": recipe["template"]}},
    }
    es = ExternalSecret.from_dict(value)
    assert es.template is not None
    data = {key: text.encode() for key, text in recipe["values"].items()}
    inputs = ExtractionInput(b"", (), (), template=TemplateInput(es.template, "u"))
    made = render(inputs, ExtractedData(data, ()), es, {})
    assert isinstance(made, Desired), made
    return made


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
        page = Page((ROOT / "docs" / (name or "templates.md")).read_text())
        assert not part or part in page.anchors, link


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
