"""Rules and dashboard name only what a scrape of the controller shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.monitoring.rules import (
    JOB,
    filled,
    panel_queries,
    panels,
    read_query,
    recorded,
    rules,
)
from tests.unit import reference_facts as facts

if TYPE_CHECKING:
    from tests.monitoring.rules import Selector

#: Labels that Prometheus puts on what it scrapes.
OF_THE_TARGET = frozenset({"job", "namespace", "pod"})
OF_PROMETHEUS = frozenset({"up"})
SUFFIX = re.compile(r"_(bucket|sum|count)$")

QUERIES = [
    *((rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()),
    *panel_queries(),
]


def family(name: str) -> str:
    """A histogram's name, where this is a part of one."""
    base = SUFFIX.sub("", name)
    known = facts.metrics()
    return base if base in known and known[base].type == "histogram" else name


def labels_of(name: str) -> frozenset[str]:
    if name in OF_PROMETHEUS:
        return OF_THE_TARGET
    if name in recorded():
        return recorded()[name]
    le = {"le"} if name.endswith("_bucket") else set()
    return OF_THE_TARGET | set(facts.metrics()[family(name)].labels) | le


def values_of(name: str, label: str) -> frozenset[str]:
    """What a label can be, where that is known; Prometheus' own are known here."""
    if label == "job":
        return frozenset({JOB})
    return facts.label_values().get((name, label), frozenset())


def wrong(selector: Selector) -> list[str]:
    name = selector.metric
    if name in recorded():
        return []
    if family(name) not in facts.metrics().keys() | OF_PROMETHEUS:
        return [f"no metric {name}"]
    if name in facts.metrics() and facts.metrics()[name].type == "histogram":
        return [f"{name} is a histogram"]
    has = labels_of(name)
    found = [f"{name} has no label {m.label}" for m in selector.matchers if m.label not in has]
    for matcher in selector.matchers:
        known = values_of(name, matcher.label)
        if matcher.operator in ("=~", "!~") and known:
            words = matcher.value.split("|")
            found += [f"{name}: {w}" for w in words if not any(re.fullmatch(w, k) for k in known)]
        elif known and matcher.value not in known:
            found.append(f"{matcher.label} of {name} is never {matcher.value}")
    if not any(m.label == "job" for m in selector.matchers):
        found.append(f"{name} of any job at all")
    return found


def complaints(text: str) -> list[str]:
    query = read_query(text)
    assert query.selectors, text
    found = [one for selector in query.selectors for one in wrong(selector)]
    if not found:
        known = {label for s in query.selectors for label in labels_of(s.metric)}
        found += [f"nothing has the label {label}" for label in query.grouping - known]
    return found


@pytest.mark.parametrize(("title", "text"), QUERIES, ids=[title for title, _ in QUERIES])
def test_a_query_names_only_what_exists(title: str, text: str) -> None:
    assert complaints(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('secret_sync_sync_total{job="secret-sync"}', "no metric secret_sync_sync_total"),
        ('sum(secret_sync_sources{job="secret-sync", name="x"})', "has no label name"),
        ('secret_sync_syncs_total{job="secret-sync", result="bad"}', "is never bad"),
        ('secret_sync_syncs_total{job="secret-sync", result=~"bad|failed"}', "total: bad"),
        ('sum by (provider) (secret_sync_sources{job="secret-sync"})', "the label provider"),
        ("workqueue_depth > 3", "of any job"),
        ('secret_sync_sync_latency_seconds{job="secret-sync"}', "is a histogram"),
        ('rate(workqueue_depth_total{job="secret-sync"}[5m])', "no metric workqueue_depth_total"),
        ('up{job="secret-sync"} and foo{job="secret-sync"}', "no metric foo"),
        ('absent(up{job="other"})', "is never other"),
    ],
)
def test_missing_metric_is_found(text: str, what: str) -> None:
    (found,) = complaints(text)
    assert what in found


def test_counters_are_read_by_rate_and_gauges_are_not() -> None:
    found = [
        (title, *call)
        for title, text in QUERIES
        for call in re.findall(r"\b(\w+)\(\s*([a-z_]+)\{[^}]*\}\s*\[", text)
    ]
    assert len(found) >= 20
    for title, function, name in found:
        kind = facts.metrics()[family(name)].type
        of_gauges = {"min_over_time", "avg_over_time", "max_over_time"}
        expected = {"rate", "increase"} if kind != "gauge" else of_gauges
        assert function in expected, title


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {family(s.metric) for _, text in panel_queries() for s in read_query(text).selectors}
    ours = {name for name in facts.metrics() if name.startswith(("secret_sync_", "workqueue_"))}
    # Should stay 0, and would be seen in the log; summed work under way means nothing by itself; a
    # dry run is looked at before there is a controller that this dashboard is about; without
    # --refresh-bind-address a panel of the pushed refreshes would never have a number.
    left_out = {
        "secret_sync_dry_run_objects",
        "secret_sync_informer_handler_errors_total",
        "secret_sync_log_lines_dropped_total",
        "secret_sync_refresh_requests_total",
        "secret_sync_refreshes_total",
        "workqueue_unfinished_work_seconds",
    }
    assert ours - shown == left_out


def test_the_dashboard_can_be_read_by_people() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    assert len({panel["title"] for panel in found}) == len(found)
    for panel in found:
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            said = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert said <= read_query(filled(target["expr"])).grouping, panel["title"]


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_first_row_has_what_matters_and_the_inside_is_collapsed() -> None:
    first = [panel["title"] for panel in panels() if panel["gridPos"]["y"] == 0]
    assert first == [
        *("Not Ready, by reason", "Stale values", "From a rotation to the Secret"),
        *("Errors", "Throttling and use of the rate"),
    ]
    rows = [panel for panel in panels() if panel["type"] == "row"]
    assert len(rows) >= 4
    for row in rows:
        assert row["collapsed"]
        assert all(panel["gridPos"]["y"] > row["gridPos"]["y"] for panel in row["panels"])
