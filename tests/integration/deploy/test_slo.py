"""docs/slo.md: what it has people write is read by what it is for."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import yaml

from tests.monitoring.rules import KUBE_STATE_METRICS, alerts
from tests.support.documentation import ROOT
from tests.support.kustomize import of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kustomize import Kubectl

TEXT = (ROOT / "docs" / "slo.md").read_text()


def block(info: str) -> str:
    (found,) = re.findall(rf"^ *```{info}\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


async def rendered(kubectl: Kubectl, folder: Path, text: str) -> list[dict[str, Any]]:
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "mine").mkdir()
    (folder / "mine" / "kustomization.yaml").write_text(text)
    return await asyncio.to_thread(kubectl.render, folder / "mine")


async def test_address_of_the_runbook_is_set_in_one_place_for_all_alerts(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    objects = await rendered(kubectl, tmp_path, block("yaml kustomization"))
    rules = [
        rule
        for found in of_kind("PrometheusRule", objects)
        for group in found["spec"]["groups"]
        for rule in group["rules"]
    ]
    links = {r["alert"]: r["annotations"]["runbook_url"] for r in rules if "alert" in r}
    assert len(links) == len(alerts()) + len(alerts(KUBE_STATE_METRICS))
    for name, link in links.items():
        assert link == f"https://wiki.example.com/runbooks/secret-sync#{name.lower()}"
    assert all("annotations" not in rule for rule in rules if "record" in rule)


async def test_binding_names_the_role_that_is_there(kubectl: Kubectl, tmp_path: Path) -> None:
    objects = await rendered(kubectl, tmp_path, block("yaml kustomization"))
    named = re.findall(r"--clusterrole=(\S+)", block("sh kube-state-metrics"))
    assert named[0] in {found["metadata"]["name"] for found in of_kind("ClusterRole", objects)}
    (config,) = [
        found["data"]
        for found in of_kind("ConfigMap", objects)
        if found["metadata"]["name"] == "secret-sync-custom-resource-state"
    ]
    assert yaml.safe_load(config["custom-resource-state.yaml"])["spec"]["resources"]


def test_route_by_namespace_names_an_alert_that_has_one() -> None:
    (route,) = yaml.safe_load(block("yaml alertmanager"))["route"]["routes"]
    (rule,) = alerts(KUBE_STATE_METRICS)
    assert route["matchers"][0] == f"alertname = {rule['alert']}"
    assert "by (namespace, name, reason)" in rule["expr"]
