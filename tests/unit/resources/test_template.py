"""``spec.target.template`` as it is written: read, limited, and mistakes of its structure."""

from __future__ import annotations

from typing import Any

import pytest

from secret_sync.resources import ExternalSecret
from secret_sync.resources.template import (
    MAX_TEMPLATE_CHARACTERS,
    MAX_TEMPLATES,
    MAX_TEMPLATES_CHARACTERS,
)


def es(template: Any, **spec: Any) -> ExternalSecret:
    metadata = {"name": "some", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    target = {"template": template, **spec.pop("target", {})}
    return ExternalSecret.from_dict({"metadata": metadata, "spec": {"target": target, **spec}})


@pytest.mark.parametrize("written", [None, {}, {"data": {}}, {"type": "x"}, {"metadata": {}}])
def test_a_template_that_renders_nothing_is_none(written: Any) -> None:
    found = es(written)
    assert found.template is None
    assert found.invalid is None


def test_type_of_the_template_takes_precedence() -> None:
    assert es({"type": "a"}, type="b").secret_type == "a"
    assert es({}, type="b").secret_type == "b"


def test_a_template_is_another_intent() -> None:
    assert es({"data": {"a": "b"}}).intent != es({"data": {"a": "c"}}).intent


def from_map(*items: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"configMap": {"name": "texts", "items": list(items)}, **more}


@pytest.mark.parametrize(
    ("written", "replaces"),
    [
        ({"data": {"a": "b"}}, True),
        ({"data": {"a": "b"}, "mergePolicy": "Merge"}, False),
        ({"templateFrom": [{"literal": "a"}]}, True),
        ({"templateFrom": [{"literal": "a", "target": "Labels"}]}, False),
        ({"templateFrom": [from_map({"key": "a"})]}, True),
        ({"metadata": {"labels": {"a": "b"}}}, False),
    ],
)
def test_fetched_keys_are_replaced_where_keys_are_rendered(
    written: dict[str, Any], *, replaces: bool
) -> None:
    template = es(written).template
    assert template is not None
    assert template.replaces is replaces


def test_fields_that_are_known_without_rendering() -> None:
    items = {"key": "b"}, {"key": "c", "templateAs": "KeysAndValues"}
    sources = [from_map(*items), from_map(*items, target="Labels"), {"literal": ""}]
    written = {"data": {"a": ""}, "templateFrom": sources, "metadata": {"annotations": {"d": ""}}}
    found = es(written, target={"creationPolicy": "Merge"})
    assert found.merges == {"a", "b", "literal", "labels/b", "annotations/d"}
    assert found.template is not None
    assert found.template.references == (("ConfigMap", "texts"),)
    assert found.template.has_lines


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ({"mergePolicy": "Both"}, ("mergePolicy",)),
        ({"templateFrom": [{}]}, ("templateFrom", 0)),
        ({"templateFrom": [{"literal": "a"}, {"literal": "", "secret": {}}]}, ("templateFrom", 1)),
        ({"templateFrom": [{"literal": "a", "target": "x"}]}, ("templateFrom", 0, "target")),
        ({"templateFrom": [{"secret": {"name": "a"}}]}, ("templateFrom", 0, "secret")),
        ({"templateFrom": [from_map({"key": ""})]}, ("templateFrom", 0, "configMap", "items", 0)),
        (
            {"templateFrom": [from_map({"key": "a", "templateAs": "x"})]},
            ("templateFrom", 0, "configMap", "items", 0, "templateAs"),
        ),
    ],
)
def test_mistakes_of_the_structure(written: dict[str, Any], field: tuple[Any, ...]) -> None:
    invalid = es(written).invalid
    assert invalid is not None
    assert invalid.field == ("spec", "target", "template", *field)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"data": {f"k{n}": "" for n in range(MAX_TEMPLATES + 1)}}, "501 templates"),
        ({"templateFrom": [from_map(*[{"key": "a"}] * MAX_TEMPLATES)]}, "501 templates"),
        (
            {
                "templateFrom": [
                    {kind: {"name": f"n{n}", "items": [{"key": "a"}]}}
                    for kind in ("configMap", "secret")
                    for n in range(9)
                ]
            },
            "18 ConfigMaps and Secrets",
        ),
        ({"data": {"a": "x" * (MAX_TEMPLATE_CHARACTERS + 1)}}, "65537 characters"),
        ({"templateFrom": [{"literal": "x" * (MAX_TEMPLATE_CHARACTERS + 1)}]}, "65537 characters"),
        (
            {"data": {f"k{n}": "x" * (MAX_TEMPLATES_CHARACTERS // 8 + 1) for n in range(8)}},
            "262152 characters together",
        ),
    ],
)
def test_excess_is_not_kept(written: dict[str, Any], said: str) -> None:
    found = es(written)
    assert found.excess is not None
    assert said in found.excess.message
    assert found.template is None


def test_texts_of_many_objects_are_held_once() -> None:
    # As parsed from JSON: each time another string.
    first, second = (
        es({"data": {"a": "".join(text)}, "templateFrom": [{"literal": "".join(text)}]}).template
        for text in [["{{ .user }}", "@long"]] * 2
    )
    assert first is not None
    assert second is not None
    assert first.data[0][1] is second.data[0][1]
    assert first.sources[0].literal is second.sources[0].literal
