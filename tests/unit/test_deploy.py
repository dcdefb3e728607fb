"""What is in deploy/, read as data. What kustomize and a server make of it: tests/integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from secret_sync import __version__
from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYWHERE = {"0.0.0.0/0", "::/0"}


LABELS = {
    "app.kubernetes.io/name": "secret-sync",
    "app.kubernetes.io/instance": "secret-sync",
    "app.kubernetes.io/part-of": "secret-sync",
}
MORE = {
    "app.kubernetes.io/version": __version__,
    "app.kubernetes.io/component": "controller",
}


def objects(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a folder of ``deploy/``, with its file; kustomizations are among them."""
    for file in (ROOT / "deploy" / folder).rglob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            yield f"{file.relative_to(ROOT)}", document


def peers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each ``to`` and ``from`` of a NetworkPolicy, with its file."""
    for file, document in objects(""):
        if document["kind"] != "NetworkPolicy":
            continue
        spec = document["spec"]
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            yield file, [*rule.get("to", ()), *rule.get("from", ())]


def test_rules_for_everywhere_cover_ipv4_and_ipv6() -> None:
    blocks = [
        (file, {peer["ipBlock"]["cidr"] for peer in found if "ipBlock" in peer} & EVERYWHERE)
        for file, found in peers()
    ]
    assert [(file, found) for file, found in blocks if found not in (set(), EVERYWHERE)] == []
    assert any(found for _, found in blocks)


def test_patches_of_components_find_the_deployment_in_any_namespace() -> None:
    # A patch without a target finds only what has the namespace that it says, which is none; the
    # file install-<overlay>.yaml has one already.
    found = [
        (file, patch.get("target"))
        for file, document in objects("components")
        for patch in document.get("patches", ())
        if "path" in patch
    ]
    assert {"deploy/components/ha/kustomization.yaml"} < {file for file, _ in found}
    target = {"kind": "Deployment", "name": "secret-sync"}
    assert [(file, has) for file, has in found if has != target] == []


def test_labels_of_the_base_say_the_version_of_this_package() -> None:
    base = dict(objects("base"))
    (labels,) = base["deploy/base/kustomization.yaml"]["labels"]
    assert labels["pairs"] == {**LABELS, **MORE}
    deployment = base["deploy/base/deployment.yaml"]["spec"]
    assert deployment["template"]["metadata"]["labels"] == {**LABELS, **MORE}


def test_objects_of_components_have_the_same_labels() -> None:
    found = {
        (file, document["kind"]): document["metadata"]["labels"]
        for file, document in objects("components")
        # What has none is a patch of an object that has.
        if document["kind"] != "Component" and "labels" in document.get("metadata", {})
    }
    assert [where for where, labels in found.items() if not labels.items() >= LABELS.items()] == []
    assert found


def test_selectors_have_the_name_alone() -> None:
    """A selector of a Deployment cannot be changed, so nothing that changes is part of one."""
    name = {"app.kubernetes.io/name": "secret-sync"}

    def selectors(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in {"selector", "podSelector", "labelSelector"}:
                    yield item.get("matchLabels", item)
                else:
                    yield from selectors(item)
        elif isinstance(value, list):
            for item in value:
                yield from selectors(item)

    found = [s for _, document in objects("") for s in selectors(document)]
    assert [s for s in found if s != name] == []
    assert len(found) > 5
