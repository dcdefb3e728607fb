"""The alert rules and the dashboard as data, and which names a query of Prometheus has in it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.documentation import ROOT

COMPONENT = ROOT / "deploy" / "components" / "monitoring"
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


def groups() -> dict[str, Any]:
    """What the PrometheusRule holds: a file of rules as Prometheus reads it."""
    document = yaml.safe_load((COMPONENT / "prometheusrule.yaml").read_text())
    return dict(document["spec"])


def alerts() -> list[dict[str, Any]]:
    """All alert rules."""
    return [rule for group in groups()["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The model that Grafana reads."""
    return dict(json.loads((COMPONENT / "secret-sync.json").read_text()))


def panel_queries() -> list[tuple[str, str]]:
    """Title of the panel and query, as Grafana sends them for job and rate of the tests."""
    return [
        (panel["title"], filled(target["expr"]))
        for panel in dashboard()["panels"]
        for target in panel["targets"]
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
