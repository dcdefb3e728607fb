"""What the component finds in the base: by its labels and the name of its port."""

from __future__ import annotations

from typing import Any

import yaml

from tests.monitoring.rules import COMPONENT, JOB, KUBE_STATE_METRICS, alerts, read_query
from tests.support.documentation import ROOT


def read(path: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "deploy" / path).read_text()))


def test_the_monitor_finds_the_service_of_the_base() -> None:
    spec = read("components/monitoring/servicemonitor.yaml")["spec"]
    (labels,) = read("base/kustomization.yaml")["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels["pairs"].items()
    (endpoint,) = spec["endpoints"]
    ports = [port["name"] for port in read("base/service.yaml")["spec"]["ports"]]
    assert ports == [endpoint["port"]]
    (relabeling,) = endpoint["relabelings"]
    assert relabeling == {"targetLabel": "job", "replacement": JOB}


def test_the_rules_fit_the_interval_of_the_monitor() -> None:
    """The shortest window of a rule is 5 minutes: ten scrapes."""
    (endpoint,) = read("components/monitoring/servicemonitor.yaml")["spec"]["endpoints"]
    assert endpoint["interval"] == "30s"


def test_everything_is_in_the_namespace_that_overlays_move() -> None:
    kustomization = read("components/monitoring/kustomization.yaml")
    listed = [read(f"components/monitoring/{name}") for name in kustomization["resources"]]
    (generator,) = kustomization["configMapGenerator"]
    namespaces = {document["metadata"]["namespace"] for document in listed}
    assert namespaces | {generator["namespace"]} == {read("base/kustomization.yaml")["namespace"]}
    assert generator["options"]["disableNameSuffixHash"]
    assert [COMPONENT / name for name in generator["files"]] == [COMPONENT / "secret-sync.json"]


def test_alert_per_object_reads_what_kube_state_metrics_shows() -> None:
    config = read("kube-state-metrics/custom-resource-state.yaml")
    shown = {
        f"{resource['metricNamePrefix']}_{metric['name']}": {
            *resource["labelsFromPath"],
            *metric["each"]["gauge"]["labelsFromPath"],
        }
        for resource in config["spec"]["resources"]
        for metric in resource["metrics"]
    }
    for rule in alerts(KUBE_STATE_METRICS):
        query = read_query(rule["expr"])
        for selector in query.selectors:
            if selector.metric != "time":
                labels = {matcher.label for matcher in selector.matchers} | query.grouping
                assert labels <= shown[selector.metric]
    rights = [rule["resources"] for rule in read("kube-state-metrics/clusterrole.yaml")["rules"]]
    kinds = [resource["groupVersionKind"]["kind"] for resource in config["spec"]["resources"]]
    assert rights[1] == [f"{kind.lower()}s" for kind in kinds]
