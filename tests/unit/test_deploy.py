"""What is in deploy/, read as data. What kustomize and a server make of it: tests/integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYWHERE = {"0.0.0.0/0", "::/0"}


def peers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each ``to`` and ``from`` of a NetworkPolicy, with its file."""
    for file in (ROOT / "deploy").rglob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] != "NetworkPolicy":
                continue
            spec = document["spec"]
            for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
                yield f"{file.relative_to(ROOT)}", [*rule.get("to", ()), *rule.get("from", ())]


def test_rules_for_everywhere_cover_ipv4_and_ipv6() -> None:
    blocks = [
        (file, {peer["ipBlock"]["cidr"] for peer in found if "ipBlock" in peer} & EVERYWHERE)
        for file, found in peers()
    ]
    assert [(file, found) for file, found in blocks if found not in (set(), EVERYWHERE)] == []
    assert any(found for _, found in blocks)
