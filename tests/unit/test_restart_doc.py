"""docs/restart-on-change.md: its YAML is what it says; that the API server takes it, too, is in
tests/integration/controller/test_workload_restarts.py.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from secret_sync.controller.restart.pacing import GAP, LONGEST_GAP, SETTLE, counted, gap_after
from secret_sync.resources import ExternalSecret, Reason
from secret_sync.resources.names import RESTART_MANAGER
from secret_sync.resources.restart import MAX_WORKLOADS, Workload
from tests.support.documentation import ROOT

TEXT = (ROOT / "docs" / "restart-on-change.md").read_text()


def blocks(info: str) -> list[Any]:
    found = re.findall(rf"^```yaml {info}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return [yaml.safe_load(text) for text in found]


def workloads(value: dict[str, Any]) -> tuple[Workload, ...]:
    metadata = {"namespace": "ns", "uid": "u", "resourceVersion": "1", **value["metadata"]}
    es = ExternalSecret.from_dict({**value, "metadata": metadata})
    assert es.restart is not None
    assert es.restart.invalid is None
    return es.restart.workloads


def test_field_and_annotation_name_the_same_workloads() -> None:
    (field,), (annotation,) = blocks("field"), blocks("annotation")
    wanted = (Workload("Deployment", "shop"), Workload("StatefulSet", "worker"))
    assert workloads(field) == workloads(annotation) == wanted


def test_folders_of_its_kustomizations_exist() -> None:
    named = [
        path.removeprefix("../")
        for info in ("kustomization", "namespaced")
        for block in blocks(info)
        for path in (*block["resources"], *block["components"])
        if path.startswith("../deploy/")
    ]
    assert len(named) == 4
    assert all((ROOT / path / "kustomization.yaml").is_file() for path in named)


def test_argo_cd_ignores_the_right_manager() -> None:
    (application,) = blocks("argocd")
    (ignored,) = application["spec"]["ignoreDifferences"]
    assert ignored["managedFieldsManagers"] == [RESTART_MANAGER]


def test_numbers_are_those_of_the_code() -> None:
    at, recent = 0.0, 0
    times = []
    while at < LONGEST_GAP:
        times.append(at)
        recent = counted(recent, 0.0)
        at += gap_after(recent)
    words = {8: "eight"}
    assert f"{words[len(times)]} in the first hour" in TEXT
    assert f"in the first {SETTLE:.0f} seconds" in TEXT
    assert f"at most {MAX_WORKLOADS} workloads" in TEXT
    assert GAP - 1 == 60


def test_reasons_are_all_there() -> None:
    reasons = {r.value for r in Reason if r.value.startswith(("Restart", "Workload"))}
    table = set(re.findall(r"^\| `(?:True|False|Unknown)` \| `(\w+)` \|", TEXT, re.MULTILINE))
    assert table == reasons
