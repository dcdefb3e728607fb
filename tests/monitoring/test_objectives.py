"""docs/slo.md says what the rules do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from tests.monitoring.rules import alerts, groups, recorded, rules
from tests.monitoring.test_alerts import promtool
from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "docs" / "slo.md").read_text()
#: Of the errors, by objective.
BUDGETS = {"availability": "0.005", "freshness": "0.005", "propagation": "0.01"}
WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def test_every_window_has_a_burn_rate_of_every_objective() -> None:
    assert set(recorded()) == {
        "secret_sync:missed:ratio",
        *(f"secret_sync:burn_rate:{window}" for window in WINDOWS),
    }
    for window in WINDOWS:
        gauges, writes = [
            rule for rule in rules() if rule.get("record") == f"secret_sync:burn_rate:{window}"
        ]
        assert set(re.findall(r"\[(\w+)\]", gauges["expr"] + writes["expr"])) == {window}
        minutes = int(window[:-1]) * {"m": 1, "h": 60, "d": 24 * 60}[window[-1]]
        assert gauges["expr"].endswith(f"/ {minutes} / {BUDGETS['availability']}")
        assert writes["expr"].strip().endswith(f"/ {BUDGETS['propagation']}")
        assert writes["labels"] == {"objective": "propagation"}


def test_objectives_have_a_sample_a_minute() -> None:
    """Their windows are divided by minutes, whatever the interval of Prometheus is."""
    (found,) = [one for one in groups()["groups"] if one["name"] == "secret-sync-objectives"]
    assert found["interval"] == "1m"


def test_document_promises_what_the_budgets_leave() -> None:
    for objective, budget in BUDGETS.items():
        promise = f"{100 - float(budget) * 100:g} %"
        (row,) = re.findall(rf"^\| {objective} \|.*$", TEXT, re.MULTILINE)
        assert promise in row
    for rule in alerts():
        for window, factor in re.findall(r"burn_rate:(\w+) > ([\d.]+)", rule["expr"]):
            (row,) = re.findall(rf"^\| \[{rule['alert']}\].*$", TEXT, re.MULTILINE)
            assert factor in row
            assert re.sub(r"(\d)([a-z])", r"\1 \2", window) in row


def test_query_of_the_document_is_one_of_prometheus(tmp_path: Path) -> None:
    (query,) = re.findall(r"^```yaml promql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    rule = {"record": "secret_sync:seen:ratio", "expr": query}
    content = {"groups": [{"name": "own", "rules": [rule]}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(content))
    assert "1 rules found" in promtool("check", "rules", "rules.yaml", folder=tmp_path)
