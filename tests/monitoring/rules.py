"""The alert rules and the dashboard as data, and which names a query of Prometheus has in it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.support.documentation import ROOT

if TYPE_CHECKING:
    from pathlib import Path

COMPONENT = ROOT / "deploy" / "components" / "monitoring"
KUBE_STATE_METRICS = ROOT / "deploy" / "kube-state-metrics"
JOB = "secret-sync"

_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?(?!\s*\(|[\w:])")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_WORDS = frozenset(
    {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "offset", "bool"}
)


class Matcher(NamedTuple):
    """``label="value"`` within a selector."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True)
class Selector:
    """A metric in a query."""

    metric: str
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True)
class Query:
    """What a query refers to; ``grouping`` has the labels of its ``by (...)`` and the like."""

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]


def read_query(text: str) -> Query:
    """Finds the metrics and labels in a query."""
    grouping = {
        label.strip() for found in _GROUPING.findall(text) for label in found.split(",") if label
    }
    rest = re.sub(r"\[[^]]*\]", " ", _GROUPING.sub(" ", text))
    rest = re.sub(r"\boffset\s+\w+", " ", rest)
    selectors = [
        Selector(name, tuple(Matcher(*found) for found in _MATCHER.findall(matchers)))
        for name, matchers in _SELECTOR.findall(rest)
        if name not in _WORDS
    ]
    return Query(tuple(selectors), frozenset(grouping))


def groups(*folders: Path) -> dict[str, Any]:
    """What the PrometheusRules hold: a file of rules as Prometheus reads it."""
    documents = [
        yaml.safe_load((folder / "prometheusrule.yaml").read_text())
        for folder in folders or (COMPONENT,)
    ]
    return {"groups": [group for one in documents for group in one["spec"]["groups"]]}


def rules(*folders: Path) -> list[dict[str, Any]]:
    """All rules."""
    return [rule for group in groups(*folders)["groups"] for rule in group["rules"]]


def alerts(*folders: Path) -> list[dict[str, Any]]:
    """All alert rules."""
    return [rule for rule in rules(*folders) if "alert" in rule]


def recorded() -> dict[str, frozenset[str]]:
    """The names of all recording rules, with their labels."""
    found: dict[str, frozenset[str]] = {}
    for rule in rules():
        if "record" in rule:
            query = read_query(rule["expr"])
            below = [found[s.metric] for s in query.selectors if s.metric in found]
            labels = frozenset().union(query.grouping, rule.get("labels", ()), *below)
            found[rule["record"]] = found.get(rule["record"], frozenset()) | labels
    return found


def dashboard() -> dict[str, Any]:
    """The model that Grafana reads."""
    return dict(json.loads((COMPONENT / "secret-sync.json").read_text()))


def panels() -> list[dict[str, Any]]:
    """All panels, with rows and what is collapsed below them."""
    return [one for panel in dashboard()["panels"] for one in (panel, *panel.get("panels", ()))]


def panel_queries() -> list[tuple[str, str]]:
    """Title of the panel and query, as Grafana sends them for job and rate of the tests."""
    return [
        (panel["title"], filled(target["expr"]))
        for panel in panels()
        for target in panel.get("targets", ())
    ]


def filled(query: str, rate: str = "1m") -> str:
    """With the variables of the dashboard replaced; ``rate`` is what a rate is taken over."""
    for variable, value in (
        ("$job", JOB),
        ("$namespace", ".*"),
        ("$__rate_interval", rate),
    ):
        query = query.replace(variable, value)
    return query


def program(name: str) -> str:
    """Where a program of Debian's package ``prometheus`` is; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"NOT RUN: {name} is not installed, so nothing proves that Prometheus understands "
            "rules and dashboard; install Debian's package prometheus (`make tools`)"
        )
    return found
