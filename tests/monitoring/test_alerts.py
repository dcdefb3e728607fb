"""The alert rules: what they say, and when they fire, by promtool."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.monitoring.rules import (
    COMPONENT,
    KUBE_STATE_METRICS,
    alerts,
    groups,
    program,
    read_query,
    rules,
)
from tests.support.documentation import ROOT, sections
from tests.unit.reference_tables import Page, anchor

if TYPE_CHECKING:
    from pathlib import Path

HERE = ROOT / "tests" / "monitoring"
RUNBOOK = "docs/runbook.md"
REFERENCE = "docs/reference.md"
#: Where rules are.
FOLDERS = (COMPONENT, KUBE_STATE_METRICS)
ALERTS = alerts(*FOLDERS)
NAMES = [rule["alert"] for rule in ALERTS]
#: To be replaced by the address of a runbook.
ADDRESS = "https://git.example.com/secret-sync/blob/main/docs/runbook.md"


#: The unit tests of promtool.
FILES = ("alerts.yaml", "objectives.yaml")


def unit_tests() -> list[dict[str, Any]]:
    return [one for file in FILES for one in yaml.safe_load((HERE / file).read_text())["tests"]]


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 (Debian's, on our own files)
        [program("promtool"), *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_alert_states_what_its_reader_needs(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert re.fullmatch(r"SecretSync[A-Z][A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert len(said["summary"]) < 80
    assert said["description"].endswith(".")
    assert said["runbook_url"] == f"{ADDRESS}#{anchor(name)}"


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_labels_quoted_by_an_alert_exist(rule: dict[str, Any]) -> None:
    """Labels that the sum has taken away would read ``<no value>``."""
    quoted = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    fired = [
        one["exp_labels"].keys()
        for test in unit_tests()
        for case in test["alert_rule_test"]
        if case["alertname"] == rule["alert"]
        for one in case["exp_alerts"]
    ]
    assert fired
    assert all(quoted <= labels for labels in fired)
    assert read_query(rule["expr"]).selectors


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_seen_to_fire_and_not_to_fire(name: str) -> None:
    cases = [
        bool(case["exp_alerts"])
        for test in unit_tests()
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert set(cases) == {True, False}


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    entries = [s.title for s in sections(RUNBOOK) if s.title.startswith("SecretSync")]
    assert sorted(entries) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_it_means_how_to_see_and_how_to_fix(name: str) -> None:
    (entry,) = [s for s in sections(RUNBOOK) if s.title == name]
    for part in ("**Means:**", "**See:**", "**Fix:**"):
        assert part in entry.text
    assert "](troubleshooting.md#" in entry.text
    (severity,) = re.findall(r"^Severity: (\w+)", entry.text, flags=re.MULTILINE)
    (rule,) = [rule for rule in ALERTS if rule["alert"] == name]
    assert severity == rule["labels"]["severity"]


def test_the_reference_leads_to_the_entry_of_every_alert() -> None:
    (metrics,) = [s for s in sections(REFERENCE) if s.title == "Metrics"]
    _, worth = metrics.text.split("### Alerts")
    assert sorted(re.findall(r"\[(\w+)\]\(runbook\.md#\w+\)", worth)) == sorted(NAMES)


def test_every_link_of_the_runbook_leads_somewhere() -> None:
    page = Page((ROOT / RUNBOOK).read_text())
    assert page.links
    for file, mark in page.links:
        there = Page((ROOT / "docs" / file).read_text()) if file else page
        assert not mark or mark in there.anchors, f"{file}#{mark}"


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups(*FOLDERS)))
    reported = promtool("check", "rules", "rules.yaml", folder=tmp_path)
    assert f"{len(rules(*FOLDERS))} rules found" in reported


@pytest.mark.parametrize("file", FILES)
def test_alerts_fire_when_they_should(tmp_path: Path, file: str) -> None:
    found = groups(*FOLDERS)
    for group in found["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(found))
    (tmp_path / file).write_text((HERE / file).read_text())
    promtool("test", "rules", file, folder=tmp_path)
